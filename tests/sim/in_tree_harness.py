# SPDX-License-Identifier: Apache-2.0
"""Runs the driver of the Cinder tree in a process of its own.

Started by test_in_tree_peer.py with the settings as a JSON argument. Each
line on stdin names a method of the driver and its arguments; each line on
stdout is its result or its exception.

Patched as Cinder 29 does it (eventlet), because the driver's SSH pool
needs that. Of the driver itself nothing is changed but the waiting: its
module's view of `time.sleep` and the pauses between two looks at a copy
(10 s at least) become short.
"""

import json
import os
import sys
import types

import eventlet

eventlet.monkey_patch()

from cinder import objects  # noqa: E402

objects.register_all()

from cinder import coordination  # noqa: E402
from cinder.volume import configuration  # noqa: E402
from cinder.volume import driver as _driver  # noqa: E402,F401
from cinder.volume.drivers.nec import cli  # noqa: E402
from cinder.volume.drivers.nec import volume as nec_volume  # noqa: E402
from oslo_config import cfg  # noqa: E402


class Resource(types.SimpleNamespace):
    """As much of a volume or snapshot object as the driver looks at."""

    @property
    def name_id(self):
        """What Cinder derives names from."""
        return self._name_id or self.id


def make_resource(values):
    """A volume or a snapshot."""
    defaults = {'_name_id': None, 'size': 1, 'status': 'available',
                'volume_type_id': None, 'attach_status': 'detached',
                'volume_attachment': None, 'provider_location': None,
                'volume_id': None}
    return Resource(**{**defaults, **values, 'name': values['id']})


def make_driver(settings):
    """The driver as the volume manager makes it."""
    conf = cfg.CONF
    state = settings['state_path']
    os.makedirs(os.path.join(state, 'locks'), exist_ok=True)
    conf([], project='cinder', default_config_files=[])
    conf.set_override('state_path', state)
    conf.set_override('lock_path', os.path.join(state, 'locks'),
                      group='oslo_concurrency')
    conf.set_override('backend_url', f'file://{state}/coordination',
                      group='coordination')
    coordination.COORDINATOR.start()
    config = configuration.Configuration(
        _driver.volume_opts, config_group='peer')
    driver_class = getattr(nec_volume, settings['driver'])
    config.append_config_values(driver_class.get_driver_options())
    for name, value in settings['options'].items():
        conf.set_override(name, value, group='peer')
    driver = driver_class(configuration=config, host='test@peer')
    driver.do_setup(None)
    driver.check_for_setup_error()
    return driver


def argument(value):
    """An argument as it was meant."""
    if isinstance(value, dict) and 'resource' in value:
        return make_resource(value['resource'])
    return value


def main():
    """Serve until stdin ends."""
    cli.get_sleep_time_for_clone = lambda _count: 0.01
    cli.time = types.SimpleNamespace(
        sleep=lambda _seconds: eventlet.sleep(0.01), time=cli.time.time)
    driver = make_driver(json.loads(sys.argv[1]))
    print(json.dumps({'ready': True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        method = getattr(driver, request['method'])
        try:
            answer = {'result': method(*map(argument, request['args']))}
        except Exception as error:
            answer = {'error': f'{type(error).__name__}: {error}'}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == '__main__':
    main()
