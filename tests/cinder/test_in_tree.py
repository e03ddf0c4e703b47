# SPDX-License-Identifier: Apache-2.0
"""The driver behind Cinder's path, and Cinder's own back, byte for byte."""

from __future__ import annotations

import base64
from collections.abc import Callable
import compileall
import errno
import fcntl
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

from cinder_nec import __version__
from cinder_nec.cli import app, check_options
from cinder_nec.cli.catalog import Level
from cinder_nec.cli.findings import Report
from cinder_nec.cli.site import read_site
from cinder_nec.in_tree import change, known, tree
from cinder_nec.in_tree.tree import InTreeError, State, Tree
from tests.cinder import shadow

CLASSES = ('MStorageISCSIDriver', 'MStorageFCDriver',
           'MStorageDDRISCSIDriver', 'MStorageDDRFCDriver')
IN_TREE = 'cinder.volume.drivers.nec.volume'


@pytest.fixture
def nec(tmp_path: Path) -> Tree:
    """A copy of Cinder's directory, with byte code of two Pythons."""
    folder = tmp_path / 'cinder' / shadow.FOLDER
    folder.parent.mkdir(parents=True)
    shutil.copytree(shadow.installed() / shadow.FOLDER, folder)
    cache = folder / '__pycache__'
    cache.mkdir(exist_ok=True)
    for tag in ('cpython-39', 'cpython-311.opt-1'):
        (cache / f'volume.{tag}.pyc').write_bytes(tag.encode())
    (folder / 'volume.py').chmod(0o640)
    return tree.find(tmp_path / 'cinder')


def found(nec: Tree) -> State:
    return nec.look().state


# -- there and back ---------------------------------------------------------

def test_there_and_back_byte_for_byte(nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    assert found(nec) is State.OWN
    assert change.install(nec) is True
    assert found(nec) is State.PLACED
    assert nec.file.read_text() == known.TEXT
    assert nec.file.stat().st_mode & 0o777 == 0o640
    # What Python makes of the new file must go too.
    (nec.folder / '__pycache__' / 'volume.cpython-314.pyc').write_text('x')
    assert change.remove(nec) is True
    assert shadow.snapshot(nec.folder) == before
    assert found(nec) is State.OWN


def test_nothing_but_one_file_and_its_byte_code_changes(nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    change.install(nec)
    after = shadow.snapshot(nec.folder)
    changed = {name for name in before if before[name] != after.get(name)}
    assert {Path(name).name.split('.')[0] for name in changed} == {'volume'}
    assert all(name.startswith('.cinder-nec')
               for name in set(after) - set(before))
    # Byte code that does not look at its source must not outlive it.
    assert not list((nec.folder / '__pycache__').glob('volume.*'))


def test_a_second_install_or_remove_changes_nothing(nec: Tree) -> None:
    assert change.remove(nec) is False
    change.install(nec)
    placed = shadow.snapshot(nec.folder)
    assert change.install(nec) is False
    assert shadow.snapshot(nec.folder) == placed
    change.remove(nec)
    own = shadow.snapshot(nec.folder)
    assert change.remove(nec) is False
    assert shadow.snapshot(nec.folder) == own


def test_a_run_of_compileall_does_no_harm(nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    change.install(nec)
    placed = set(shadow.snapshot(nec.folder))
    assert compileall.compile_dir(nec.folder, quiet=2)
    made = set(shadow.snapshot(nec.folder)) - placed
    assert all('__pycache__' in Path(name).parts for name in made)
    assert not any('cinder-nec' in name for name in made)
    change.remove(nec)
    assert before.items() <= shadow.snapshot(nec.folder).items()


def test_a_directory_of_byte_code_that_python_made_goes(nec: Tree) -> None:
    shutil.rmtree(nec.folder / '__pycache__')
    before = shadow.snapshot(nec.folder)
    change.install(nec)
    (nec.folder / '__pycache__').mkdir()
    (nec.folder / '__pycache__' / 'volume.cpython-311.pyc').write_text('x')
    change.remove(nec)
    assert shadow.snapshot(nec.folder) == before


def test_byte_code_comes_back_where_all_of_it_was_deleted(
        nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    change.install(nec)
    shutil.rmtree(nec.folder / '__pycache__')
    change.remove(nec)
    after = shadow.snapshot(nec.folder)
    assert {name for name in before if name not in after} == {
        name for name in before if name.startswith('__pycache__')
        and '/volume.' not in name and name != '__pycache__'}
    assert found(nec) is State.OWN


def test_without_hard_links(nec: Tree,
                            monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_names: object) -> None:
        raise OSError(errno.EOPNOTSUPP, 'Operation not supported')

    def plain(nec: Tree) -> dict[str, object]:
        return {name: kept and (kept.content, kept.mode, kept.owner,
                                kept.mtime_ns, kept.names)
                for name, kept in shadow.snapshot(nec.folder).items()}

    monkeypatch.setattr(os, 'link', refuse)
    before = plain(nec)
    change.install(nec)
    change.remove(nec)
    assert plain(nec) == before


def test_the_file_of_an_earlier_release_is_renewed(
        nec: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shadow.snapshot(nec.folder)
    change.install(nec)
    monkeypatch.setattr(known, 'EARLIER', frozenset({known.CURRENT}))
    monkeypatch.setattr(known, 'TEXT', known.TEXT + '# newer\n')
    monkeypatch.setattr(known, 'CURRENT',
                        known.digest(known.TEXT.encode()))
    assert found(nec) is State.PLACED_EARLIER
    assert change.install(nec) is True
    assert nec.file.read_text().endswith('# newer\n')
    change.remove(nec)
    assert shadow.snapshot(nec.folder) == before


# -- what it refuses --------------------------------------------------------

def edited(nec: Tree) -> None:
    with open(nec.file, 'a') as file:
        file.write('# ours\n')


def patched_helper(nec: Tree) -> None:
    with open(nec.folder / 'volume_helper.py', 'a') as file:
        file.write('# ours\n')


def missing(nec: Tree) -> None:
    (nec.folder / 'cli.py').unlink()


def another_module(nec: Tree) -> None:
    """As the vendor's own package has it."""
    (nec.folder / 'volume_list.py').write_text('')


def a_link(nec: Tree) -> None:
    nec.file.rename(nec.folder.parent / 'elsewhere.py')
    nec.file.symlink_to(nec.folder.parent / 'elsewhere.py')


@pytest.mark.parametrize(('spoil', 'named'), [
    (edited, 'volume.py is not that of Cinder 27, 28 and 29'),
    (patched_helper, 'volume_helper.py is not that of'),
    (missing, 'cli.py is missing'),
    (another_module, 'volume_list.py is no file of'),
    (a_link, 'volume.py is not a plain file'),
])
def test_files_that_are_not_known_are_left_alone(
        nec: Tree, spoil: Callable[[Tree], None], named: str) -> None:
    spoil(nec)
    before = shadow.snapshot(nec.folder)
    with pytest.raises(InTreeError, match=named) as refused:
        change.install(nec)
    assert 'volume_driver = cinder_nec.volume' in refused.value.hint
    assert shadow.snapshot(nec.folder) == before


def test_a_release_that_is_not_known_is_named(nec: Tree) -> None:
    edited(nec)
    info = nec.folder.parents[3] / 'cinder-41.0.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Name: cinder\nVersion: 41.0.0\n')
    digest = base64.urlsafe_b64encode(
        bytes.fromhex(known.digest(nec.file.read_bytes())))
    (info / 'RECORD').write_text(
        'cinder/volume/drivers/nec/volume.py,sha256='
        f'{digest.decode().rstrip("=")},6742\n')
    with pytest.raises(InTreeError, match='but belongs to Cinder 41.0.0'):
        change.install(nec)
    edited(nec)
    with pytest.raises(InTreeError, match='29, nor of cinder-nec'):
        change.install(nec)


def test_an_edited_file_is_not_removed(nec: Tree) -> None:
    change.install(nec)
    edited(nec)
    before = shadow.snapshot(nec.folder)
    for act in (change.install, change.remove):
        with pytest.raises(InTreeError, match=r'nec/volume\.py is not'):
            act(nec)
    assert shadow.snapshot(nec.folder) == before


@pytest.mark.parametrize(('spoil', 'named'), [
    (lambda nec: shutil.rmtree(nec.backup), 'is missing'),
    (lambda nec: nec.kept.write_text('x'), 'was changed'),
])
def test_a_spoilt_backup_is_never_put_back(
        nec: Tree, spoil: Callable[[Tree], None], named: str) -> None:
    change.install(nec)
    spoil(nec)
    before = shadow.snapshot(nec.folder)
    assert found(nec) is State.UNKNOWN
    for act in (change.install, change.remove):
        with pytest.raises(InTreeError, match=named):
            act(nec)
    assert shadow.snapshot(nec.folder) == before


def test_a_patch_beside_it_does_not_hinder_the_way_back(nec: Tree) -> None:
    change.install(nec)
    patched_helper(nec)
    change.remove(nec)
    assert nec.has_own() and not nec.backup.exists()


def test_a_second_run_is_kept_out(nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    first = os.open(nec.folder, os.O_RDONLY)
    try:
        fcntl.flock(first, fcntl.LOCK_SH)  # not even beside a reader
        with pytest.raises(InTreeError, match='Another cinder-nec'):
            change.install(nec)
    finally:
        os.close(first)
    assert shadow.snapshot(nec.folder) == before
    assert change.install(nec) is True


def test_no_cinder_where_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InTreeError, match='has no volume/drivers/nec'):
        tree.find(tmp_path)


# -- Cinder is installed anew meanwhile --------------------------------------

def upgrade(nec: Tree) -> None:
    """Replace files, as pip and dpkg do; what they do not know stays."""
    own = shadow.installed() / shadow.FOLDER
    for name in known.OWN:
        (nec.folder / name).unlink(missing_ok=True)
        shutil.copyfile(own / name, nec.folder / name)
        os.utime(nec.folder / name, ns=(0, 10**18))
    cache = nec.folder / '__pycache__'
    (cache / 'volume.cpython-311.pyc').write_text('new byte code')


@pytest.mark.parametrize('act', [change.install, change.remove])
def test_after_an_upgrade_the_old_backup_is_not_used(
        nec: Tree, act: Callable[[Tree], bool]) -> None:
    change.install(nec)
    upgrade(nec)
    assert found(nec) is State.LEFTOVER
    act(nec)
    change.remove(nec)
    assert nec.file.stat().st_mtime_ns == 10**18
    assert not nec.backup.exists()
    assert [path.read_text() for path in
            (nec.folder / '__pycache__').glob('volume.*')
            ] == ['new byte code']


# -- a run that does not come to its end -------------------------------------

CALLS = ('link', 'replace', 'rename', 'mkdir', 'unlink', 'fsync', 'fchown',
         'rmdir', 'chmod')


class Killed(BaseException):
    """The process ends here: nothing of it runs any more."""


class Failing:
    """Lets the n-th change of the file system fail."""

    def __init__(self, patch: pytest.MonkeyPatch, at: int,
                 error: BaseException) -> None:
        self.left = at
        self.dead = False
        for name in CALLS:
            patch.setattr(os, name, self._wrap(getattr(os, name), error))

    def _wrap(self, real: Callable[..., object],
              error: BaseException) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            self.left -= 1
            if self.left == 0 or self.dead:
                self.dead = isinstance(error, Killed)
                raise error
            return real(*args, **more)
        return call


def every_step(nec: Tree, act: Callable[[Tree], bool],
               error: BaseException) -> int:
    """Fail at each step in turn, each time from the same start."""
    start = nec.folder.with_name('start')
    shutil.copytree(nec.folder, start, symlinks=True)
    os.utime(start / 'volume.py', ns=(0, nec.file.stat().st_mtime_ns))
    whole = {name: kept and kept.content
             for name, kept in shadow.snapshot(start).items()}
    for step in range(1, 200):
        shutil.rmtree(nec.folder)
        shutil.copytree(start, nec.folder)
        if act is change.remove:
            change.install(nec)
        with pytest.MonkeyPatch.context() as patch:
            failing = Failing(patch, step, error)
            try:
                act(nec)
            except (Killed, InTreeError):
                pass
        if failing.left > 0:
            return step
        state = found(nec)
        assert state is not State.UNKNOWN, step
        if state in (State.OWN, State.LEFTOVER):
            assert nec.has_own()
        if state is State.OWN:
            assert {name: kept and kept.content for name, kept
                    in shadow.snapshot(nec.folder).items()} == whole
        # Either way on is open, and ends clean.
        if step % 2:
            change.install(nec)
            assert found(nec) is State.PLACED
        change.remove(nec)
        assert {name: kept and kept.content for name, kept
                in shadow.snapshot(nec.folder).items()} == whole, step
    raise AssertionError('there is no end to the steps')


@pytest.mark.parametrize('act', [change.install, change.remove])
@pytest.mark.parametrize('error', [
    Killed(), OSError(errno.EIO, 'Input/output error')],
    ids=['killed', 'disk'])
def test_a_run_that_ends_anywhere_can_be_ended(
        nec: Tree, act: Callable[[Tree], bool],
        error: BaseException) -> None:
    assert every_step(nec, act, error) > 10


@pytest.mark.parametrize(('number', 'hint'), [
    (errno.EACCES, 'root'), (errno.EROFS, 'read-only'),
    (errno.ENOSPC, 'room')])
def test_what_the_file_system_refuses_is_told(
        nec: Tree, number: int, hint: str,
        monkeypatch: pytest.MonkeyPatch) -> None:
    before = shadow.snapshot(nec.folder)
    with monkeypatch.context() as patch:
        Failing(patch, 1, OSError(number, os.strerror(number)))
        with pytest.raises(InTreeError, match='now that of: cinder') as told:
            change.install(nec)
    assert hint in told.value.hint
    assert shadow.snapshot(nec.folder) == before


@pytest.mark.skipif(os.geteuid() != 0, reason='gives up the rights of root')
def test_without_the_right_to_write(nec: Tree) -> None:
    before = shadow.snapshot(nec.folder)
    for path in [nec.folder, *nec.folder.parents]:
        if 'pytest' in path.name or path.name.startswith('test_'):
            path.chmod(0o755)
    nec.file.chmod(0o644)
    before = shadow.snapshot(nec.folder)
    done = subprocess.run(
        [sys.executable, '-c',
         'import os, sys\n'
         'from pathlib import Path\n'
         'from cinder_nec.in_tree import change, tree\n'
         'os.setgid(65534); os.setuid(65534)\n'
         'try:\n'
         '    change.install(tree.Tree(Path(sys.argv[1])))\n'
         'except tree.InTreeError as error:\n'
         '    print(error)\n', str(nec.folder)],
        cwd=Path(__file__).parents[2], capture_output=True, text=True,
        timeout=60)
    assert 'Permission denied' in done.stdout, done.stderr
    assert 'root' in done.stdout
    assert shadow.snapshot(nec.folder) == before


# -- what Cinder finds -------------------------------------------------------

@pytest.fixture(scope='module')
def placed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with a Cinder in which this driver was placed."""
    site = tmp_path_factory.mktemp('site')
    change.install(tree.find(shadow.make(site)))
    return site


def test_what_the_path_gives(placed: Path) -> None:
    """All that it gave before, and the two classes of replication."""
    program = (
        'import cinder; from cinder import objects; objects.register_all()\n'
        f'import {IN_TREE} as path; print(cinder.__path__[0])\n'
        'print(*sorted(n for n, o in vars(path).items()'
        ' if isinstance(o, type)))\n'
        'print(path.MStorageISCSIDriver.__module__)\n'
        'print(*path.MStorageFCDriver.get_driver_options()[:1])\n'
        'from cinder.volume.drivers.nec.v import nec_v_fc, nec_v_iscsi\n')
    where, classes, module, *_rest = shadow.run(placed, program).splitlines()
    assert where == str(placed / 'cinder')
    assert set(classes.split()) == set(CLASSES)
    assert module == 'cinder_nec.volume'
    own = shadow.run(shadow.installed().parent, program).splitlines()
    assert own[2] == IN_TREE
    assert set(own[1].split()) <= set(classes.split())


@pytest.mark.parametrize('first', ['ours', 'theirs'])
def test_both_define_the_same_options(placed: Path, first: str) -> None:
    """A process may see both: Cinder's list of all drivers does."""
    imports = [
        'from cinder.volume.drivers.nec import volume_common\n',
        'from cinder_nec import opts\n'
        'cfg.CONF.register_opts(opts.nec_opts, group="backend_defaults")\n']
    program = (
        'from cinder import objects; objects.register_all()\n'
        'from oslo_config import cfg\n'
        + ''.join(imports if first == 'theirs' else reversed(imports))
        + 'from cinder.interface import util\n'
        'print(*[d.class_fqn for d in util.get_volume_drivers()'
        ' if "MStorage" in d.class_fqn])\n')
    assert set(shadow.run(placed, program).split()) == {
        f'cinder_nec.volume.{name}' for name in CLASSES}


def test_a_driver_that_was_removed_is_named(placed: Path) -> None:
    program = (
        'import sys\n'
        'class Gone:\n'
        '    def find_spec(self, name, path=None, target=None):\n'
        '        if name == "cinder_nec":\n'
        '            raise ModuleNotFoundError(name, name=name)\n'
        'sys.meta_path.insert(0, Gone())\n'
        'try:\n'
        f'    import {IN_TREE}\n'
        'except ImportError as error:\n'
        '    print(error)\n')
    told = shadow.run(placed, program)
    nec = tree.find(placed / 'cinder')
    assert told.startswith('cinder-nec was removed')
    assert f'mv {nec.kept} {nec.file}' in told


# -- the command -------------------------------------------------------------

def command(capsys: pytest.CaptureFixture[str],
            *words: str) -> tuple[int, str, str]:
    status = app.main(['in-tree', *words])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_the_command_and_its_status(
        nec: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    where = ('--cinder', str(nec.folder.parents[2]))
    state = ('status', *where, '-f', 'value', '-c', 'state')
    before = shadow.snapshot(nec.folder)
    assert command(capsys, *state) == (1, 'cinder\n', '')
    status, out, _err = command(capsys, 'install', *where)
    assert (status, out.splitlines()) == (0, [
        f'Placed: {nec.file} loads cinder-nec {__version__}.',
        'Restart cinder-volume for it to take effect.'])
    assert command(capsys, *state) == (0, 'cinder-nec\n', '')
    assert command(capsys, 'install', *where)[1] == (
        f'It stands there already: {nec.file}.\n')
    status, out, _err = command(capsys, 'remove', *where)
    assert status == 0 and "is Cinder's own again." in out
    assert command(capsys, 'remove', *where)[:2] == (
        0, f"It is Cinder's own: {nec.file}.\n")
    assert shadow.snapshot(nec.folder) == before


def test_what_the_command_refuses(
        nec: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    where = ('--cinder', str(nec.folder.parents[2]))
    edited(nec)
    for word in ('install', 'remove'):
        status, out, err = command(capsys, word, *where)
        assert (status, out) == (2, '')
        assert err.startswith('cinder-nec: Nothing is changed: ')
    status, out, _err = command(capsys, 'status', *where, '-f', 'json')
    assert status == 2
    shown = json.loads(out)
    assert shown['state'] == 'unknown'
    assert str(nec.file) in shown['problems']
    assert 'cinder.conf' in shown['what_to_do']


def test_the_cinder_of_the_environment_is_the_default(
        capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _err = command(capsys, 'status', '-f', 'json')
    assert (status, json.loads(out)['file']) == (
        1, str(shadow.installed() / shadow.FOLDER / 'volume.py'))


@pytest.mark.parametrize(('name', 'own'), [
    ('MStorageFCDriver', Level.WARNING),
    ('MStorageDDRFCDriver', Level.ERROR)])
def test_check_tells_where_the_path_leads(
        nec: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        name: str, own: Level) -> None:
    """Cinder has no class for data replication of its own."""
    conf = tmp_path / 'cinder.conf'
    conf.write_text('[DEFAULT]\nenabled_backends = s1\n[s1]\n'
                    f'volume_driver = {IN_TREE}.{name}\n')
    monkeypatch.setattr(tree, 'find', lambda: nec)

    def level() -> Level:
        entry, = read_site([str(conf)], [], []).entries
        report = Report('s1')
        check_options.check_options(entry, report)
        return next(found.level for found in report.findings
                    if found.check.id == 'driver')

    assert level() is own
    change.install(nec)
    assert level() is Level.OK
    edited(nec)
    assert level() is Level.WARNING
