# SPDX-License-Identifier: Apache-2.0
"""Checks of back ends against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import itertools

from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import Entry
from cinder_nec.config import BackendConfig


def check_sharing(entries: Sequence[Entry],
                  reports: Sequence[Report]) -> None:
    """Look at array names and at pools that several back ends have."""
    known = [(entry.config, report) for entry, report
             in zip(entries, reports, strict=True)
             if entry.config is not None]
    for (one, report), (other, _unused) in _pairs(known):
        _check_name(one, other, report)
        if _address(one) == _address(other):
            _check_pools(one, other, report)
    for _config, report in known:
        if not report.has('array-name'):
            report.ok('array-name', 'It agrees with the other back ends.')
        if not report.has('shared-pools'):
            report.ok('shared-pools', 'No other back end has its pools.')


def _pairs(known: Sequence[tuple[BackendConfig, Report]]) -> Iterator[
        tuple[tuple[BackendConfig, Report], tuple[BackendConfig, Report]]]:
    """Yield each two back ends, both ways round."""
    return itertools.permutations(known, 2)


def _address(config: BackendConfig) -> tuple[str, int]:
    return config.address, config.port


def _check_name(one: BackendConfig, other: BackendConfig,
                report: Report) -> None:
    names = one.disk_array_name, other.disk_array_name
    if _address(one) == _address(other):
        if names[0] != names[1]:
            report.warning(
                'array-name', f'{names[0] or "none"}, but {other.group} on '
                f'the same array has {names[1] or "none"}.')
    elif names[0] and names[0] == names[1]:
        report.warning(
            'array-name', f'{names[0]}, as {other.group} on another array '
            f'({other.address} port {other.port}).')


def _check_pools(one: BackendConfig, other: BackendConfig,
                 report: Report) -> None:
    if not one.pools or not other.pools:
        report.warning('shared-pools', f'{other.group} is on the same '
                       'array, and one of them has no nec_pools: it uses '
                       'all pools.')
        return
    both = sorted(set(one.pools) & set(other.pools))
    if both:
        report.warning('shared-pools', f'{other.group} uses pool '
                       f'{", ".join(map(str, both))} too.')
