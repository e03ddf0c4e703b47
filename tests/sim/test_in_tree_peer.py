# SPDX-License-Identifier: Apache-2.0
"""The driver of the Cinder tree, unchanged, as a second opinion.

It was written against real arrays by people who had the command
references. What it sends has to be accepted, and what it reads found.
Cinder 29 has two classes, iSCSI and FC by the snapshot method; its volume
from snapshot and its clone use the data replication commands too.
"""

import json
from pathlib import Path
import subprocess
import sys

import pytest

from ismsim.process import SimProcess

pytest.importorskip('cinder.volume.drivers.nec')

HARNESS = Path(__file__).with_name('in_tree_harness.py')
GIB = 1 << 30
SOURCE = '24944c37-db40-45bc-ad11-fb3e9c54c9f0'
SNAPSHOT = '720847df-b37b-4320-9b97-c2a23d4e9309'
FROM_SNAPSHOT = '82f38460-919f-4722-a871-9e02e342b3a0'
CLONE = '7fd35865-4315-4a22-9d8f-7b18fde7a942'
CONNECTOR = {'host': 'compute1', 'multipath': True,
             'initiator': 'iqn.1994-05.com.redhat:d1d8e8f23255',
             'wwpns': ['10000090faa0786a', '10000090faa0786b']}


def ld_name(uuid):
    """The driver manual's chapter 8: the UUID as a base 62 number."""
    digits = ('0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ'
              'abcdefghijklmnopqrstuvwxyz')
    number, name = int(uuid.replace('-', ''), 16), ''
    while number:
        number, digit = divmod(number, 62)
        name = digits[digit] + name
    return name


def resource(uuid, **values):
    """A volume or snapshot as an argument."""
    return {'resource': {'id': uuid, **values}}


class Peer:
    """The in-tree driver in its process, and the array it works on."""

    def __init__(self, sim, tmp_path, driver, **options):
        self.sim = sim
        self.control = sim.control
        settings = {
            'driver': driver, 'state_path': str(tmp_path / 'cinder'),
            'options': {
                'nec_ismcli_fip': sim.host, 'nec_ismcli_user': sim.user,
                'nec_ismcli_password': sim.password,
                'nec_ssh_pool_port_number': sim.port,
                'nec_pools': ['0'], 'nec_backup_pools': ['1'],
                'nec_ismview_dir': str(tmp_path / 'view'),
                'nec_diskarray_name': '2000000991000316', **options}}
        self._process = subprocess.Popen(
            [sys.executable, str(HARNESS), json.dumps(settings)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(tmp_path / 'harness.log').open('wb'), text=True)
        self._log = tmp_path / 'harness.log'
        self._answer()

    def _answer(self):
        line = self._process.stdout.readline()
        assert line, self._log.read_text()[-3000:]
        return json.loads(line)

    def __call__(self, method, *args):
        print(json.dumps({'method': method, 'args': args}),
              file=self._process.stdin, flush=True)
        answer = self._answer()
        assert 'error' not in answer, answer['error']
        return answer.get('result')

    def ld(self, uuid):
        """What the array knows about a volume's LD."""
        return self.control.ld(ld_name(uuid))

    def write(self, uuid, data):
        """Write as a host that has the volume attached."""
        with self.control.path(ld_name(uuid)).open('r+b') as file:
            file.write(data)

    def read(self, uuid, length):
        """What such a host finds at the beginning."""
        with self.control.path(ld_name(uuid)).open('rb') as file:
            return file.read(length)

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(params=[
    ('MStorageISCSIDriver', False), ('MStorageISCSIDriver', True),
    ('MStorageFCDriver', False)], ids=['iscsi', 'iscsi-multi', 'fc'])
def peer(request, tmp_path):
    driver, multitarget = request.param
    with SimProcess() as sim:
        sim.control.call('rules', set={'default_multitarget': multitarget})
        peer = Peer(sim, tmp_path, driver)
        yield peer
        peer.close()
        # Nothing that it sent was out of the grammar.
        assert not sim.control.journal(kinds=['UNKNOWN'])


def test_life_of_a_volume(peer):
    volume = resource(SOURCE, size=2)
    peer('create_volume', volume)
    assert peer.ld(SOURCE)['capacity'] == 2 * GIB
    assert peer.ld(SOURCE)['pool'] == 0
    assert peer.ld(SOURCE)['rpl_attribute'] == 'IV'

    info = peer('initialize_connection', volume, CONNECTOR)
    check_connection(peer, info)
    peer.write(SOURCE, b'before the snapshot')

    snapshot = resource(SNAPSHOT, volume_id=SOURCE, size=2)
    peer('create_snapshot', snapshot)
    assert peer.ld(SNAPSHOT)['snap_state'] == 'snap/active'
    assert peer.ld(SNAPSHOT)['pool'] == 1
    assert 'BV' in peer.ld(SOURCE)['rpl_attribute']
    peer.write(SOURCE, b'after the snapshot!')
    assert peer.read(SNAPSHOT, 19) == b'before the snapshot'

    restored = resource(FROM_SNAPSHOT, size=3)
    peer('create_volume_from_snapshot', restored, snapshot)
    assert peer.read(FROM_SNAPSHOT, 19) == b'before the snapshot'
    assert peer.ld(FROM_SNAPSHOT)['capacity'] == 3 * GIB
    assert peer.ld(FROM_SNAPSHOT)['rpl_attribute'] == 'IV'

    clone = resource(CLONE, size=2)
    check_clone(peer, clone, volume)
    peer('terminate_connection', volume, CONNECTOR)
    assert peer.ld(SOURCE)['ldsets'] == []
    check_revert_and_delete(peer, volume, snapshot, (restored, clone))


def check_clone(peer, clone, volume):
    """The clone has the source's bytes of when it was asked for."""
    peer('create_cloned_volume', clone, volume)
    peer.write(SOURCE, b'after the clone!!!!')
    assert peer.read(CLONE, 19) == b'after the snapshot!'
    assert peer.read(FROM_SNAPSHOT, 19) == b'before the snapshot'
    assert peer.control.state()['pairs'] == []

    peer('extend_volume', clone, 5)
    assert peer.ld(CLONE)['capacity'] == 5 * GIB
    assert peer.read(CLONE, 19) == b'after the snapshot!'


def check_revert_and_delete(peer, volume, snapshot, others):
    """Back to the snapshot, and then everything goes."""
    peer('revert_to_snapshot', None, volume, snapshot)
    assert peer.read(SOURCE, 19) == b'before the snapshot'

    peer('delete_snapshot', snapshot)
    assert peer.ld(SNAPSHOT) is None
    assert peer.ld(SOURCE)['rpl_attribute'] == 'IV'
    for gone in (volume, *others):
        peer('delete_volume', gone)
        assert peer.ld(gone['resource']['id']) is None


def check_connection(peer, info):
    """The connection is to what the array has really mapped."""
    data = info['data']
    ldset, = peer.ld(SOURCE)['ldsets']
    mapped, = peer.control.ldset(ldset)['luns']
    assert mapped['ld'] == ld_name(SOURCE)
    if info['driver_volume_type'] == 'iscsi':
        assert data['target_lun'] == mapped['lun']
        assert data['target_iqn'] == mapped['target']
        assert sorted(data['target_portals']) == [
            f'127.0.0.1{number}:3260' for number in (1, 2, 3, 4)]
    else:
        assert data['target_lun'] == mapped['lun']
        assert '2100000991020012' in data['target_wwn']
        assert peer.control.ldset(ldset)['paths'] == [
            '1000-0090-FAA0-786A', '1000-0090-FAA0-786B']


def test_snapshot_attached_through_a_link_volume(peer):
    volume = resource(SOURCE, size=1)
    snapshot = resource(SNAPSHOT, volume_id=SOURCE, size=1)
    peer('create_volume', volume)
    peer.write(SOURCE, b'frozen')
    peer('create_snapshot', snapshot)
    peer.write(SOURCE, b'thawed')
    info = peer('initialize_connection_snapshot', snapshot, CONNECTOR)
    lv = ld_name(SNAPSHOT) + '_l'
    assert peer.control.ld(lv)['sv'] == ld_name(SNAPSHOT)
    assert peer.control.path(lv).read_bytes()[:6] == b'frozen'
    luns = {lun['ld']: lun['lun'] for lun in peer.control.ldset(
        peer.control.ld(lv)['ldsets'][0])['luns']}
    assert info['data']['target_lun'] == luns[lv] == 1
    # The control volume took LUN 0.
    control_volume, = (name for name in luns if name != lv)
    assert control_volume.startswith('__ControlVolume_')
    assert luns[control_volume] == 0
    peer('terminate_connection_snapshot', snapshot, CONNECTOR)
    assert peer.control.ld(lv) is None


def test_the_legacy_view(tmp_path):
    with SimProcess() as sim:
        peer = Peer(sim, tmp_path, 'MStorageISCSIDriver',
                    nec_queryconfig_view=True)
        peer('create_volume', resource(SOURCE, size=1))
        stats = peer('get_volume_stats', True)
        assert stats['total_capacity_gb'] == 10 * 1024
        assert stats['free_capacity_gb'] == 10 * 1024 - 16 - 150 - 1
        peer.close()
        dumps = sim.control.journal(kinds=['DUMP'])
        assert {entry['command'] for entry in dumps} == {
            'clioutmsg xml; iSMview -all'}
        assert not sim.control.journal(kinds=['UNKNOWN'])


def test_a_busy_array_is_asked_again(tmp_path):
    with SimProcess() as sim:
        peer = Peer(sim, tmp_path, 'MStorageISCSIDriver')
        sim.control.add_fault('busy', prefix='iSMcfg ldbind', times=3)
        peer('create_volume', resource(SOURCE, size=1))
        statuses = [entry['status'] for entry in sim.control.journal()
                    if entry['command'].startswith('iSMcfg ldbind')]
        assert statuses == [1, 1, 1, 0]
        peer.close()
