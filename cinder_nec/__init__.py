# SPDX-License-Identifier: Apache-2.0
"""Cinder volume driver for NEC Storage M-series disk arrays."""

__version__ = '2.0.0'
