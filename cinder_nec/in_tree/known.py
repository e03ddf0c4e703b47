# SPDX-License-Identifier: Apache-2.0
"""The files that may be met behind the path, by their SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
import hashlib
from typing import Final

# cinder/volume/drivers/nec in the wheels of Cinder 27.0.0, 28.0.0 and
# 29.0.0 on PyPI, where it is the same.  A distribution's package has these
# files too, as long as it does not patch them.
OWN: Final[Mapping[str, str]] = {
    '__init__.py':
        'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    'cli.py':
        'e63379eb82556d6d3239a92391fb7a7ea495e027d5e6af8ba32161d0d5d49ec4',
    'product.xml':
        '30a0f7ed24de134c8a2f16cb11e3ca06412b01da5d4ef7c4f86819b8213373db',
    'volume.py':
        '5b332a7040ea08b8aef52dc4fbe7cc69ea82785aec7995862762cc4fc16a0dc2',
    'volume_common.py':
        '3f35b7bc9a91e4b52fdf6ea27c1f85324ce67fb736f9cdad37f1ad6897f5252b',
    'volume_helper.py':
        'd47a1ce107e9525c9ee50b0e79b067663a0fc8b8d0fa178d2460670ca8d329e0',
}
RELEASES: Final = 'Cinder 27, 28 and 29'

# What is put in place of volume.py.  It must help when this package is gone.
TEXT: Final = '''\
# SPDX-License-Identifier: Apache-2.0
# Placed here by "cinder-nec in-tree install".  Cinder's own file is kept as
# .cinder-nec/volume.py.own; "cinder-nec in-tree remove" puts it back.
"""The M-series drivers of the package cinder-nec, behind Cinder's path."""

try:
    from cinder_nec.volume import MStorageDDRFCDriver
    from cinder_nec.volume import MStorageDDRISCSIDriver
    from cinder_nec.volume import MStorageFCDriver
    from cinder_nec.volume import MStorageISCSIDriver
except ModuleNotFoundError as error:
    if (error.name or '').partition('.')[0] != 'cinder_nec':
        raise
    import os
    raise ImportError(
        'cinder-nec was removed while it stood behind '
        'cinder.volume.drivers.nec.volume. Install it again; or, for the '
        'driver in the Cinder tree: mv {0}/.cinder-nec/volume.py.own '
        '{0}/volume.py and rm -r {0}/.cinder-nec'.format(
            os.path.dirname(os.path.abspath(__file__)))) from error

__all__ = ('MStorageDDRFCDriver', 'MStorageDDRISCSIDriver',
           'MStorageFCDriver', 'MStorageISCSIDriver')
'''


def digest(content: bytes) -> str:
    """Return the SHA-256 of *content* in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


CURRENT: Final = digest(TEXT.encode())
# What earlier releases of this driver placed; none so far.  Add the digest
# of TEXT when TEXT changes after a release.
EARLIER: Final[frozenset[str]] = frozenset()
