# SPDX-License-Identifier: Apache-2.0
"""Names, states and accidents for tests of the data replication method."""

from __future__ import annotations

from dataclasses import replace
import uuid

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from cinder_nec.naming import ld_name
from ismsim.copying import settle
from ismsim.entities import Pair, PairState
from tests.backend.arrays import POOL, Lab, make_engine, make_lab

RATE = float(32 << 20)          # half a minute for 1 GiB
FULL_SECONDS = GIB / RATE
OLD, NEW = b'before the snapshot', b'after the snapshot!'


def label(number: int) -> LdName:
    """Return an LD name as Cinder's random UUIDs give it."""
    return LdName('LX', ld_name(str(uuid.UUID(
        int=(number * 0x9e3779b97f4a7c15f39cc0605cedc834) % (1 << 128),
        version=4))))


VOLUME, OTHER, THIRD = label(1), label(2), label(3)
S1, S2, S3, S4, S5 = (label(n) for n in range(11, 16))


def kept(snapshot: LdName) -> LdName:
    return LdName(snapshot.platform, f'{snapshot.label}_d')


def make_ddr_lab(directory, **values) -> Lab:
    """Return a lab with a volume of 1 GiB; copies take their time."""
    lab = make_lab(make_engine(directory, copy_rate=RATE, **values),
                   replication=True)
    lab.volumes.create(VOLUME, 1, [POOL])
    lab.write(VOLUME, OLD)
    return lab


def picture(lab: Lab) -> tuple[dict[str, int], dict[tuple[str, str], str]]:
    """Return our LDs with their GiB, and the pairs with their states."""
    array = lab.engine.array
    with array.lock:
        settle(array)
        names = {ld.ldn: ld.name for ld in array.store.lds.values()}
        ours = {ld.name: ld.capacity // GIB
                for ld in array.store.lds.values()
                if ld.platform and len(ld.name) > 20}
        pairs = {(names[p.mv], names[p.rv]): p.state.value
                 for p in array.store.pairs.values()}
    return ours, pairs


def lds_of(*names: LdName) -> dict[str, int]:
    return {name.label: 1 for name in names}


def pairs_of(*rvs: LdName, state: str = 'separated',
             mv: LdName = VOLUME) -> dict[tuple[str, str], str]:
    return {(mv.label, rv.label): state for rv in rvs}


def pair(lab: Lab, rv: LdName) -> Pair:
    store = lab.engine.array.store
    found = store.pair_of_rv(lab.lds()[rv.label].ldn)
    assert found is not None
    return found


def put_state(lab: Lab, rv: LdName, state: str) -> None:
    """Bring a separated pair into another state, as the array would."""
    mv, labels = VOLUME.label, (VOLUME.label, rv.label)
    if state in ('fault', 'cancel'):
        lab.operate('pair_state', mv=mv, rv=rv.label, state=state)
        return
    if state in ('rst/exec', 'rst/sync'):
        with lab.engine.array.lock:
            lab.engine.array.store.put(replace(
                pair(lab, rv), state=PairState(state)))
        return
    rc_replicate = (f'iSMrc_replicate -mv {labels[0]} -mvflg ld '
                    f'-rv {labels[1]} -rvflg ld -nowait -cprange full '
                    '-cpmode bg')
    rc_separate = (f'iSMrc_separate -mv {labels[0]} -mvflg ld '
                   f'-rv {labels[1]} -rvflg ld -rvacc ro '
                   '-rvuse immediate -nowait')
    if state != 'separated':
        execute(lab, rc_replicate)
    if state == 'rpl/sync':
        lab.time.sleep(10 * FULL_SECONDS)
    if state == 'sep/exec':
        execute(lab, rc_separate)
    assert picture(lab)[1][labels] == state


def execute(lab: Lab, command: str) -> None:
    reply = lab.engine.execute(command).reply
    assert reply.status == 0, (command, reply)


def snapshots(lab: Lab, *names: LdName) -> None:
    """Take snapshots and let their copies end."""
    for name in names:
        lab.snapshots.create_snapshot(VOLUME, name)
    lab.time.sleep(10 * FULL_SECONDS)


def keep(lab: Lab, *names: LdName) -> None:
    """Take snapshots and delete them: RVs that keep differences."""
    snapshots(lab, *names)
    for name in names:
        lab.snapshots.delete_snapshot(VOLUME, name)


def is_usable(lab: Lab, rv: LdName) -> bool:
    """Whether a host could read it: mapping tells."""
    from ismsim.copying import is_accessible_rv
    return is_accessible_rv(pair(lab, rv))


def die_after(lab: Lab, commands: int) -> None:
    """Let the service die: it sends so many commands more and no others.

    Nothing is undone, because nothing reaches the array any more.
    """
    real = lab.client._transport.run
    left = [commands]

    def run(command_line, timeout_seconds):
        if not left[0]:
            raise errors.ConnectFailed('the service is dead',
                                       permanent=True)
        left[0] -= 1
        return real(command_line, timeout_seconds)

    lab.client._transport.run = run


def show(lab: Lab, state: str, instead_of: str) -> None:
    """Let the array answer another sync state than the one it has."""
    real = lab.client._transport.run

    def run(command_line, timeout_seconds):
        result = real(command_line, timeout_seconds)
        if command_line.startswith('iSMrc_query'):
            result = replace(result, stdout=result.stdout.replace(
                instead_of.encode(), state.encode()))
        return result

    lab.client._transport.run = run
