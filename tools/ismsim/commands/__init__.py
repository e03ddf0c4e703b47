# SPDX-License-Identifier: Apache-2.0
"""The commands, one module per family; importing them registers them."""

from ismsim.commands import (  # noqa: F401
    access, ioc, ld, rc, sc, setup, view)
