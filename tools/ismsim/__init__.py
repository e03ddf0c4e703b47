# SPDX-License-Identifier: Apache-2.0
"""A simulated NEC Storage M-series array behind a real SSH server.

Written from the fact sheet of the array's command line (ISMCLI.md) alone;
it imports nothing of the driver that it exists to test.
"""

__version__ = '1.0'
