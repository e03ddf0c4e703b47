# SPDX-License-Identifier: Apache-2.0
"""Create, extend, rename, delete: what is on the array afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from cinder_nec import errors
from cinder_nec.model import GIB, LdName
from ismsim.faults import Action
from tests.backend.arrays import POOL, Time, host, make_engine, make_lab

NAME, OTHER = LdName('LX', 'V' * 21), LdName('LX', 'W' * 21)


def names(count: int) -> list[LdName]:
    return [LdName('LX', f'Volume{n:015d}') for n in range(count)]


def warm(lab):
    lab.inventory.current()
    return lab.mark()


# -- budgets (DESIGN.md section 5) ------------------------------------------

def test_create_takes_two_commands(lab):
    mark = warm(lab)
    lab.volumes.create(NAME, 3, [POOL])
    assert lab.sent(mark) == ['ldbind', 'nickname']
    assert lab.lds()[NAME.label].capacity == 3 * GIB
    assert lab.lds()[NAME.label].platform == 'LX'
    assert lab.lds()[NAME.label].pool == POOL


def test_extend_and_delete_take_one(lab):
    lab.volumes.create(NAME, 1, [POOL])
    mark = lab.mark()
    lab.volumes.extend(NAME, 2)
    assert lab.lds()[NAME.label].capacity == 2 * GIB
    lab.snapshots.delete_volume(NAME)
    assert NAME.label not in lab.lds()
    assert lab.sent(mark) == ['ldexpand', 'ldunbind']


def test_delete_takes_one_more_for_each_mapping(lab):
    lab.volumes.create(NAME, 1, [POOL])
    lab.access.attach(NAME, host(1))
    lab.access.attach(NAME, host(2))
    mark = lab.mark()
    lab.snapshots.delete_volume(NAME)
    assert lab.sent(mark) == ['delldsetld', 'delldsetld', 'ldunbind']


# -- several at once --------------------------------------------------------

def test_parallel_creates_never_share_a_number(lab):
    mark = warm(lab)
    with ThreadPoolExecutor(16) as pool:
        lds = list(pool.map(
            lambda name: lab.volumes.create(name, 1, [POOL]), names(64)))
    assert len({ld.ldn for ld in lds}) == 64
    assert {n.label for n in names(64)} <= set(lab.lds())
    sent = lab.sent(mark)
    assert sent.count('ldbind') == 64  # no busy answer, no second try
    assert sent.count('nickname') == 64
    assert 'dump' not in sent


def test_two_services_on_one_array_make_nothing_twice(tmp_path):
    engine = make_engine(tmp_path, clock=Time(real=0.01))
    labs = [make_lab(engine, ldn_start=100) for _ in range(2)]
    for lab in labs:
        lab.inventory.current()
    wanted = names(32)
    with ThreadPoolExecutor(8) as pool:
        lds = list(pool.map(
            lambda n: labs[n % 2].volumes.create(wanted[n], 1, [POOL]),
            range(32)))
    assert len({ld.ldn for ld in lds}) == 32
    assert {n.label for n in wanted} <= set(labs[0].lds())
    nameless = [ld for ld in engine.array.store.lds.values()
                if not ld.platform]
    assert len(nameless) == len([ld for ld in make_engine(
        tmp_path / 'fresh').array.store.lds.values() if not ld.platform])


def test_a_number_that_a_peer_took_is_passed_by(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (make_lab(engine, ldn_start=100) for _ in range(2))
    ours.inventory.current()
    peer.volumes.create(OTHER, 1, [POOL])
    mark = ours.mark()
    ours.volumes.create(NAME, 1, [POOL])
    assert ours.sent(mark) == ['ldbind', 'dump', 'ldbind', 'nickname']
    assert {NAME.label, OTHER.label} <= set(ours.lds())


# -- refusals ---------------------------------------------------------------

def test_no_room_anywhere_leaves_nothing(lab):
    before = lab.state()
    with pytest.raises(errors.NoCapacity, match='No available pools found'):
        lab.volumes.create(NAME, 11 * 1024, [POOL])
    assert lab.state() == before


def test_room_that_was_made_meanwhile_is_found(lab):
    """A peer has deleted volumes, or the pool was extended."""
    lab.operate('pool_free', pool=POOL, free='0')
    lab.inventory.refresh()
    lab.operate('pool_free', pool=POOL, free='1 TiB')
    mark = lab.mark()
    lab.volumes.create(NAME, 1, [POOL])
    assert lab.sent(mark) == ['dump', 'ldbind', 'nickname']


def test_a_pool_that_filled_up_meanwhile_is_left_for_another(tmp_path):
    engine = make_engine(tmp_path, changes={'pools': [
        {'number': 0, 'capacity': '20 GiB'},
        {'number': 1, 'capacity': '20 GiB'}], 'lds': [], 'ldsets': []})
    ours, peer = (make_lab(engine) for _ in range(2))
    ours.inventory.current()
    peer.volumes.create(OTHER, 15, [0])
    ours.volumes.create(NAME, 10, [0, 1])
    assert ours.lds()[NAME.label].pool == 1


def test_all_numbers_used_has_the_manuals_words(tmp_path):
    engine = make_engine(tmp_path, changes={
        'lds': [], 'ldsets': [], 'preload': {
            'count': 1024, 'pool': 0, 'capacity_gib': 1}, 'array': {
            'product_id': 'M110'}})
    lab = make_lab(engine)
    before = lab.state()
    with pytest.raises(errors.NoCapacity,
                       match='All Logical Disk numbers are used'):
        lab.volumes.create(NAME, 1, [POOL])
    assert lab.state() == before


def test_extend_beyond_the_pool_has_the_manuals_words(lab):
    lab.volumes.create(NAME, 1, [POOL])
    before = lab.state()
    with pytest.raises(errors.NoCapacity,
                       match='Not enough pool capacity. pool_number=0'):
        lab.volumes.extend(NAME, 11 * 1024)
    assert lab.state() == before


def test_extend_of_what_another_service_has_moved(tmp_path):
    """The LD that is known under the name is gone, its number is free."""
    engine = make_engine(tmp_path)
    lab, peer = make_lab(engine), make_lab(engine, ldn_start=300)
    lab.volumes.create(NAME, 1, [POOL])
    lab.inventory.refresh()
    moved = peer.volumes.create(LdName('LX', 'moved'), 1, [POOL])
    peer.volumes.unbind(NAME)
    peer.volumes.rename(moved.name, NAME)
    lab.volumes.extend(NAME, 2)
    assert lab.lds()[NAME.label].capacity == 2 * GIB
    assert lab.inventory.current().get_ld(NAME).capacity_bytes == 2 * GIB


def test_extend_of_what_is_not_there(lab):
    with pytest.raises(errors.NotFound, match=f'`{NAME}` does not exist'):
        lab.volumes.extend(NAME, 2)


def test_extend_to_the_same_size_changes_nothing(lab):
    lab.volumes.create(NAME, 2, [POOL])
    mark = lab.mark()
    lab.volumes.extend(NAME, 2)
    assert lab.sent(mark) == ['dump']


def test_delete_of_what_is_gone_is_a_success(lab, caplog):
    caplog.set_level('INFO')
    lab.snapshots.delete_volume(NAME)
    assert f'Logical Disk `{NAME}` has unbound already' in caplog.text


def test_delete_finds_what_a_peer_mapped(tmp_path):
    engine = make_engine(tmp_path)
    ours, peer = (make_lab(engine) for _ in range(2))
    ours.volumes.create(NAME, 1, [POOL])
    peer.access.attach(NAME, host())
    ours.snapshots.delete_volume(NAME)
    assert NAME.label not in ours.lds()


def test_a_leftover_with_a_suffix_does_not_win_on_delete(lab):
    leftover = LdName('LX', NAME.label + '_d')
    lab.volumes.create(NAME, 1, [POOL])
    lab.volumes.create(leftover, 1, [POOL])
    lab.snapshots.delete_volume(NAME)
    assert NAME.label not in lab.lds()
    assert leftover.label in lab.lds()


def test_create_again_of_the_same_name_gives_the_same_ld(lab):
    first = lab.volumes.create(NAME, 1, [POOL])
    assert lab.volumes.create(NAME, 1, [POOL]) == first


def test_create_of_a_name_with_another_size_is_refused(lab):
    lab.volumes.create(NAME, 1, [POOL])
    before = lab.state()
    with pytest.raises(errors.InUse, match='exists with 1 GiB'):
        lab.volumes.create(NAME, 2, [POOL])
    assert lab.state() == before


def test_an_ld_that_cannot_be_named_is_unbound_again(lab):
    warm(lab)
    before = lab.state()
    lab.fault(Action.REFUSE, regex=f'nickname .*{NAME.label}', times=None)
    with pytest.raises(errors.CommandFailed):
        lab.volumes.create(NAME, 1, [POOL])
    assert lab.state() == before


def test_an_ld_that_cannot_be_named_at_all_is_reported(lab):
    warm(lab)
    lab.fault(Action.REFUSE, prefix='iSMcfg nickname', times=None)
    with pytest.raises(errors.RollbackFailed) as caught:
        lab.volumes.create(NAME, 1, [POOL])
    assert 'iSMcfg ldunbind -ldname LX:unbind_' in str(caught.value)


def test_busy_for_ever_ends_after_five_minutes(lab):
    warm(lab)
    before = lab.state()
    lab.fault(Action.BUSY, prefix='iSMcfg ldbind', times=None)
    with pytest.raises(errors.ArrayBusy):
        lab.volumes.create(NAME, 1, [POOL])
    assert 299 < lab.time.slept_seconds < 330
    assert lab.state() == before


def test_rename_keeps_number_and_data(lab):
    ld = lab.volumes.create(NAME, 1, [POOL])
    lab.write(NAME, b'data')
    lab.volumes.rename(NAME, OTHER)
    assert lab.lds()[OTHER.label].ldn == ld.ldn
    assert lab.read(OTHER, 4) == b'data'
    lab.volumes.rename(NAME, OTHER)  # once more is no error
    with pytest.raises(errors.NotFound):
        lab.volumes.rename(NAME, LdName('LX', 'elsewhere'))


def test_a_new_volume_never_shows_old_data(lab):
    lab.volumes.create(NAME, 1, [POOL])
    lab.write(NAME, b'secret')
    ldn = lab.lds()[NAME.label].ldn
    lab.snapshots.delete_volume(NAME)
    again = make_lab(lab.engine, ldn_start=0)
    again.inventory.current()
    for name in names(200):
        if again.volumes.create(name, 1, [POOL]).ldn == ldn:
            assert again.read(name, 6) == bytes(6)
            return
    pytest.fail('the number was not used again')
