# SPDX-License-Identifier: Apache-2.0
"""Where a back end keeps its volumes, as ``location_info`` tells it.

Cinder hands a source back end nothing of a migration's destination but its
stats, so they say which array it is on and which pools it may use.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re

_MARK = 'NEC-M-series'
_ALL_POOLS = '*'
_NUMBERS = re.compile(r'[0-9]{1,5}(,[0-9]{1,5})*')
_ADDRESS = re.compile(r'[0-9A-Za-z._:%-]+')
_PORT = re.compile(r'[0-9]{1,5}')
_PLATFORM = re.compile(r'[A-Z][A-Z0-9]')


@dataclasses.dataclass(frozen=True)
class Location:
    """An array, and pools on it.

    :param address: of the array's management, ``nec_ismcli_fip``
    :param platform: what LD names begin with, ``nec_ldname_format``
    :param pools: ``nec_pools``; none stands for all
    """

    address: str
    port: int
    platform: str
    pools: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Blanks part the fields: an IPv6 address is full of colons."""
        pools = ','.join(str(n) for n in self.pools) or _ALL_POOLS
        return ' '.join((_MARK, _plain(self.address), str(self.port),
                         self.platform, pools))

    @classmethod
    def find(cls, text: object) -> Location | None:
        """Read what :meth:`__str__` wrote; None if others wrote it."""
        fields = text.split(' ') if isinstance(text, str) else []
        if len(fields) != 5 or fields[0] != _MARK:
            return None
        _mark, address, port, platform, pools = fields
        if (not _ADDRESS.fullmatch(_plain(address))
                or not _PORT.fullmatch(port)
                or not _PLATFORM.fullmatch(platform)):
            return None
        if pools == _ALL_POOLS:
            numbers: tuple[int, ...] = ()
        elif _NUMBERS.fullmatch(pools):
            numbers = tuple(int(n) for n in pools.split(','))
        else:
            return None
        return cls(_plain(address), int(port), platform, numbers)

    def is_same_array(self, other: Location) -> bool:
        """Tell whether an LD can be moved to the other without a host.

        The names have to be alike too: the destination looks for the LD
        under its own platform.
        """
        return ((_plain(self.address), self.port, self.platform)
                == (_plain(other.address), other.port, other.platform))


def _plain(address: str) -> str:
    """Return one spelling of an address or host name."""
    address = address.strip().strip('[]')
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address.lower()
