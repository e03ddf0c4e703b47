# SPDX-License-Identifier: Apache-2.0
"""The array's commands as methods: one per vendor command, no workflow.

A READ is repeated when the connection fails.  A CHANGE is repeated only
when it certainly was not carried out: the array was busy, or nothing was
sent.  Otherwise :class:`errors.OutcomeUnknown` reaches the workflow, which
reads the array again (DESIGN.md section 4).
"""

from __future__ import annotations

import copy
import logging
import math
import random
import time

from cinder_nec import errors, retry
from cinder_nec.ismcli import (
    commands,
    config_xml,
    messages,
    status_text,
    view_text,
)
from cinder_nec.ismcli.commands import Command, Effect
from cinder_nec.ismcli.gate import ChangeGate, Priority, Ticket
from cinder_nec.ismcli.meter import CommandMeter
from cinder_nec.ismcli.transport import CommandResult, Transport
from cinder_nec.model import (
    ArrayConfig,
    InitiatorName,
    LdName,
    LdSetName,
    PairStatus,
    SnapStatus,
    Wwpn,
)

LOG = logging.getLogger(__name__)

# As long as the array's own drivers wait for it: 60 tries, 5 s apart.
BUSY_RETRY = retry.RetryPolicy(
    first_seconds=0.2, factor=1.5, longest_seconds=5.0,
    within_seconds=300.0)
# Twice this is less than the gate's PAUSE_SECONDS.
BUSY_POLL_SECONDS = 0.08
BUSY_PATIENCE_SECONDS = 15.0
LINK_RETRY = retry.RetryPolicy(
    first_seconds=1.0, factor=2.0, longest_seconds=10.0,
    within_seconds=60.0)
# At the start of a service, whose other back ends wait for it.
START_RETRY = retry.RetryPolicy(
    first_seconds=1.0, factor=2.0, longest_seconds=5.0,
    within_seconds=15.0)


class IsmClient:
    """Runs iSMCLI commands on one array; safe for many threads.

    :param transport: carries the command lines
    :param gate: shared by all clients of the array in this process
    :param legacy_view: None for iSMquery, else whether the legacy iSMview
        is asked for its optimized form (``nec_ismview_alloptimize``)
    :param patience_seconds: how long an answer may take, if a command does
        not ask for less
    """

    def __init__(self, transport: Transport, gate: ChangeGate, *,
                 clock: retry.Clock, legacy_view: bool | None = None,
                 busy_retry: retry.RetryPolicy = BUSY_RETRY,
                 link_retry: retry.RetryPolicy = LINK_RETRY,
                 start_retry: retry.RetryPolicy = START_RETRY,
                 patience_seconds: float = math.inf) -> None:
        self._transport = transport
        self._patience_seconds = patience_seconds
        self._gate = gate
        self._clock = clock
        self._legacy_view = legacy_view
        self._busy_retry = busy_retry
        self._link_retry = link_retry
        self._start_retry = min(start_retry, link_retry,
                                key=lambda policy: policy.within_seconds)
        self._priority = Priority.PROVISION
        self.meter = CommandMeter(clock)

    def urgent(self) -> IsmClient:
        """Return this client with the priority of attach and detach."""
        other = copy.copy(self)
        other._priority = Priority.ATTACH
        return other

    def close(self) -> None:
        self._transport.close()

    # -- running -------------------------------------------------------

    def _run(self, command: Command,
             link_retry: retry.RetryPolicy | None = None) -> CommandResult:
        ticket = self._gate.ticket(self._priority)
        busy = self._busy_retry.delays(self._clock)
        link = (link_retry or self._link_retry).delays(self._clock)
        while True:
            try:
                if command.effect is Effect.READ:
                    return self._once(command)
                with self._gate.turn(ticket):
                    return self._patiently(command, ticket)
            except errors.ArrayBusy as error:
                failure: errors.NecError = error
                delay = next(busy, None)
            except errors.ConnectFailed as error:
                failure = error
                delay = None if error.permanent else next(link, None)
            except errors.OutcomeUnknown as error:
                if command.effect is Effect.CHANGE:
                    raise
                if isinstance(error, errors.AnswerTooLong):
                    raise errors.ParseError(
                        error.message, 'the answer to a read') from error
                failure = error
                delay = next(link, None)
            if delay is None:
                raise failure
            LOG.debug('Trying `%s` again in %.1f s: %s',
                      command.text, delay, failure)
            self._clock.sleep(delay)

    def _patiently(self, command: Command,
                   ticket: Ticket) -> CommandResult:
        """Run a change; ask again at once while another service is busy.

        The turn is kept meanwhile: the next in the queue would only be
        refused as well, and a service that comes back seldom would never
        meet the moment in which the other one leaves the array alone.
        """
        while True:
            try:
                return self._once(command)
            except errors.ArrayBusy:
                now = self._clock.now()
                if ticket.first_busy_at is None:
                    ticket.first_busy_at = now
                if (now - ticket.first_busy_at >= BUSY_PATIENCE_SECONDS
                        or self._gate.is_overtaken(ticket)):
                    raise
            self._clock.sleep(BUSY_POLL_SECONDS * (1 + random.random()))

    def _once(self, command: Command) -> CommandResult:
        started = self._clock.now()
        try:
            result = self._transport.run(
                command.text,
                min(command.timeout_seconds, self._patience_seconds))
            seconds = self._clock.now() - started
            LOG.debug('`%s`: status %d after %.2f s', command.text,
                      result.status, seconds)
            if result.status != 0:
                raise messages.failure(command.text, result)
        except errors.NecError as error:
            self.meter.failed(command.kind, error)
            raise
        self.meter.succeeded(command.kind, seconds)
        return result

    def repeat(self, text: str) -> None:
        """Run a change that :mod:`commands` has built, given as text.

        :raises errors.InvalidInput: it is none
        """
        self._run(Command.change_again(text))

    # -- configuration -------------------------------------------------

    def query_all(self, known: ArrayConfig | None = None) -> ArrayConfig:
        """Read and parse the whole configuration.

        An array that cannot be reached is waited for, but not for long
        when nothing is known of it yet: that is the start of a service,
        which Cinder repeats.

        :param known: an older one, whose unchanged parts are kept
        :raises errors.ParseError: if the answer is no configuration
        """
        if self._legacy_view is None:
            command = commands.query_all()
        else:
            command = commands.legacy_view_all(self._legacy_view)
        result = self._run(command, self._start_retry if known is None
                           else self._link_retry)
        return config_xml.parse(result.stdout,
                                breathe=lambda: time.sleep(0), known=known)

    def view_access(self) -> view_text.AccessControl:
        """Return whether access control is on, and how many use it."""
        result = self._run(commands.view_access())
        return view_text.parse_access(
            result.stdout.decode('utf-8', 'replace'))

    def has_full_access(self, name: LdSetName) -> bool | None:
        """Tell whether any initiator may use an LD Set; None if unseen."""
        result = self._run(commands.view_ld_set(name))
        return view_text.parse_full_access(
            result.stdout.decode('utf-8', 'replace'))

    # -- logical disks -------------------------------------------------

    def ldbind(self, pool: int, ldn: int, capacity_gib: int) -> None:
        """:raises errors.LdnInUse: the number is taken"""
        self._run(commands.ldbind(pool, ldn, capacity_gib))

    def ldbind_control_volume(self, pool: int, ldn: int) -> None:
        self._run(commands.ldbind_control_volume(pool, ldn))

    def ldunbind(self, name: LdName) -> None:
        self._run(commands.ldunbind(name))

    def ldexpand(self, ldn: int, capacity_gib: int) -> None:
        self._run(commands.ldexpand(ldn, capacity_gib))

    def nickname_of_ldn(self, ldn: int, new_name: LdName) -> None:
        self._run(commands.nickname_of_ldn(ldn, new_name))

    def nickname(self, old_name: LdName, new_name: LdName) -> None:
        self._run(commands.nickname(old_name, new_name))

    def setlimit(self, name: LdName, upper: int | None,
                 lower: int | None, report: bool | None) -> None:
        self._run(commands.setlimit(name, upper, lower, report))

    # -- access control ------------------------------------------------

    def addldset_iscsi(self, name: LdSetName) -> None:
        self._run(commands.addldset_iscsi(name))

    def addldset_fc(self, name: LdSetName) -> None:
        self._run(commands.addldset_fc(name))

    def addldsetinitiator(self, name: LdSetName,
                          initiator: InitiatorName) -> None:
        self._run(commands.addldsetinitiator(name, initiator))

    def addldsetpath(self, name: LdSetName, wwpn: Wwpn) -> None:
        self._run(commands.addldsetpath(name, wwpn))

    def addldsetld(self, ld_set: LdSetName, name: LdName,
                   lun: int | None = None) -> None:
        """:raises errors.AlreadyMapped: it is in that LD Set already"""
        self._run(commands.addldsetld(ld_set, name, lun))

    def delldsetld(self, ld_set: LdSetName, name: LdName) -> None:
        """:raises errors.NotMapped: it is not in that LD Set"""
        self._run(commands.delldsetld(ld_set, name))

    # -- data replication ----------------------------------------------

    def rc_pair(self, mv: str, rv: str) -> None:
        self._run(commands.rc_pair(mv, rv))

    def rc_unpair(self, mv: str, rv: str, *, force: bool = False) -> None:
        self._run(commands.rc_unpair(mv, rv, force=force))

    def rc_replicate(self, mv: str, rv: str,
                     copy_range: commands.CopyRange) -> None:
        self._run(commands.rc_replicate(mv, rv, copy_range))

    def rc_separate(self, mv: str, rv: str, access: commands.VolumeAccess,
                    use: commands.RvUse) -> None:
        self._run(commands.rc_separate(mv, rv, access, use))

    def rc_query(self, label: str,
                 role: commands.PairRole) -> tuple[PairStatus, ...]:
        """Return the pairs of an MV or RV.

        :raises errors.CommandFailed: among others if it is not paired
        """
        result = self._run(commands.rc_query(label, role))
        return tuple(status_text.parse_pairs(
            result.stdout.decode('utf-8', 'replace'), label, role))

    # -- snapshot ------------------------------------------------------

    def generationadd(self, bv: LdName, pool: int, sv: str) -> None:
        self._run(commands.generationadd(bv, pool, sv))

    def generationdel(self, bv: LdName) -> None:
        self._run(commands.generationdel(bv))

    def sc_create(self, bv: str, sv: str) -> None:
        self._run(commands.sc_create(bv, sv))

    def sc_delete(self, bv: str, sv: str) -> None:
        self._run(commands.sc_delete(bv, sv))

    def sc_restore(self, bv: str, sv: str) -> None:
        self._run(commands.sc_restore(bv, sv))

    def sc_query(self, bv: str, sv: str) -> SnapStatus:
        """Return the state of one generation."""
        result = self._run(commands.sc_query(bv, sv))
        return status_text.parse_snapshot(
            result.stdout.decode('utf-8', 'replace'), bv, sv)

    def sc_query_by_sv(self, sv: str) -> SnapStatus:
        """Return the state of a generation, and whose it is."""
        text = self._run(commands.sc_query_by_sv(sv)).stdout.decode(
            'utf-8', 'replace')
        return status_text.parse_snapshot(text, status_text.bv_of(text), sv)

    def sc_query_of_bv(self, bv: str) -> tuple[SnapStatus, ...]:
        """Return all generations of a BV."""
        result = self._run(commands.sc_query_of_bv(bv))
        return status_text.parse_snapshots(
            result.stdout.decode('utf-8', 'replace'))

    def lvbind(self, bv: LdName, lvn: int, lv: str) -> None:
        """:raises errors.LdnInUse: the number is taken"""
        self._run(commands.lvbind(bv, lvn, lv))

    def lvunbind(self, name: LdName) -> None:
        self._run(commands.lvunbind(name))

    def sc_link(self, lv: str, sv: str,
                access: commands.VolumeAccess) -> None:
        self._run(commands.sc_link(lv, sv, access))

    def sc_unlink(self, lv: str) -> None:
        self._run(commands.sc_unlink(lv))
