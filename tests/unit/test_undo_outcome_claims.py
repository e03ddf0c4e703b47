# SPDX-License-Identifier: Apache-2.0
"""Taking steps back, lost answers, and exclusive use of one object."""

from __future__ import annotations

import threading

import pytest

from cinder_nec import errors
from cinder_nec.backend.claims import Claims
from cinder_nec.backend.outcome import carry_out
from cinder_nec.backend.undo import Undo

REFUSED = errors.CommandFailed('iSMcfg x', 1)
LOST = errors.OutcomeUnknown('lost')


def raiser(error):
    def step():
        raise error
    return step


# -- undo -------------------------------------------------------------------

def test_steps_are_taken_back_last_one_first():
    done = []
    with pytest.raises(errors.CommandFailed), Undo() as undo:
        undo.push('a', lambda: done.append('a'))
        undo.push('b', lambda: done.append('b'))
        raise REFUSED
    assert done == ['b', 'a']


def test_nothing_is_taken_back_after_success():
    done = []
    with Undo() as undo:
        undo.push('a', lambda: done.append('a'))
    assert not done


def test_what_cannot_be_taken_back_is_named_and_the_rest_is_done():
    done = []
    with pytest.raises(errors.RollbackFailed) as caught, Undo() as undo:
        undo.push('a', lambda: done.append('a'))
        undo.push('LD b: iSMcfg ldunbind -ldname LX:b', raiser(LOST))
        raise REFUSED
    assert done == ['a']
    assert caught.value.cause is REFUSED
    assert caught.value.leftovers == ('LD b: iSMcfg ldunbind -ldname LX:b',)
    assert 'ldunbind -ldname LX:b' in str(caught.value)


def test_a_stranger_error_passes_and_leftovers_are_logged(caplog):
    with pytest.raises(KeyError), Undo() as undo:
        undo.push('LD b', raiser(LOST))
        raise KeyError
    assert 'Left on the array: LD b' in caplog.text


def test_forgotten_steps_stay():
    done = []
    with pytest.raises(errors.CommandFailed), Undo() as undo:
        undo.push('a', lambda: done.append('a'))
        undo.forget()
        raise REFUSED
    assert not done


# -- lost answers -----------------------------------------------------------

class Change:
    """Fails as told, try by try; the truth is what the array shows."""

    def __init__(self, *errors_: Exception | None, truth=False) -> None:
        self._errors = list(errors_)
        self.truth = truth
        self.tries = 0

    def run(self) -> None:
        self.tries += 1
        error = self._errors.pop(0)
        if error is not None:
            raise error

    def happened(self) -> bool:
        return self.truth


@pytest.mark.parametrize('errors_, truth, tries, raised', [
    ([None], False, 1, None),
    ([REFUSED], False, 1, errors.CommandFailed),
    ([REFUSED], True, 1, None),
    ([LOST], True, 1, None),
    ([LOST, None], False, 2, None),
    ([LOST, REFUSED], False, 2, errors.CommandFailed),
    ([LOST, LOST, LOST], False, 3, errors.OutcomeUnknown),
])
def test_carry_out(errors_, truth, tries, raised):
    change = Change(*errors_, truth=truth)
    if raised is None:
        carry_out(change.run, change.happened)
    else:
        with pytest.raises(raised):
            carry_out(change.run, change.happened)
    assert change.tries == tries


def test_carry_out_lets_other_errors_pass():
    with pytest.raises(errors.ConnectFailed):
        carry_out(raiser(errors.ConnectFailed('x')), lambda: True)


# -- claims -----------------------------------------------------------------

def test_one_at_a_time_per_object_and_others_pass():
    claims = Claims()
    entered = threading.Event()

    def second():
        with claims.of('a'):
            entered.set()

    with claims.of('a'):
        thread = threading.Thread(target=second)
        thread.start()
        with claims.of('b'):
            pass
        assert not entered.is_set()
    thread.join(30)
    assert entered.is_set()


def test_nothing_is_kept_of_objects_that_are_free():
    claims = Claims()
    with pytest.raises(KeyError), claims.of('a'):
        raise KeyError
    with claims.of('a'):
        assert len(claims) == 1
    assert len(claims) == 0
