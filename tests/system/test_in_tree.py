# SPDX-License-Identifier: Apache-2.0
"""A cinder.conf with the path of the Cinder tree, and what it leads to.

Cinder itself is the installed one; only the directory of its M-series
driver is a copy, in which ``cinder-nec in-tree`` may work.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from allinone.process import TOOLS
from cinder_nec import __version__
from cinder_nec.cli import app
from harness import drivers
from harness.stage import Stage
from tests.cinder import shadow
from tests.system.cloud import Cloud
from tests.system.conftest import QUIET

THEIRS = '1.11.1'


class Node:
    """A site whose Cinder may be altered."""

    def __init__(self, site: Path) -> None:
        self.cinder = shadow.make(site)
        self.nec = self.cinder / shadow.FOLDER
        root = Path(__file__).resolve().parents[2]
        self.env = {'PYTHONPATH': f'{site}:{TOOLS}:{root}'}

    def in_tree(self, word: str) -> int:
        return app.main(['in-tree', word, '--cinder', str(self.cinder)])


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / 'site')


def loaded(stage: Stage) -> list[str]:
    """Drivers that the services started, as 'class (version)'."""
    return [line.rpartition('Starting volume driver ')[2]
            for line in stage.cinder.log().splitlines()
            if 'Starting volume driver ' in line]


def test_to_this_driver_and_back_with_one_cinder_conf(
        node: Node, tmp_path: Path) -> None:
    before = shadow.snapshot(node.nec)
    name = 'MStorageISCSIDriver'
    with Stage(tmp_path / 'stage', drivers.find(drivers.IN_TREE + name),
               default=QUIET, env=node.env) as stage:
        conf = stage.cinder.layout.conf
        written = conf.read_text()
        assert f'volume_driver = {drivers.IN_TREE}{name}\n' in written
        cloud = Cloud(stage)
        volume = cloud.create()
        stage.cinder.stop()

        assert node.in_tree('install') == 0
        stage.cinder.start()
        attachment = cloud.attach(volume)
        cloud.detach(attachment)
        snapshot = cloud.snapshot(volume)
        stage.cinder.stop()

        assert node.in_tree('remove') == 0
        stage.cinder.start()
        cloud.delete_snapshot(snapshot)
        cloud.delete(volume)
        assert conf.read_text() == written
        assert loaded(stage) == [f'{name} ({THEIRS})',
                                 f'{name} ({__version__})',
                                 f'{name} ({THEIRS})']
        assert sorted(stage.array.lds()) == stage.lds_before
    assert shadow.snapshot(node.nec) == before


def test_the_four_classes_behind_the_path(
        node: Node, tmp_path: Path) -> None:
    assert node.in_tree('install') == 0
    backends = {name.lower(): {'volume_driver': drivers.IN_TREE + name}
                for name in drivers.CLASSES}
    with Stage(tmp_path / 'stage',
               drivers.find(drivers.IN_TREE + 'MStorageISCSIDriver'),
               default=QUIET, env=node.env, backends=backends) as stage:
        assert stage.cinder.up == dict.fromkeys(backends, True), (
            stage.errors())
        assert sorted(loaded(stage)) == sorted(
            f'{name} ({__version__})' for name in drivers.CLASSES)
        cloud = Cloud(stage)
        for backend in backends:
            stage.cinder.ensure_type(backend, backend)
            volume = cloud.create(volume_type=backend)
            cloud.snapshot(volume)
        cloud.clean_up()
        assert sorted(stage.array.lds()) == stage.lds_before
