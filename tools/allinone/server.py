# SPDX-License-Identifier: Apache-2.0
"""The process itself: ``python -m allinone serve --state DIR``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
import os
from pathlib import Path
import shutil
import signal
import sys
import threading
import time
from typing import Any

from allinone import patches
from allinone.config import Layout

# How long running operations may take after a request to stop.
GRACE_SECONDS = 10.0


def print_json(endpoint: str, up: dict[str, bool]) -> None:
    """Say in one line where the API is and which back ends came up."""
    print(json.dumps({'endpoint': endpoint, 'pid': os.getpid(),
                      'backends': up}), flush=True)


def serve(state: Path, port: int = 0, template: Path | None = None,
          backup: bool = False,
          tell: Callable[[str, dict[str, bool]], None] = print_json,
          more: Sequence[Path] = ()) -> None:
    """Run Cinder until SIGTERM or SIGINT.

    *tell* is called once every back end that came up is known to the
    scheduler. *template* is a migrated empty database to start from, made
    if it is not there; *more* are configuration files over cinder.conf.
    """
    patches.patch_threads()
    native = patches.native_threads()
    layout = Layout(state.resolve())
    layout.pid.write_text(f'{os.getpid()}\n')
    stop = StopRequest()
    conf = configure(layout, more)
    prepare_database(layout, template)
    if native:
        patches.queue_for_sqlite()
    scheduler, volumes = start_services(conf)
    others = [scheduler, *([start_backup(conf)] if backup else [])]
    sock = start_api(layout, port, native)
    endpoint = f'http://127.0.0.1:{sock.getsockname()[1]}/v3'
    wait_for_scheduler(scheduler, volumes)
    up = {name: name in volumes
          and bool(volumes[name].manager.driver.initialized)
          for name in conf.enabled_backends or []}
    # Whoever is told may ask to stop at once.
    stop.orderly = True
    tell(endpoint, up)
    while not stop.asked:
        time.sleep(0.05)
    sock.close()
    shut_down([*volumes.values(), *others])


class StopRequest:
    """Set by a signal; polled, as eventlet cannot wait for a signal."""

    def __init__(self) -> None:
        self.asked = False
        # Until then there is nothing to stop in order.
        self.orderly = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: Any) -> None:
        self.asked = True
        if not self.orderly:
            os._exit(1)


def configure(layout: Layout, more: Sequence[Path] = ()) -> Any:
    """Read cinder.conf as Cinder's entry points do."""
    import cinder.i18n
    cinder.i18n.enable_lazy()
    from cinder import objects, version
    from cinder.common import config
    import os_brick
    from oslo_config import cfg
    from oslo_log import log as logging

    from allinone import transport

    objects.register_all()
    files = [layout.conf, *more]
    cfg.CONF([f'--config-file={path}' for path in files], project='cinder',
             version=version.version_string())
    config.set_middleware_defaults()
    logging.setup(cfg.CONF, 'cinder')
    if hasattr(os_brick, 'setup'):
        os_brick.setup(cfg.CONF)
    patches.run_privileged_code_here()
    transport.install()
    return cfg.CONF


def prepare_database(layout: Layout, template: Path | None) -> None:
    """Create the schema; migrating takes longer than all else together."""
    if layout.database.exists():
        return
    if template is not None and template.exists():
        shutil.copyfile(template, layout.database)
        return
    from cinder.db import migration
    migration.db_sync()
    if template is not None:
        template.parent.mkdir(parents=True, exist_ok=True)
        scratch = template.with_suffix(f'.{os.getpid()}')
        shutil.copyfile(layout.database, scratch)
        scratch.replace(template)


def start_services(conf: Any) -> tuple[Any, dict[str, Any]]:
    """Start the scheduler and one volume service for each back end."""
    from cinder import coordination, rpc
    from oslo_log import log as logging
    service = patches.service_class()
    log = logging.getLogger('cinder.allinone')

    rpc.init(conf)
    coordination.COORDINATOR.start()
    scheduler = service.create(binary='cinder-scheduler')
    # It waits there for the first back end, which is yet to come.
    in_background(scheduler.manager, 'init_host_with_rpc')
    scheduler.start()
    volumes = {}
    for name in conf.enabled_backends or []:
        try:
            volumes[name] = service.create(
                binary='cinder-volume', host=f'{conf.host}@{name}',
                service_name=name, coordination=True)
        except Exception:
            # As cinder-volume does: the other back ends go on.
            log.exception('Volume service %s failed to start.', name)

    def start(name: str) -> None:
        try:
            volumes[name].start()
        except Exception:
            del volumes[name]
            log.exception('Volume service %s failed to start.', name)

    # Side by side, as processes of their own would: one that waits for
    # its array does not hold the others up.
    threads = [threading.Thread(target=start, args=(name,), daemon=True)
               for name in list(volumes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return scheduler, volumes


def start_backup(conf: Any) -> Any:
    """Start cinder-backup as its own program does."""
    from cinder import utils
    from cinder.cmd import backup
    del backup  # It registers options.
    backup_service = patches.service_class().create(
        binary='cinder-backup', coordination=True, service_name='backup',
        process_number=1,
        semaphore=utils.semaphore_factory(conf.backup_max_operations, 1))
    backup_service.start()
    return backup_service


def in_background(owner: Any, method: str) -> None:
    """Make a method of one object start a thread and return."""
    original = getattr(owner, method)

    def start(*args: Any, **kwargs: Any) -> None:
        threading.Thread(target=original, args=args, kwargs=kwargs,
                         daemon=True).start()

    setattr(owner, method, start)


def start_api(layout: Layout, port: int, native: bool) -> Any:
    """Load the API application and serve it."""
    from paste import deploy

    from allinone import wsgi
    app = deploy.loadapp(f'config:{layout.api_paste}',
                         name='osapi_volume')
    sock = wsgi.listen(port)
    wsgi.serve(sock, app, native)
    return sock


def wait_for_scheduler(scheduler: Any, volumes: dict[str, Any]) -> None:
    """Wait until the scheduler knows every back end that came up."""
    from cinder import context
    wanted = {svc.host for svc in volumes.values()
              if svc.manager.driver.initialized}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        pools = scheduler.manager.driver.get_pools(
            context.get_admin_context(), None)
        if wanted <= {pool['name'].partition('#')[0] for pool in pools}:
            return
        time.sleep(0.02)


def shut_down(services: list[Any]) -> None:
    """Stop the services and leave, whatever still hangs."""
    # The kernel's clock: a thread of our own might not get to run.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, GRACE_SECONDS)
    for svc in services:
        svc.stop()
    sys.stdout.flush()
    # Native threads that wait for work would keep the interpreter.
    os._exit(0)
