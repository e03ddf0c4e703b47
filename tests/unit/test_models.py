# SPDX-License-Identifier: Apache-2.0
"""Limits by model: the table of the manual's 2.4, and ISMCLI.md C."""

from __future__ import annotations

import pytest

from cinder_nec.models import limits_of


@pytest.mark.parametrize(('product_id', 'count'), [
    ('M110', 1024), ('M11e', 1024), ('M10e', 1024), ('M100', 1024),
    ('M300', 4096), ('M310', 4096), ('M310F', 4096), ('M500', 4096),
    ('M510', 4096), ('A3000/100', 4096), ('M700', 8192), ('M710', 8192),
    ('M710F', 8192), ('M5000', 8192), ('A5000', 8192),
    # As older arrays call themselves.
    ('iStorage M100', 1024), ('M300 Disk Array', 4096),
    # Not in any table.
    ('', 8192), ('M320', 8192), ('m110', 8192)])
def test_lds_of_an_array(product_id: str, count: int) -> None:
    assert limits_of(product_id).lds == count


@pytest.mark.parametrize(('product_id', 'sessions', 'per_port', 'portals'), [
    ('M110', 2048, 256, 8), ('M310', 8192, 1024, 8),
    ('M310F', 8192, 1024, 8), ('M510', 16384, 1024, 16),
    ('M710', 24576, 1024, 24), ('M710F', 24576, 1024, 24),
    ('M320', None, None, None), ('M700', None, None, None)])
def test_iscsi(product_id: str, sessions: int | None, per_port: int | None,
               portals: int | None) -> None:
    limits = limits_of(product_id)
    assert limits.sessions == sessions
    assert limits.sessions_per_port == per_port
    assert limits.portals_per_ld_set == portals


@pytest.mark.parametrize(('product_id', 'ld_sets', 'lds', 'portals'), [
    ('M110', 4, 256, 2), ('M310', 4, 1024, 2), ('M510', 4, 1024, 4),
    ('M710', 6, 1024, 4)])
def test_the_manuals_examples_fill_an_array(
        product_id: str, ld_sets: int, lds: int, portals: int) -> None:
    """Manual 2.4: with a portal of its own for each path."""
    limits = limits_of(product_id)
    assert lds == limits.lds_per_ld_set == limits.sessions_per_port
    assert limits.sessions == ld_sets * lds * portals


@pytest.mark.parametrize(('product_id', 'version', 'count'), [
    ('M310', '9.4.001', 1024), ('M310', '9.1', 1024), ('M310', '10.0', 1024),
    ('M310', '9.0.009', 512), ('M310', '8.12.1', 512),
    ('M110', '9.4.001', 256), ('M110', '9.0.001', 256),
    ('M320', '9.4.001', 1024), ('M320', '9.0.001', 512),
    ('M310', '', 1024), ('M310', 'new.er', 1024)])
def test_lds_of_an_ld_set(product_id: str, version: str,
                          count: int) -> None:
    assert limits_of(product_id, version).lds_per_ld_set == count


@pytest.mark.parametrize(('product_id', 'can'), [
    ('M110', True), ('M310', True), ('M310F', True), ('M510', True),
    ('M710', True), ('M710F', True), ('M100', False), ('M320', False),
    ('A5000', False), ('', False)])
def test_expanding_what_is_paired(product_id: str, can: bool) -> None:
    """Manual 7.3.3, note 1."""
    assert limits_of(product_id).expands_paired is can
