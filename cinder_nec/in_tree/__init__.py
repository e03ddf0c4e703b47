# SPDX-License-Identifier: Apache-2.0
"""This driver behind the path of the one in the Cinder tree.

For sites whose ``cinder.conf`` has to say
``cinder.volume.drivers.nec.volume.MStorageISCSIDriver``: one file of the
installed Cinder, ``volume/drivers/nec/volume.py``, gives way to a small one
that imports this package.  All else of Cinder stays, the V-series driver in
``nec/v`` too.

:mod:`.tree` tells what is there, :mod:`.change` alters it, :mod:`.known`
has the files that may be altered.
"""
