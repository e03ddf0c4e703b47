# SPDX-License-Identifier: Apache-2.0
"""Images into volumes and back, by Cinder's own code and a real Glance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import subprocess

import pytest

from allinone import wait_for
from harness.attached import MIB
from harness.content import fingerprint
from harness.data_stage import DataStage
from harness.glance import file_digest
from tests.data.cloud import PAIR, User

pytestmark = pytest.mark.xdist_group('data-cloud')
GIB = 1 << 30


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw file with noise at its start and its end."""
    path = tmp_path_factory.mktemp('image') / 'raw'
    with path.open('wb') as file, open('/dev/urandom', 'rb') as noise:
        file.write(noise.read(MIB))
        file.seek(7 * MIB)
        file.write(noise.read(MIB))
    return path


@pytest.fixture(scope='module')
def image(stage: DataStage, source: Path) -> Iterator[str]:
    """The image, which Cinder has to convert."""
    path = source.with_name('qcow2')
    subprocess.run(['qemu-img', 'convert', '-O', 'qcow2', str(source),
                    str(path)], check=True)
    ident = stage.glance.add_image('noise', path, 'qcow2')
    yield ident
    stage.glance.delete_image(ident)


def test_volume_from_an_image(user: User, image: str, source: Path):
    volume = user.create(imageRef=image)
    assert user.fingerprint(volume) == fingerprint(source)
    with user.on_host(volume) as disk:
        text = disk.host.run('sh', '-c', f'head -c {8 * MIB} {disk.path} | '
                             'sha256sum')
    assert text.split()[0] == file_digest(source)


@PAIR
def test_upload_to_an_image(user: User):
    """Glance's checksum is that of the volume's gigabyte."""
    volume = user.create()
    user.write(volume, 'first')
    user.write(volume, 'last', GIB - 512)
    answer = user.client.volumes.upload_to_image(
        volume, False, 'uploaded', 'bare', 'raw', 'private', False)
    ident = answer[1]['os-volume_upload_image']['image_id']
    glance = user.stage.glance
    wait_for('image active', lambda: glance.image(ident)['status']
             == 'active', 60)
    user.wait_volume(volume, 'available')
    found = glance.image(ident)
    assert found['size'] == GIB
    assert found['os_hash_algo'] == 'sha512'
    assert found['os_hash_value'] == file_digest(user.path(volume),
                                                 kind='sha512')
    glance.delete_image(ident)
