# SPDX-License-Identifier: Apache-2.0
"""The commands, one module per family; importing them registers them."""

from ismsim.commands import access, ioc, ld, rc, sc, setup, view

__all__ = ['access', 'ioc', 'ld', 'rc', 'sc', 'setup', 'view']
