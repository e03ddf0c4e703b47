# SPDX-License-Identifier: Apache-2.0
"""The QoS specs of a volume type (manual 7.3.5)."""

from __future__ import annotations

from collections.abc import Mapping
import logging
import re
from typing import Any

from cinder.volume import volume_types

from cinder_nec import errors
from cinder_nec.backend.io_control import IoLimits

LOG = logging.getLogger(__name__)

UPPER, LOWER, REPORT = 'upperlimit', 'lowerlimit', 'upperreport'
KEYS = (UPPER, LOWER, REPORT)
LEAST, GREATEST = 10, 1_000_000

_BOTH = 'both'
_SHOWN_CHARACTERS = 80
_ON_ARRAY = ('back-end', _BOTH)
_NUMBER = re.compile(r'0|[1-9][0-9]{1,6}')


def limits_of(volume_type_id: str | None) -> IoLimits:
    """Return the limits that a volume type asks for.

    :raises errors.InvalidInput: a value that the array does not take
    """
    name, specs = _specs_for_array(volume_type_id)
    return parse(specs, name)


def stated_by(volume_type_id: str | None) -> IoLimits:
    """Return which limits a type states, whatever their values are.

    For the type that a volume leaves: its values may have been edited
    meanwhile and are not needed.
    """
    _name, specs = _specs_for_array(volume_type_id)
    return IoLimits(0 if specs.get(UPPER) is not None else None,
                    0 if specs.get(LOWER) is not None else None,
                    False if specs.get(REPORT) is not None else None)


def parse(specs: Mapping[str, Any], name: str = '') -> IoLimits:
    """Return the limits that the keys of QoS specs stand for.

    :param name: of the QoS specs, for messages
    :raises errors.InvalidInput: a limit is neither 0 nor 10 to 1000000
    """
    report = specs.get(REPORT)
    return IoLimits(_limit(specs, UPPER, name), _limit(specs, LOWER, name),
                    None if report is None else report == 'on')


def _limit(specs: Mapping[str, Any], key: str, name: str) -> int | None:
    value = specs.get(key)
    if value is None:
        return None
    if _NUMBER.fullmatch(str(value)):
        number = int(value)
        if number == 0 or LEAST <= number <= GREATEST:
            return number
    raise errors.InvalidInput(
        f'QoS specs `{name}`: {key} = {str(value)[:40]!r} cannot be used.',
        f'Give 0 for no limit, or {LEAST} to {GREATEST} '
        f'(cinder qos-key {name or "<qos_specs>"} set {key}=<value>).')


def _specs_for_array(
        volume_type_id: str | None) -> tuple[str, Mapping[str, Any]]:
    """Return name and keys of a type's QoS specs that concern the array."""
    if volume_type_id is None:
        return '', {}
    found = volume_types.get_volume_type_qos_specs(volume_type_id)
    qos_specs = (found or {}).get('qos_specs')
    if not qos_specs or qos_specs.get('consumer') not in _ON_ARRAY:
        return '', {}
    name = ' '.join(str(qos_specs.get('name') or qos_specs.get('id')
                        or '').split())[:_SHOWN_CHARACTERS]
    specs: Mapping[str, Any] = qos_specs.get('specs') or {}
    _tell_unknown(specs, name, shared=qos_specs['consumer'] == _BOTH)
    return name, specs


def _tell_unknown(specs: Mapping[str, Any], name: str, *,
                  shared: bool) -> None:
    unknown = ', '.join(sorted(str(key)[:40] for key in specs
                               if key not in KEYS))
    if unknown:
        # What is for the hypervisor as well has keys of its own.
        LOG.log(logging.INFO if shared else logging.WARNING,
                'QoS specs `%s`: keys that the array does not know are '
                'ignored: %s. It knows %s.', name, unknown,
                ', '.join(KEYS))
