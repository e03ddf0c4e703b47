# SPDX-License-Identifier: Apache-2.0
"""What the tests of the simulated array share."""

from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT / 'tools') not in sys.path:
    sys.path.insert(0, str(ROOT / 'tools'))

import pytest  # noqa: E402

from ismsim.clock import ManualClock  # noqa: E402
from ismsim.loader import find_config, read_config  # noqa: E402
from ismsim.main import build_engine  # noqa: E402

GIB = 1 << 30


class Bench:
    """An array in this process, with a manual clock and short words."""

    def __init__(self, directory, config):
        self.directory = directory
        self.clock = ManualClock()
        self.engine = build_engine(config, directory, self.clock)
        self.array = self.engine.array

    @property
    def timing(self):
        """What takes how long."""
        return self.array.timing

    def run(self, command):
        """The reply to a command."""
        return self.engine.execute(command).reply

    def ok(self, command):
        """A command that has to succeed; returns its stdout."""
        reply = self.run(command)
        assert reply.status == 0, (command, reply)
        return reply.stdout.decode()

    def refused(self, command, ident):
        """A command that has to be refused with that message id."""
        version = self.array.store.version
        reply = self.run(command)
        assert reply.status != 0, (command, reply)
        assert reply.message_id == ident.value, (command, reply)
        assert self.array.store.version == version, 'refused, but changed'
        return reply

    def bind(self, name, ldn, pool=0, size=1):
        """An LD with a name."""
        self.ok(f'iSMcfg ldbind -poolnumber {pool} -ldn {ldn} '
                f'-capacity {size} -immediate')
        self.ok(f'iSMcfg nickname -ldn {ldn} -newname LX:{name} '
                '-immediate')

    def snapshot(self, bv, sv, pool=1):
        """A snapshot of a BV."""
        self.generation(bv, sv, pool)
        self.ok(f'iSMsc_create -bv {bv} -bvflg ld -sv {sv} -svflg ld')

    def generation(self, bv, sv, pool=1):
        """An SV without data."""
        self.ok(f'iSMcfg generationadd -bvname LX:{bv} -poolnumber {pool} '
                f'-count 1 -svname {sv}')

    def ldset(self, name='host1', kind='iscsi', options=''):
        """An LD Set."""
        self.ok(f'iSMcfg addldset -ldset LX:{name} -type {kind}{options}')

    def map(self, ld, ldset='host1', lun=None):
        """Map an LD."""
        self.ok(f'iSMcfg addldsetld -ldset LX:{ldset} -ldname LX:{ld}'
                + ('' if lun is None else f' -lun {lun}'))

    def pair(self, mv, rv):
        """Pair two LDs."""
        self.ok(f'iSMrc_pair -pair -mv {mv} -mvflg ld -rv {rv} -rvflg ld')

    def replicate(self, mv, rv, full=True):
        """Begin to copy."""
        self.ok(f'iSMrc_replicate -mv {mv} -mvflg ld -rv {rv} -rvflg ld '
                '-nowait ' + ('-cprange full ' if full else '')
                + '-cpmode bg')

    def separate(self, mv, rv, use='complete', access='rw'):
        """Separate a pair."""
        self.ok(f'iSMrc_separate -mv {mv} -mvflg ld -rv {rv} -rvflg ld '
                f'-rvacc {access} -rvuse {use} -nowait')

    def sync_state(self, rv):
        """The sync state of a pair as iSMrc_query shows it."""
        for line in self.ok(f'iSMrc_query -rv {rv} -rvflg ld').splitlines():
            if line.strip().startswith('Sync State'):
                return line.split()[-1]
        raise AssertionError('no Sync State')

    def snap_state(self, sv):
        """The state of a snapshot as iSMsc_query shows it."""
        for line in self.ok(
                f'iSMsc_query -sv {sv} -svflg ld -summary').splitlines():
            if f':{sv} ' in line:
                return line.partition(') ')[2].split(' ')[0]
        raise AssertionError('no row of the SV')

    def ld(self, name):
        """The record of an LD."""
        return self.array.store.find_ld(name)

    def write(self, name, data, offset=0):
        """Write to an LD as a host does."""
        ld = self.ld(name)
        self.array.backing.write(ld.ldn, offset, data, ld.capacity)

    def read(self, name, length, offset=0):
        """Read an LD as a host does."""
        ld = self.ld(name)
        return self.array.backing.read(ld.ldn, offset, length, ld.capacity)


@pytest.fixture
def make_bench(tmp_path):
    """Makes an array; `config` is a name, `changes` go over it."""
    def make(config='empty', directory=None, **changes):
        values = read_config(find_config(config))
        values.update(changes)
        return Bench(directory or tmp_path / 'state', values)
    return make


@pytest.fixture
def bench(make_bench):
    """An array with pools and ports and nothing else."""
    return make_bench()
