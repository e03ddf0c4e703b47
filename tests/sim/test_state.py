# SPDX-License-Identifier: Apache-2.0
"""The state survives: restarts, crashes, any order of commands."""

from pathlib import Path
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
import pytest

from ismsim import operate, persist
from ismsim.backing import copy_sparse
from ismsim.clock import ManualClock
from ismsim.entities import LdKind
from ismsim.loader import find_config, read_config
from ismsim.main import build_engine
from ismsim.store import TABLES, Store

DUMP = 'iSMquery -cinder -xml -all'
GIB = 1 << 30


def tables(store):
    return {name: dict(store.table(name)) for name in TABLES.values()}


def restart(bench, make_bench):
    bench.engine.saver.close()
    again = make_bench()
    again.clock.advance(bench.clock.now() - again.clock.now())
    return again


def fill(bench):
    """Something of everything."""
    for ldn, name in enumerate(('bv', 'mv', 'rv', 'rv2', 'gone')):
        bench.bind(name, ldn)
        bench.write(name, name.encode())
    bench.ldset('fc1', 'fc')
    bench.ok('iSMcfg addldsetpath -ldset LX:fc1 -path 1000-0090-FAA0-786B')
    bench.ldset('multi', options=' -multitarget on -fullaccess')
    bench.ok('iSMcfg addinitiator -initiatorname iqn.1994-05.com.x:a')
    bench.ldset()
    bench.ok('iSMcfg addldsetinitiator -ldset LX:host1 '
             '-initiatorname iqn.1994-05.com.x:b')
    for ldset in ('fc1', 'multi', 'host1'):
        bench.map('bv', ldset)
    bench.snapshot('bv', 'sv')
    bench.ok('iSMcfg lvbind -bvname LX:bv -lvn 50 -lvname lv')
    bench.ok('iSMsc_link -lv lv -lvflg ld -sv sv -svflg ld -lvacc ro')
    bench.timing.copy_rate = GIB / 10
    bench.pair('mv', 'rv')
    bench.replicate('mv', 'rv')
    bench.separate('mv', 'rv')
    bench.pair('mv', 'rv2')
    bench.ok('iSMioc setlimit -ldname LX:bv -upperlimit 5000')
    bench.ok('iSMioc setdfllimit -upperlimit 100')
    bench.ok('iSMcfg ldunbind -ldname LX:gone')


def test_a_restart_changes_nothing(bench, make_bench):
    fill(bench)
    before = bench.ok(DUMP)
    again = restart(bench, make_bench)
    assert tables(again.array.store) == tables(bench.array.store)
    assert again.ok(DUMP) == before
    assert again.read('sv', 2) == again.read('lv', 2) == b'bv'
    assert again.ok('iSMview -a') == bench.ok('iSMview -a')


def test_a_running_copy_ends_after_a_restart(bench, make_bench):
    fill(bench)
    again = restart(bench, make_bench)
    assert again.sync_state('rv') == 'sep/exec'
    assert again.read('rv', 2) == b'rv'
    again.clock.advance(10)
    assert again.sync_state('rv') == 'separated'
    assert again.read('rv', 2) == b'mv'


def test_the_indexes_are_the_same_after_a_restart(bench, make_bench):
    fill(bench)
    again = restart(bench, make_bench).array.store
    store = bench.array.store
    for ldn in range(60):
        assert again.ldsets_of(ldn) == store.ldsets_of(ldn)
        assert again.pairs_of_mv(ldn) == store.pairs_of_mv(ldn)
        assert again.generations_of(ldn) == store.generations_of(ldn)
    assert again.allocated(0) == store.allocated(0)
    assert again.ld_count(0) == store.ld_count(0)


def test_a_line_that_was_cut_short_is_ignored(bench, make_bench):
    bench.bind('a', 0)
    bench.engine.saver.close()
    log = bench.directory / 'state.log'
    with log.open('ab') as file:
        file.write(b'{"put": {"lds": [[1, {"ldn": 1, "na')
    again = make_bench()
    assert again.ld('a') is not None
    again.bind('b', 1)
    assert restart(again, make_bench).ld('b') is not None


def test_a_crash_between_snapshot_and_log(bench, make_bench):
    bench.bind('a', 0)
    bench.ok('iSMcfg nickname -ldname LX:a -newname LX:b')
    bench.bind('a', 1)
    log = bench.directory / 'state.log'
    old = log.read_bytes()
    bench.engine.saver.compact(bench.array.store)
    log.write_bytes(old)
    again = restart(bench, make_bench)
    assert tables(again.array.store) == tables(bench.array.store)
    assert again.ld('a').ldn == 1
    assert again.ld('b').ldn == 0


def test_the_log_is_compacted(bench, make_bench, monkeypatch):
    monkeypatch.setattr(persist, '_COMPACT_AFTER', 5)
    for ldn in range(20):
        bench.bind(f'ld{ldn}', ldn)
    log = bench.directory / 'state.log'
    assert len(log.read_bytes().splitlines()) <= 5
    again = restart(bench, make_bench)
    assert tables(again.array.store) == tables(bench.array.store)


def test_a_change_is_saved_in_one_short_line(make_bench):
    bench = make_bench('big-8192')
    bench.ok('iSMcfg nickname -ldname LX:preload00000 -newname LX:a')
    line, = (bench.directory / 'state.log').read_bytes().splitlines()
    assert len(line) < 1000


def test_refused_commands_are_not_saved(bench):
    bench.run('iSMcfg ldunbind -ldname LX:none')
    assert not (bench.directory / 'state.log').exists()


def test_observers_hear_of_every_change(bench):
    heard = []
    bench.array.observers.append(heard.append)
    bench.bind('a', 0)
    bench.ldset()
    heard.clear()
    bench.map('a')
    assert heard == [{('ldsets', 'LX:host1')}]
    bench.run('iSMview -d')
    assert len(heard) == 1


# -- any order of commands ---------------------------------------------------

NAMES = st.sampled_from(['a', 'b', 'c', 'sv1', 'sv2', 'lv1'])
LDNS = st.integers(0, 6)
BASES = st.sampled_from(['a', 'b', 'c'])


class AnyOrder(RuleBasedStateMachine):
    """Commands that make little sense, and time; rules that must hold."""

    def __init__(self):
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self._config = read_config(find_config('empty'))
        self.clock = ManualClock()
        self.engine = self.build()
        for name in ('h1', 'h2'):
            self.run(f'iSMcfg addldset -ldset LX:{name} -type iscsi')
        self.engine.array.timing.copy_rate = GIB / 10
        self.engine.array.timing.sc_delete = 3

    def build(self):
        return build_engine(self._config, Path(self._directory.name),
                            self.clock)

    def run(self, command):
        store = self.engine.array.store
        with self.engine.array.lock:
            from ismsim.copying import settle
            settle(self.engine.array)
            self.engine.save()
        version = store.version
        reply = self.engine.execute(command).reply
        if reply.status:
            assert store.version == version, command

    @rule(ldn=LDNS, name=NAMES, size=st.integers(1, 2))
    def bind(self, ldn, name, size):
        self.run(f'iSMcfg ldbind -poolnumber 0 -ldn {ldn} -capacity {size} '
                 '-immediate')
        self.run(f'iSMcfg nickname -ldn {ldn} -newname LX:{name} '
                 '-immediate')

    @rule(name=NAMES)
    def unbind(self, name):
        self.run(f'iSMcfg ldunbind -ldname LX:{name}')

    @rule(name=NAMES)
    def write(self, name):
        ld = self.engine.array.store.find_ld(name)
        if ld is not None and ld.kind is LdKind.ORDINARY:
            self.engine.array.backing.write(ld.ldn, 0, b'x', ld.capacity)

    @rule(ldn=LDNS, size=st.integers(1, 4))
    def expand(self, ldn, size):
        self.run(f'iSMcfg ldexpand -ldn {ldn} -capacity {size} -unit gb')

    @rule(name=NAMES, ldset=st.sampled_from(['h1', 'h2']),
          lun=st.integers(0, 3))
    def map(self, name, ldset, lun):
        self.run(f'iSMcfg addldsetld -ldset LX:{ldset} -ldname LX:{name} '
                 f'-lun {lun}')

    @rule(name=NAMES, ldset=st.sampled_from(['h1', 'h2']))
    def unmap(self, name, ldset):
        self.run(f'iSMcfg delldsetld -ldset LX:{ldset} -ldname LX:{name}')

    @rule(mv=NAMES, rv=BASES, step=st.sampled_from([
        'iSMrc_pair -pair {}', 'iSMrc_pair -unpair {}',
        'iSMrc_pair -unpair {} -force all',
        'iSMrc_replicate {} -nowait -cprange full -cpmode bg',
        'iSMrc_replicate {} -nowait -cpmode bg',
        'iSMrc_separate {} -rvacc ro -rvuse complete -nowait',
        'iSMrc_separate {} -rvacc rw -rvuse immediate -nowait']))
    def replication(self, mv, rv, step):
        self.run(step.format(f'-mv {mv} -mvflg ld -rv {rv} -rvflg ld'))

    @rule(bv=BASES, sv=st.sampled_from(['sv1', 'sv2']),
          step=st.sampled_from([
              'iSMcfg generationadd -bvname LX:{bv} -poolnumber 1 '
              '-count 1 -svname {sv}',
              'iSMcfg generationdel -bvname LX:{bv} -count 1',
              'iSMsc_create -bv {bv} -bvflg ld -sv {sv} -svflg ld',
              'iSMsc_delete -bv {bv} -bvflg ld -sv {sv} -svflg ld',
              'iSMsc_restore -bv {bv} -bvflg ld -sv {sv} -svflg ld '
              '-derivsv keep -nowait',
              'iSMcfg lvbind -bvname LX:{bv} -lvn 6 -lvname lv1',
              'iSMsc_link -lv lv1 -lvflg ld -sv {sv} -svflg ld',
              'iSMsc_unlink -lv lv1 -lvflg ld',
              'iSMcfg lvunbind -ldname LX:lv1']))
    def snapshot(self, bv, sv, step):
        self.run(step.format(bv=bv, sv=sv))

    @rule(seconds=st.integers(1, 30))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule()
    def restart(self):
        before = tables(self.engine.array.store)
        timing = self.engine.array.timing
        self.engine.saver.close()
        self.engine = self.build()
        self.engine.array.timing = timing
        assert tables(self.engine.array.store) == before

    @invariant()
    def everything_refers_to_something(self):
        store = self.engine.array.store
        for ldset in store.ldsets.values():
            for mapping in ldset.maps.values():
                assert mapping.ldn in store.lds
        for pair in store.pairs.values():
            assert {pair.mv, pair.rv} <= set(store.lds)
            assert store.pair_of_rv(pair.rv) is pair
        for generation in store.generations.values():
            assert {generation.sv, generation.bv} <= set(store.lds)
        for link in store.links.values():
            assert {link.lv, link.bv} <= set(store.lds)
            assert link.sv is None or link.sv in store.generations

    @invariant()
    def names_are_unique_and_found(self):
        store = self.engine.array.store
        for ld in store.lds.values():
            assert store.find_ld(ld.name) is ld

    @invariant()
    def the_indexes_are_right(self):
        store = self.engine.array.store
        fresh = Store()
        for name in TABLES.values():
            for record in store.table(name).values():
                fresh.put(record)
        for ldn in store.lds:
            assert store.ldsets_of(ldn) == fresh.ldsets_of(ldn)
            assert store.pairs_of_mv(ldn) == fresh.pairs_of_mv(ldn)
            assert store.link_to(ldn) == fresh.link_to(ldn)
            assert store.links_of(ldn) == fresh.links_of(ldn)
        for pool in store.pools:
            assert store.allocated(pool) == fresh.allocated(pool)
            assert store.ld_count(pool) == fresh.ld_count(pool)

    @invariant()
    def no_bytes_without_an_ld(self):
        store = self.engine.array.store
        for path in self.engine.array.backing.directory.glob('*.img'):
            if not path.name.startswith('frozen'):
                assert int(path.stem, 16) in store.lds

    @invariant()
    def an_operator_can_look(self):
        operate.state(self.engine.array, {})

    def teardown(self):
        self.engine.saver.close()
        self._directory.cleanup()


def test_any_order_of_commands():
    run_state_machine_as_test(AnyOrder, settings=settings(
        max_examples=25, stateful_step_count=40))


# -- bytes -------------------------------------------------------------------

def test_a_tebibyte_costs_nothing(bench):
    bench.bind('mv', 0, size=1024)
    bench.bind('rv', 1, size=1024)
    bench.write('mv', b'end', (1024 << 30) - 3)
    bench.snapshot('mv', 'sv')
    bench.pair('mv', 'rv')
    bench.replicate('mv', 'rv')
    bench.separate('mv', 'rv')
    bench.sync_state('rv')
    for name in ('sv', 'rv'):
        assert bench.read(name, 3, (1024 << 30) - 3) == b'end'
        path = bench.array.backing.path(bench.ld(name).ldn)
        assert path.stat().st_size == 1024 << 30
        assert path.stat().st_blocks * 512 < 1 << 20


SIZE = 1 << 20
PIECES = st.lists(st.tuples(st.integers(0, SIZE - 1),
                            st.binary(min_size=1, max_size=64)),
                  max_size=8)


@settings(max_examples=50)
@given(source=PIECES, target=PIECES)
def test_a_copy_is_equal(source, target):
    with tempfile.TemporaryDirectory() as directory:
        paths = Path(directory) / 'source', Path(directory) / 'target'
        for path, pieces in zip(paths, (source, target), strict=True):
            data = bytearray(SIZE)
            with path.open('wb') as file:
                file.truncate(SIZE)
                for offset, piece in pieces:
                    piece = piece[:SIZE - offset]
                    data[offset:offset + len(piece)] = piece
                    file.seek(offset)
                    file.write(piece)
        copy_sparse(*paths, SIZE)
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_outside_of_an_ld(bench):
    bench.bind('a', 0)
    for offset in (-1, GIB):
        with pytest.raises(ValueError, match='outside'):
            bench.read('a', 1, offset)
        with pytest.raises(ValueError, match='outside'):
            bench.write('a', b'x', offset)
