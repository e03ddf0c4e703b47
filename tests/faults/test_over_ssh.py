# SPDX-License-Identifier: Apache-2.0
"""Some of the matrix over real SSH: connections that are really lost.

The array is a process of its own.  Waits are cut short where only the
driver waits; an answer that never comes is left to the matrix, because a
command is given minutes.
"""

from __future__ import annotations

import contextlib
import itertools
import time

import pytest

from harness.array import Array
from harness.tally import chosen, wants_all
from tests.cinder.drivers import DRIVERS  # first: it registers objects

from cinder import exception  # isort: skip

from cinder_nec import assembly, retry  # isort: skip
from cinder_nec.backend.claims import Claims  # isort: skip
from cinder_nec.backend.inventory import Inventory  # isort: skip
from cinder_nec.ismcli.client import IsmClient  # isort: skip
from cinder_nec.ismcli.gate import ChangeGate  # isort: skip
from cinder_nec.ismcli.ssh import SshSettings, SshTransport  # isort: skip
from cinder_nec.model import Protocol  # isort: skip
from tests.faults import kinds  # isort: skip
from tests.faults.rig import NoOptions, Rig, config_with  # isort: skip

pytestmark = pytest.mark.service
DATA = 'what the user wrote'
REFUSED_SECONDS = 10.0
FAULTS = (('busy', {}), ('refuse', {}), ('drop_before', {}),
          ('drop_after', {}), ('truncate', {'keep': 0.4}), ('garble', {}))
CAUSES = {'busy': kinds.BUSY, 'refuse': ('iSM99905',),
          'drop_before': kinds.LOST_ANSWER, 'drop_after': kinds.LOST_ANSWER,
          'truncate': kinds.NOT_UNDERSTOOD, 'garble': kinds.NOT_UNDERSTOOD}
# Without --all, one of so many runs.
EVERY = 5


class Hasty(retry.SystemClock):
    """The machine's clock; a long sleep is skipped for the most part."""

    def __init__(self) -> None:
        self._skipped = 0.0

    def now(self) -> float:
        return super().now() + self._skipped

    def sleep(self, seconds: float) -> None:
        short = min(seconds, 0.02)
        self._skipped += seconds - short
        super().sleep(short)


class Site:
    """A driver that talks to a simulated array over SSH."""

    a_volume, a_snapshot = Rig.a_volume, Rig.a_snapshot
    host = Rig.host

    def __init__(self, cls, array: Array, known_hosts, clock) -> None:
        self.cls, self.array = cls, array
        config = config_with(
            address=array.host, port=array.port, user=array.user,
            password=array.password, known_hosts_file=str(known_hosts))
        self.transport = SshTransport(SshSettings(
            host=array.host, port=array.port, user=array.user,
            password=array.password, known_hosts_file=str(known_hosts)),
            retry.SystemClock())
        client = IsmClient(self.transport, ChangeGate(clock=clock),
                           clock=clock)
        made = object.__new__(cls)
        made._driver_name, made.host = cls.__name__, 'node@gold'
        made._lookup, made._stats, made.cluster_name = None, {}, None
        made.configuration = NoOptions()
        made._backend = assembly.put_together(
            config, assembly.Array(
                client, Inventory(client.query_all, clock), Claims(),
                ChangeGate(clock=clock)),
            cls.PROTOCOL, cls.METHOD, clock, start=lambda _work: None)
        self.driver = made
        self.new_objects()

    def new_objects(self) -> None:
        self.volume = self.a_volume(next(_numbers), size=1)
        self.clone = self.a_volume(next(_numbers), size=1)
        self.snapshot = self.a_snapshot(next(_numbers))
        self.snapshot.volume_size = 1

    def ready(self) -> None:
        self.new_objects()
        self.driver.create_volume(self.volume)
        self.array.write(self.volume.id, 0, DATA.encode())

    def read(self, record) -> str:
        return self.array.read(record.id, 0, len(DATA)).decode()

    def rest(self) -> None:
        settler = self.driver.backend.settler
        for copy in tuple(settler._copies.values()):
            settler.settle(copy.rv, 600.0)

    def clean_up(self) -> None:
        self.rest()
        self.driver.terminate_connection(self.volume, None)
        self.driver.delete_snapshot(self.snapshot)
        self.driver.delete_volume(self.clone)
        self.driver.delete_volume(self.volume)


_numbers = itertools.count(100)
OPERATIONS = {
    'create': (lambda s: None, lambda s: s.driver.create_volume(s.volume),
               lambda s: s.driver.delete_volume(s.volume)),
    'attach': (Site.ready, lambda s: s.driver.initialize_connection(
        s.volume, s.host(next(_numbers) % 200)), lambda s: None),
    'snapshot': (Site.ready,
                 lambda s: s.driver.create_snapshot(s.snapshot),
                 lambda s: s.driver.delete_snapshot(s.snapshot)),
    'clone': (Site.ready, lambda s: s.driver.create_cloned_volume(
        s.clone, s.volume), lambda s: s.driver.delete_volume(s.clone)),
    'delete': (Site.ready, lambda s: s.driver.delete_volume(s.volume),
               lambda s: None),
}


@pytest.fixture(scope='module', params=DRIVERS, ids=lambda c: c.__name__)
def array(request, tmp_path_factory):
    with Array(tmp_path_factory.mktemp('array')) as running:
        running.cls = request.param
        yield running


@pytest.fixture
def known_hosts(array, tmp_path):
    path = tmp_path / 'known_hosts'
    path.write_text(array.known_hosts_line() + '\n')
    return path


@contextlib.contextmanager
def site_on(array, known_hosts, clock):
    """A site; what it had is deleted, and nothing else was there."""
    before = array.contents()
    made = Site(array.cls, array, known_hosts, clock)
    try:
        yield made
    finally:
        array.control.clear_faults()
        made.clean_up()
        made.transport.close()
    assert array.contents() == before


def cases_of(array, site, name):
    """Do it once; return which command may fail in which way."""
    prepare, run, _again = OPERATIONS[name]
    site.driver.check_for_setup_error()
    prepare(site)
    mark = array.mark()
    check_told(site, name, run(site))
    commands = len(array.journal(mark))
    site.clean_up()
    assert commands
    return [(nth, *fault) for nth in range(1, commands + 1)
            for fault in FAULTS]


@pytest.mark.parametrize('name', OPERATIONS)
def test_commands_fail_over_ssh(array, known_hosts, name, tries):
    with site_on(array, known_hosts, Hasty()) as site:
        cases = cases_of(array, site, name)
        offset = 0 if wants_all() else DRIVERS.index(array.cls)
        for nth, action, values in chosen(cases[offset:], EVERY):
            tries.tried('faults over SSH')
            fail(array, site, name, nth, action, values)
            tries.survived('faults over SSH')


def check_told(site, name, told):
    """What Cinder is told is what the array has."""
    if name != 'attach':
        assert told is None
        record = {'snapshot': site.snapshot, 'clone': site.clone}.get(
            name, site.volume)
        assert (site.array.find_ld(record.id) is None) == (name == 'delete')
        return
    ldn = site.array.ld(site.volume.id).ldn
    data = told['data']
    assert data['volume_id'] == site.volume.id
    # A second try is made by another host.
    ld_sets = site.array.sets_of(site.volume.id)
    if site.cls.PROTOCOL is Protocol.FC:
        assert (ldn, set(data['initiator_target_map'])) in [
            (s.luns.get(data['target_lun']), set(s.wwpns)) for s in ld_sets]
    else:
        assert (ldn, True) in [
            (s.ldn_at(data['target_iqn'], data['target_lun']),
             data['target_portal'] in s.portals) for s in ld_sets]


def fail(array, site, name, nth, action, values):
    prepare, run, again = OPERATIONS[name]
    prepare(site)
    before = array.contents()
    array.control.add_fault(action, nth=nth, **values)
    try:
        check_told(site, name, run(site))
    except exception.CinderException as error:
        assert any(word in str(error) for word in CAUSES[action]), error
        if name != 'delete':
            assert array.contents() == before
    assert array.control.faults()[0]['hits'] == 1
    array.control.clear_faults()
    again(site)
    check_told(site, name, run(site))
    site.rest()
    if name not in ('create', 'delete'):
        assert site.read(site.volume) == DATA
    if name == 'clone':
        assert site.read(site.clone) == DATA
    site.clean_up()


def test_ssh_is_refused_for_ten_seconds(array, known_hosts, tries):
    """Nothing was sent, so it is tried again until there is an answer."""
    if not wants_all() and array.cls is not DRIVERS[0]:
        pytest.skip('ten seconds for each class: with tools/test --all')
    with site_on(array, known_hosts, retry.SystemClock()) as site:
        tries.tried('faults over SSH')
        site.ready()
        started = time.monotonic()
        array.control.refuse_ssh(REFUSED_SECONDS)
        array.control.drop_connections()
        assert site.driver.create_snapshot(site.snapshot) is None
        # No answer came sooner: every try before was refused.
        assert time.monotonic() - started >= REFUSED_SECONDS
        array.write(site.volume.id, 0, b'x' * len(DATA))
        assert site.read(site.snapshot) == DATA
        tries.survived('faults over SSH')


def test_ssh_is_refused_for_good(array, known_hosts):
    """The message tells which array, and that it refuses."""
    with site_on(array, known_hosts, Hasty()) as site:
        array.control.refuse_ssh(3600)
        array.control.drop_connections()
        with pytest.raises(exception.VolumeBackendAPIException,
                           match=array.host):
            site.driver.create_volume(site.volume)
        array.control.refuse_ssh(0)
