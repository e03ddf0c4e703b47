# SPDX-License-Identifier: Apache-2.0
"""The file for Prometheus: valid, whole at any time, never in the way."""

from __future__ import annotations

import os

from prometheus_client import parser
import pytest

from cinder_nec.backend.exposition import MetricsFile, render
from cinder_nec.backend.stats import Stats
from cinder_nec.model import GIB, LdName
from tests.backend.arrays import make_engine, make_lab

VOLUME = LdName('LX', 'V' * 21)
SERVICE = 'node@gold'


@pytest.fixture
def lab(tmp_path):
    return make_lab(make_engine(tmp_path / 'array'))


def samples(text: str) -> dict[tuple[str, str], float]:
    """Parse as Prometheus does; by name and the label that varies."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop('backend') == SERVICE
            key = (sample.name, ' '.join(labels.values()))
            assert key not in found
            found[key] = sample.value
    return found


def write(lab, path, service=SERVICE, pools=(0, 2), limit=50):
    stats = Stats(lab.inventory, pools, fresh_seconds=20,
                  actual_capacity=False,
                  max_ld_count=limit, load=lab.load)
    MetricsFile(str(path), service).write(stats.read(), lab.load.read())


def test_prometheus_reads_what_the_array_has(lab, tmp_path):
    path = tmp_path / 'nec.prom'
    lab.volumes.create(VOLUME, 10, [2])
    write(lab, path)
    found = samples(path.read_text())
    assert found['cinder_nec_up', ''] == 1
    assert found['cinder_nec_pool_size_bytes', '2'] == 2048 * GIB
    assert found['cinder_nec_pool_provisioned_bytes', '2'] == 10 * GIB
    assert found['cinder_nec_pool_lds', '2'] == 1
    assert found['cinder_nec_lds', ''] == 5  # of the simulated array, and 1
    assert found['cinder_nec_ld_limit', ''] == 50
    assert found['cinder_nec_commands_total', 'change ok'] == 2
    assert found['cinder_nec_commands_total', 'change lost'] == 0
    assert found['cinder_nec_command_seconds_count', 'dump'] == 1
    assert found['cinder_nec_queue_wait_seconds_count', ''] == 2
    assert found['cinder_nec_copies_running', ''] == 0


def test_every_metric_has_a_type_and_a_help(lab):
    families = list(parser.text_string_to_metric_families(
        render(SERVICE, (), lab.load.read())))
    assert len(families) > 10
    for family in families:
        assert family.type != 'unknown' and family.documentation
        assert family.name.startswith('cinder_nec_')


def test_an_array_that_is_down_has_no_pools_but_counters(lab):
    found = samples(render(SERVICE, None, lab.load.read()))
    assert found['cinder_nec_up', ''] == 0
    assert ('cinder_nec_commands_total', 'dump ok') in found
    assert not any(name.startswith('cinder_nec_pool') for name, _ in found)


def test_running_copies_count_in_their_pool(lab):
    other = LdName('LX', 'W' * 21)
    lab.volumes.create(VOLUME, 1, [2])
    lab.volumes.create(other, 1, [0])
    lab.settler.hand_over(other, VOLUME)
    with lab.settler.place(other):
        load = lab.load.read()
    assert (load.copies, load.copies_in) == (2, {0: 1, 2: 1})


@pytest.mark.parametrize('service', ['a"b', 'a\\b', 'a\nb', 'é'])
def test_names_are_quoted(lab, service):
    text = render(service, (), lab.load.read())
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels['backend'] == service


def test_node_exporter_may_read_it_and_sees_no_drafts(lab, tmp_path):
    folder = tmp_path / 'textfile'
    folder.mkdir()
    before = os.umask(0o077)
    try:
        write(lab, folder / 'nec.prom')
        write(lab, folder / 'nec.prom')
    finally:
        os.umask(before)
    [path] = folder.iterdir()
    assert path.name == 'nec.prom'
    assert path.stat().st_mode & 0o777 == 0o644


def test_who_reads_meanwhile_has_a_whole_file(lab, tmp_path):
    path = tmp_path / 'nec.prom'
    write(lab, path)
    before = path.read_text()
    with path.open() as reader:
        lab.volumes.create(VOLUME, 1, [2])
        write(lab, path)
        assert reader.read() == before
    assert path.read_text() != before


def test_a_link_is_replaced_not_followed(lab, tmp_path):
    elsewhere = tmp_path / 'passwd'
    elsewhere.write_text('root')
    (tmp_path / 'nec.prom').symlink_to(elsewhere)
    write(lab, tmp_path / 'nec.prom')
    assert elsewhere.read_text() == 'root'


def test_a_missing_directory_is_told_once_and_when_it_is_back(
        lab, tmp_path, caplog):
    caplog.set_level('INFO')
    folder = tmp_path / 'textfile'
    metrics = MetricsFile(str(folder / 'nec.prom'), SERVICE)
    for _ in range(3):
        metrics.write((), lab.load.read())
    assert caplog.text.count('cannot be written') == 1
    assert str(folder) in caplog.text and 'nec_metrics_dir' in caplog.text
    folder.mkdir()
    metrics.write((), lab.load.read())
    assert 'written to' in caplog.messages[-1]
    assert samples((folder / 'nec.prom').read_text())


def test_a_directory_in_its_place_leaves_no_draft(lab, tmp_path, caplog):
    (tmp_path / 'nec.prom' / 'x').mkdir(parents=True)
    write(lab, tmp_path / 'nec.prom')
    assert 'cannot be written' in caplog.text
    assert [p.name for p in tmp_path.iterdir()
            if p.name.startswith('.')] == []


def test_no_file_is_wanted(lab):
    MetricsFile(None, SERVICE).write((), lab.load.read())
