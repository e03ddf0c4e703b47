# SPDX-License-Identifier: Apache-2.0
"""Whatever a tenant writes: no line reaches the array's shell that is not
in its grammar, and what is wrong is refused before anything is sent.

The simulated array reports each line that a shell would act on, and each
that is none of its commands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
import itertools

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import pytest

from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import exception  # isort: skip

from cinder_nec.backend import qos  # isort: skip
from cinder_nec.model import LdName, Protocol  # isort: skip
from tests.faults.rig import HERE, THERE, Rig, uuid_of  # isort: skip
from tests.hostile.corpus import (  # isort: skip
    ANYTHING, CORPUS, GOOD_IQNS, GOOD_WWPNS, IQN, NAMES, UUID, WWPN, half)

# One rig serves all examples of a test: they must not change the array.
EXAMPLES = 150
MANY = settings(max_examples=EXAMPLES, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
    HealthCheck.data_too_large, HealthCheck.large_base_example])
THEIRS = 'data01'
VALUES = ANYTHING | NAMES
_numbers = itertools.count()


@pytest.fixture(params=DRIVERS, ids=lambda cls: cls.__name__)
def rig(request, tmp_path) -> Rig:
    made = Rig(request.param, tmp_path / str(next(_numbers)), {})
    made.driver.create_volume(made.volume)
    made.driver.create_snapshot(made.snapshot)
    made.lab.operate('ld_add', ldn=900, name=f'LX:{THEIRS}', pool=0,
                     capacity='2 GiB', kind='ordinary')
    made.rest()
    return made


class Watch:
    """What came of a step.

    :param done: it succeeded
    :param sent: the lines that reached the array's shell
    """

    def __init__(self) -> None:
        self.done = False
        self.sent: list[str] = []

    def has_sent(self, verb: str) -> bool:
        return any(verb in line for line in self.sent)


@contextlib.contextmanager
def watched(rig: Rig) -> Iterator[Watch]:
    """No line of the block may be outside the grammar.

    It succeeds, or fails with an exception of Cinder's own.
    """
    mark = rig.lab.mark()
    watch = Watch()
    try:
        yield watch
        watch.done = True
    except exception.CinderException as error:
        assert len(str(error)) < 3000
    entries = rig.engine.journal.since(mark)
    watch.sent = [entry.command for entry in entries]
    assert not [entry.command for entry in entries
                if entry.hostile or entry.kind.value == 'UNKNOWN']


class Share:
    """How many examples got through to where it could do harm."""

    def __init__(self) -> None:
        self.tried = self.through = 0

    def count(self, is_through: bool) -> None:
        self.tried += 1
        self.through += is_through

    def must_be(self, least: float) -> None:
        """The rest was refused: a test of nothing but the parser."""
        assert self.tried >= EXAMPLES / 2
        assert self.through >= least * self.tried, (
            f'{self.through} of {self.tried} got through')


@contextlib.contextmanager
def refused(rig: Rig, *kinds: type[Exception]) -> Iterator[None]:
    """Nothing of the block reaches the array; it is the caller's fault."""
    mark = rig.lab.mark()
    with pytest.raises(kinds or exception.InvalidInput):
        yield
    assert not rig.engine.journal.since(mark)


# -- connectors -------------------------------------------------------------

BESIDE = st.fixed_dictionaries({}, optional=dict.fromkeys(
    ('host', 'ip', 'multipath', 'wwnns', 'os_type', 'platform',
     'do_local_attach'), VALUES | st.lists(VALUES, max_size=4)))
# A host that may be attached, with anything beside its names.
HOST = st.builds(
    lambda names, beside: {**beside, **names},
    st.fixed_dictionaries({
        'initiator': GOOD_IQNS,
        'wwpns': st.lists(GOOD_WWPNS, min_size=1, max_size=4)}), BESIDE)
STRANGE = st.dictionaries(
    st.sampled_from(['initiator', 'wwpns', 'host', 'ip', 'multipath',
                     'wwnns', 'os_type', 'do_local_attach']),
    half(GOOD_IQNS | st.lists(GOOD_WWPNS, max_size=4),
         VALUES | st.lists(VALUES, max_size=4))) | VALUES
CONNECTOR = half(HOST, STRANGE)


def test_connectors(rig):
    """What is beside the name of a good host is tried as well."""
    share = Share()

    @MANY
    @given(connector=CONNECTOR)
    def try_one(connector):
        with watched(rig) as attach:
            rig.driver.initialize_connection(rig.volume, connector)
        share.count(attach.done and attach.has_sent('addldsetld'))
        with watched(rig) as detach:
            rig.driver.terminate_connection(rig.volume, connector)
        assert detach.done or not attach.done
        with watched(rig):
            rig.driver.validate_connector(connector)
        for method in (rig.driver.initialize_connection_snapshot,
                       rig.driver.terminate_connection_snapshot):
            with watched(rig):
                method(rig.snapshot, connector)
    try_one()
    share.must_be(0.25)
    label = rig.name(rig.volume).label
    assert label not in {ld for _set, ld in rig.state().mapped}


def around(good: str) -> Iterator[tuple[str, str]]:
    """Yield each bad thing, and it before, behind and inside a name."""
    for bad in CORPUS:
        for text in (good + bad, bad + good, good[:9] + bad + good[9:]):
            yield bad, text


def test_a_bad_name_of_a_host_is_refused_before_ssh(rig):
    fc = rig.cls.PROTOCOL is Protocol.FC
    for bad, text in around(WWPN if fc else IQN):
        connector = {'host': bad, 'ip': bad, 'wwpns': [text],
                     'initiator': text}
        # What makes another good name is one.
        if bad == '' or not fc and bad.isascii() and all(
                char.isalnum() or char in '.:-' for char in bad):
            continue
        for method, record in (
                ('initialize_connection', rig.volume),
                ('terminate_connection', rig.volume),
                ('initialize_connection_snapshot', rig.snapshot),
                ('terminate_connection_snapshot', rig.snapshot)):
            with refused(rig, exception.InvalidConnectorException):
                getattr(rig.driver, method)(record, connector)


def test_bad_names_in_the_attachments_that_stay(rig):
    rig.driver.initialize_connection(rig.volume, rig.host())
    rig.volume.volume_attachment = [
        type('Attachment', (), {'id': str(number), 'connector': {
            'initiator': bad, 'wwpns': [bad], 'host': bad}})
        for number, bad in enumerate(CORPUS)]
    with watched(rig):
        rig.driver.terminate_connection(rig.volume, rig.host())
    label = rig.name(rig.volume).label
    assert label not in {ld for _set, ld in rig.state().mapped}


# -- references -------------------------------------------------------------

STRANGE_REFERENCE = st.dictionaries(
    st.sampled_from(['source-name', 'source-id', 'source-name ', 'id']),
    VALUES) | VALUES
BESIDE_NAMES = st.dictionaries(
    st.sampled_from(['source-name ', 'id', 'host', 'size', 'platform']),
    VALUES)


def named(*references: Mapping[str, str]
          ) -> st.SearchStrategy[dict[str, object]]:
    """Draw one of some references with anything beside it."""
    return st.builds(lambda beside, good: {**beside, **good},
                     BESIDE_NAMES, st.sampled_from(references))


def test_references(rig):
    """A good one is carried out, whatever is beside it."""
    share = Share()
    theirs = LdName('LX', THEIRS)
    good = named({'source-name': THEIRS}, {'source-name': str(theirs)},
                 {'source-name': UUID}, {'source-id': UUID},
                 {'source-name': f'volume-{UUID}'})

    @MANY
    @given(reference=half(good, STRANGE_REFERENCE))
    def try_one(reference):
        with watched(rig) as asked:
            rig.driver.manage_existing_get_size(rig.new, reference)
        share.count(bool(asked.sent))
        with watched(rig) as managed:
            rig.driver.manage_existing(rig.new, reference)
        assert managed.done == asked.done
        if managed.done:
            assert managed.has_sent('nickname')
            rig.command(f'iSMcfg nickname -ldname {rig.name(rig.new)} '
                        f'-newname {theirs}')
        for method in (rig.driver.manage_existing_snapshot_get_size,
                       rig.driver.manage_existing_snapshot):
            with watched(rig):
                method(rig.snapshots[0], reference)
    try_one()
    share.must_be(0.25)
    assert theirs.label in rig.state().lds


@pytest.mark.parametrize('key, good', [('source-name', THEIRS),
                                       ('source-id', UUID)])
def test_a_bad_reference_is_refused_before_ssh(rig, key, good):
    for _bad, text in around(good):
        if text == good or is_ld_name(key, text):
            continue
        for method in (rig.driver.manage_existing_get_size,
                       rig.driver.manage_existing):
            with refused(rig, exception.ManageExistingInvalidReference):
                method(rig.new, {key: text})
        for method in (rig.driver.manage_existing_snapshot_get_size,
                       rig.driver.manage_existing_snapshot):
            with refused(rig, exception.ManageExistingInvalidReference):
                method(rig.snapshots[0], {key: text})


def is_ld_name(key: str, text: str) -> bool:
    """Tell what may be the name of an LD, with or without OS type."""
    label = text.removeprefix('LX:')
    return (key == 'source-name' and label.isascii()
            and 0 < len(label) <= 24 and not label.startswith('-')
            and all(char.isalnum() or char in '_/.-' for char in label))


# -- QoS, types, metadata ---------------------------------------------------

def specs_of_every_type(monkeypatch, specs: Mapping[str, object]) -> None:
    monkeypatch.setattr(
        qos.volume_types, 'get_volume_type_qos_specs',
        lambda _type: {'qos_specs': {
            'id': UUID, 'name': specs.get('name', 'QoS'),
            'consumer': 'both', 'specs': specs}})


LIMITS = half(st.integers(10, 1_000_000).map(str)
              | st.sampled_from(('0', None)), VALUES)


def test_qos_values(rig):
    share = Share()

    @MANY
    @given(upper=LIMITS, lower=LIMITS, other=VALUES,
           report=half(st.sampled_from(('on', 'off')), VALUES))
    def try_one(upper, lower, report, other):
        with pytest.MonkeyPatch.context() as patch:
            specs_of_every_type(patch, {
                str(other): other, 'name': other, 'upperlimit': upper,
                'lowerlimit': lower, 'upperreport': report})
            with watched(rig) as retyped:
                rig.driver.retype(None, rig.volume, {'id': UUID}, {},
                                  {'host': HERE, 'capabilities': {}})
        share.count(retyped.done and retyped.has_sent('iSMioc'))
    try_one()
    share.must_be(0.05)


@pytest.mark.parametrize('key', ['upperlimit', 'lowerlimit'])
def test_a_bad_limit_is_refused_before_ssh(rig, monkeypatch, key):
    rig.new.volume_type_id = UUID
    steps = (
        lambda: rig.driver.create_volume(rig.new),
        lambda: rig.driver.create_cloned_volume(rig.new, rig.volume),
        lambda: rig.driver.create_volume_from_snapshot(rig.new,
                                                       rig.snapshot),
        lambda: rig.driver.manage_existing(rig.new,
                                           {'source-name': THEIRS}),
        lambda: rig.driver.retype(None, rig.volume, {'id': UUID}, {},
                                  {'host': HERE, 'capabilities': {}}))
    for bad in CORPUS:
        for text in (bad, '3000' + bad, bad + '3000', '30' + bad + '00'):
            if text in ('0', '3000', '30000'):
                continue
            specs_of_every_type(monkeypatch, {key: text})
            for step in steps:
                with refused(rig, exception.InvalidInput):
                    step()


def test_metadata_names_and_descriptions(rig):
    """They are never part of a command, whatever is made of them."""
    share = Share()

    @MANY
    @given(key=VALUES, value=VALUES,
           force=half(st.sampled_from(('True', ' true', True)), VALUES))
    def try_one(key, value, force):
        for record in (rig.new, rig.snapshots[0]):
            record.metadata = {str(key): value, 'force-delete': force}
            record.display_name = record.name = value
            record.display_description = value
        with watched(rig) as created:
            rig.driver.create_volume(rig.new)
        with watched(rig) as taken:
            rig.driver.create_snapshot(rig.snapshots[0])
        share.count(created.done and taken.done)
        with watched(rig):
            rig.driver.delete_snapshot(rig.snapshots[0])
        with watched(rig):
            rig.driver.delete_volume(rig.new)
    try_one()
    share.must_be(1.0)


@MANY
@given(extra=st.dictionaries(st.text(), VALUES, max_size=4), other=VALUES)
def test_extra_specs_and_places(rig, extra, other):
    """What the scheduler hands on of a type and of another back end."""
    diff = {'extra_specs': {key: (value, other)
                            for key, value in extra.items()}}
    for capabilities in (None, {'location_info': other}, extra):
        with watched(rig):
            rig.driver.retype(None, rig.volume, {
                'id': UUID, 'extra_specs': extra, 'name': other}, diff,
                {'host': THERE, 'capabilities': capabilities})
        with watched(rig):
            rig.driver.migrate_volume(None, rig.volume, {
                'host': THERE, 'capabilities': capabilities})


@MANY
@given(host=st.text() | st.sampled_from(CORPUS))
def test_the_name_of_a_pool(rig, host):
    rig.new.host = f'node@gold#{host}'
    with watched(rig):
        rig.driver.create_volume(rig.new)
    with watched(rig):
        rig.driver.delete_volume(rig.new)


# -- ids --------------------------------------------------------------------

@MANY
@given(wrong=VALUES)
def test_ids(rig, wrong):
    """Cinder makes them; one that is none is refused all the same."""
    rig.new.id = rig.new.name_id = wrong
    for step in (rig.driver.create_volume, rig.driver.delete_volume,
                 lambda v: rig.driver.extend_volume(v, 5)):
        with watched(rig):
            step(rig.new)
    rig.new.id = rig.new.name_id = uuid_of(2)
