# SPDX-License-Identifier: Apache-2.0
"""What has to differ when several Cinder services share one process."""

from __future__ import annotations

import os
import threading
from typing import Any

NATIVE_THREADS = 'OS_CINDER_DISABLE_EVENTLET_PATCHING'


def native_threads() -> bool:
    """True if the environment asks for Cinder without eventlet."""
    return os.environ.get(NATIVE_THREADS, '').lower() in ('1', 'true', 'yes')


def patch_threads() -> None:
    """Do what the running Cinder's own entry points do first.

    To be called before anything that uses threads, sockets or logging is
    imported.
    """
    try:
        from cinder import monkey_patch
    except ImportError:
        # Before Cinder 29 there was only eventlet, patched on import.
        if native_threads():
            raise SystemExit('this Cinder has no native-thread mode: it '
                             'came with Cinder 29') from None
        _patch_eventlet()
        return
    monkey_patch.patch()


def _patch_eventlet() -> None:
    import eventlet
    eventlet.monkey_patch()
    # https://github.com/eventlet/eventlet/issues/592
    import __original_module_threading as original  # type: ignore
    original.current_thread.__globals__['_active'] = (
        threading._active)  # type: ignore[attr-defined]


def run_privileged_code_here() -> None:
    """Run privsep functions in this process instead of a sudo helper.

    A helper would need rootwrap, and would outlive the service.
    """
    import cinder.privsep
    import os_brick.privileged
    contexts = [cinder.privsep.sys_admin_pctxt, os_brick.privileged.default]
    hidden = getattr(os_brick.privileged, 'brick_privsep_hide_output', None)
    for context in [*contexts, hidden]:
        if context is not None:
            context.set_client_mode(False)


def queue_for_sqlite() -> None:
    """Take the write lock when a transaction begins.

    With native threads, a transaction that first reads and then writes
    fails with "database is locked" when another one wrote in between.
    Under eventlet transactions never overlap, and waiting for the lock
    would stop the thread that holds it.
    """
    import sqlalchemy.engine
    import sqlalchemy.event

    @sqlalchemy.event.listens_for(
        sqlalchemy.engine.Engine, 'before_cursor_execute', retval=True)
    def immediately(_conn: Any, _cursor: Any, statement: str,
                    parameters: Any, _context: Any,
                    _many: bool) -> tuple[str, Any]:
        if statement == 'BEGIN':
            statement = 'BEGIN IMMEDIATE'
        return statement, parameters


def service_class() -> Any:
    """cinder.service.Service, with a record of its own for each instance.

    The id of the service record is an attribute of Cinder's class: in one
    process only the last service started would keep its heartbeat, and
    the others go down after service_down_time. Services that start side
    by side could even clean up in each other's name.
    """
    from cinder import service
    lock = threading.Lock()

    class Service(service.Service):
        def start(self) -> None:
            init_host = self.manager.init_host

            def as_myself(**arguments: Any) -> Any:
                return init_host(**{
                    **arguments, 'service_id': self.origin_service_id})

            self.manager.init_host = as_myself
            super().start()

        def report_state(self) -> None:
            with lock:
                service.Service.service_id = self.origin_service_id
                super().report_state()

    return Service
