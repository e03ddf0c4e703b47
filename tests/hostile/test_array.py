# SPDX-License-Identifier: Apache-2.0
"""What a broken array, or one that is somebody else, may answer.

Names of entities, files and addresses in XML: tests/unit/test_config_xml.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cinder_nec import errors, retry
from cinder_nec.ismcli import config_xml, status_text
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.commands import PairRole
from cinder_nec.ismcli.config_values import READ_UNITS
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.model import PairState, SnapState
from harness.venvs import ROOT
from tests.helpers import fixture_bytes, fixture_text
from tests.ssh import support
from tests.ssh.server import Server

LONG_BYTES = 200_000_000
# What Python and the libraries take, and an answer that was nearly too
# long, twice; all of the 200 MB would be more.
MEMORY_BYTES = 300 << 20
READER = r'''
import json, pathlib, re, sys
from cinder_nec import errors, retry
from cinder_nec.ismcli.client import IsmClient
from cinder_nec.ismcli.gate import ChangeGate
from cinder_nec.ismcli.ssh import SshSettings, SshTransport

class Longwinded(SshTransport):
    asked = 0
    def run(self, _command, timeout_seconds):
        self.asked += 1
        return super().run(sys.argv[3], timeout_seconds)

clock = retry.SystemClock()
transport = Longwinded(SshSettings(
    host='127.0.0.1', port=int(sys.argv[1]), user='sysadmin',
    password='sys123', known_hosts_file=sys.argv[2]), clock)
client = IsmClient(transport, ChangeGate(clock=clock), clock=clock)
try:
    client.query_all()
    came_to = 'a value'
except errors.NecError as error:
    came_to = f'{type(error).__name__}: {error}'
# Not getrusage(): its peak is that of the process that started this one.
status = pathlib.Path('/proc/self/status').read_text()
peak = int(re.search(r'VmHWM:\s*([0-9]+) kB', status)[1]) << 10
print(json.dumps([came_to, transport.asked, peak]))
'''


def test_an_answer_of_200_mb(tmp_path):
    """It is given up in time, once, and does not fill the memory."""
    with Server([support.key('ed25519')]) as server:
        hosts = tmp_path / 'hosts'
        hosts.write_text(support.host_line(f'[127.0.0.1]:{server.port}',
                                           'ed25519'))
        done = subprocess.run(
            [sys.executable, '-c', READER, str(server.port), str(hosts),
             f'big {LONG_BYTES} 0'], cwd=ROOT, capture_output=True,
            text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    came_to, asked, peak = json.loads(done.stdout)
    assert came_to.startswith('ParseError: ') and 'longer than' in came_to
    assert asked == 1
    assert peak < MEMORY_BYTES


def test_a_change_with_a_long_answer_is_looked_at_on_the_array():
    """Whether it was carried out is not known; it is not sent again."""
    sent = []

    class Transport:
        def run(self, command_line, timeout_seconds):
            sent.append(command_line)
            raise errors.AnswerTooLong('its answer is too long')

    client = IsmClient(Transport(), ChangeGate(), clock=retry.SystemClock())
    with pytest.raises(errors.OutcomeUnknown):
        client.ldbind(0, 1, 1)
    assert len(sent) == 1


DUMPS = ('iscsi_multitarget.xml', 'fc.xml', 'iscsi_normal.xml', 'odd.xml')


@pytest.mark.parametrize('name', DUMPS)
@pytest.mark.parametrize('unit', sorted(READ_UNITS))
def test_a_unit_that_is_missing_everywhere(name, unit):
    """One odd object for each, and nothing else goes down."""
    whole = config_xml.parse(fixture_bytes(name))
    cut = fixture_text(name).replace(f'name="{unit}"', 'name="Other"')
    found = config_xml.parse(cut)
    assert set(found.logical_disks) <= set(whole.logical_disks)
    assert set(found.ld_sets) <= set(whole.ld_sets)
    if cut != fixture_text(name) and unit in (
            'LDN(h)', 'LD Capacity', 'LD Set Name', 'Pool Capacity'):
        assert found.unrecognized != whole.unrecognized


@pytest.mark.parametrize('name', DUMPS)
@pytest.mark.parametrize('wrong', [
    b'\xff', b'\xc3', b'\xed\xa0\x80', b'\xf8\x88\x80\x80\x80', b'\x80'])
def test_invalid_utf_8_is_one_odd_name(name, wrong):
    data = fixture_bytes(name)
    at = data.index(b'"LD Name"') + len(b'"LD Name">')
    whole = config_xml.parse(data)
    found = config_xml.parse(data[:at] + wrong + data[at:])
    assert set(found.logical_disks) == set(whole.logical_disks)


@pytest.mark.parametrize('word', [
    'rpl/new', '', '-', 'SEPARATED!', 'sep', '\ufffd', 'a' * 1000])
def test_unknown_states_are_never_a_known_one(word):
    text = fixture_text('rc_query_rv.txt')
    lines = [f'  Sync State {word}' if 'Sync State' in line else line
             for line in text.splitlines()]
    asked = next(line.split()[-1] for line in lines if 'LD Name' in line)
    try:
        found = status_text.parse_pairs('\n'.join(lines), asked,
                                        PairRole.RV)
    except errors.ParseError:
        return
    assert {pair.state for pair in found} == {PairState.UNRECOGNIZED}


@pytest.mark.parametrize('word', [
    'snap/new', 'snap', 'SNAP/ACTIVE!', 'active', '\ufffd', 'a' * 1000])
def test_unknown_snapshot_states_are_never_a_known_one(word):
    text = fixture_text('sc_query_summary.txt').replace('snap/active', word)
    assert word in text
    try:
        found = status_text.parse_snapshots(text)
    except errors.ParseError:
        return
    assert {one.state for one in found} <= {
        SnapState.UNRECOGNIZED, *(
            one.state for one in status_text.parse_snapshots(
                fixture_text('sc_query_summary.txt'))
            if one.state is not SnapState.ACTIVE)}
