# SPDX-License-Identifier: Apache-2.0
"""Packages are built, hold what they should, and work from where they lie.

Nothing is installed on the machine: they are unpacked, and what their
scripts would do is run against stand-ins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import os
from pathlib import Path
import re
import shutil
import stat
import subprocess
import sys

from package_suite import build, contents, main
from package_suite.contents import Unpacked
import pytest

from cinder_nec import __version__
from harness.venvs import ROOT

# Seconds of building; no service, but nothing for --fast either.
pytestmark = [pytest.mark.service, pytest.mark.slow,
              pytest.mark.timeout(600)]

SPEC = ROOT / 'packaging' / 'rpm' / 'python-cinder-nec.spec'
DEBIAN = ROOT / 'packaging' / 'debian'
LACKING = {'wheel': [], 'rpm': build.missing(build.RPM_NEEDS),
           'deb': build.missing_for_deb()}
SUFFIX = {'wheel': '.whl', 'rpm': '.rpm', 'deb': '.deb'}


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every kind that this machine can build."""
    base = tmp_path_factory.mktemp('packages')
    rows = main.build_all([kind for kind in main.KINDS
                           if not LACKING[kind]], base / 'out', base)
    print(main.table(rows))
    return {row.package.suffix: row.package for row in rows}


@pytest.fixture(params=main.KINDS)
def package(request: pytest.FixtureRequest,
            built: dict[str, Path]) -> Path:
    if LACKING[request.param]:
        pytest.skip(f'missing: {", ".join(LACKING[request.param])}')
    return built[SUFFIX[request.param]]


@pytest.fixture
def unpacked(package: Path, tmp_path: Path) -> Unpacked:
    return contents.unpack(package, tmp_path / 'root')


def of_kind(kind: str, built: dict[str, Path]) -> Path:
    if LACKING[kind]:
        pytest.skip(f'missing: {", ".join(LACKING[kind])}')
    return built[SUFFIX[kind]]


# -- what is in them ---------------------------------------------------------

def test_all_of_the_product_and_nothing_else(unpacked: Unpacked) -> None:
    assert contents.problems(unpacked) == []
    modules = contents.modules_of(ROOT)
    assert contents.modules_of(unpacked.site) == modules
    assert not [path for path in unpacked.files() if 'tests' in path.parts]


def test_the_command_runs_from_where_it_lies(unpacked: Unpacked) -> None:
    """The script of the package, or what pip would make of the wheel."""
    scripts = list(unpacked.root.rglob('bin/cinder-nec'))
    program = [str(scripts[0])] if scripts else [
        '-c', 'import sys; from cinder_nec.cli.app import main; '
        'sys.exit(main())']
    done = subprocess.run(
        [sys.executable, *program, 'in-tree', 'status', '-f', 'value',
         '-c', 'state'], env={'PYTHONPATH': str(unpacked.site)}, text=True,
        cwd=unpacked.root, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, 'cinder\n'), done.stderr


def test_scripts_are_for_the_systems_python(unpacked: Unpacked) -> None:
    scripts = list(unpacked.root.rglob('bin/*'))
    for script in scripts:
        assert script.read_text().splitlines()[0] == '#!/usr/bin/python3'
        assert script.stat().st_mode & stat.S_IXOTH
    assert {path.name for path in scripts} in (
        set(), {'cinder-nec', 'cinder-nec-volume-list'})


def lose_a_module(unpacked: Unpacked) -> None:
    (unpacked.site / 'cinder_nec' / 'retry.py').unlink()


def lose_the_marker(unpacked: Unpacked) -> None:
    (unpacked.site / 'cinder_nec' / 'py.typed').unlink()


def gain_a_module(unpacked: Unpacked) -> None:
    (unpacked.site / 'cinder_nec' / 'old.py').write_text('')


def gain_tests(unpacked: Unpacked) -> None:
    (unpacked.site / 'tests').mkdir()
    (unpacked.site / 'tests' / 'conftest.py').write_text('')


def lose_a_sample(unpacked: Unpacked) -> None:
    (unpacked.share / 'multipath.conf').unlink()


def change_a_sample(unpacked: Unpacked) -> None:
    (unpacked.share / 'kolla' / 'globals.yml.sample').write_text('')


def lose_a_command(unpacked: Unpacked) -> None:
    path = next(unpacked.site.glob('*.dist-info/entry_points.txt'))
    path.write_text(path.read_text().replace(
        'cinder-nec-volume-list = cinder_nec.volume_list:main\n', ''))


@pytest.mark.parametrize(('spoil', 'word'), [
    (lose_a_module, 'retry.py is missing'),
    (lose_the_marker, 'py.typed is missing'),
    (gain_a_module, 'old.py is not in the checkout'),
    (gain_tests, 'conftest.py is not for a site'),
    (lose_a_sample, 'multipath.conf is missing'),
    (change_a_sample, 'globals.yml.sample is another one'),
    (lose_a_command, 'entry point missing: console_scripts'),
])
def test_what_is_wrong_is_seen(
        built: dict[str, Path], tmp_path: Path,
        spoil: Callable[[Unpacked], None], word: str) -> None:
    unpacked = contents.unpack(built['.whl'], tmp_path / 'root')
    spoil(unpacked)
    found = contents.problems(unpacked)
    assert len(found) == 1 and word in found[0]


# -- into a root of their own -------------------------------------------------

as_root = pytest.mark.skipif(
    os.geteuid() != 0, reason='missing: root, whom rpm and dpkg want')


def say(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True,
                          env={'PATH': build.SYSTEM_PATH, 'LC_ALL': 'C'})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@as_root
def test_the_rpm_is_installed_verified_and_erased(
        built: dict[str, Path], tmp_path: Path) -> None:
    """Without scripts: they would be run in a root without a shell."""
    package, root = of_kind('rpm', built), tmp_path / 'root'
    (root / 'var' / 'lib' / 'rpm').mkdir(parents=True)
    rpm = ('rpm', '--root', str(root))
    say(*rpm, '--install', '--nodeps', '--noscripts', str(package))
    assert contents.problems(Unpacked(root)) == []
    assert contents.import_all(Unpacked(root)) > 50
    assert say(*rpm, '--verify', '--nodeps', 'python3-cinder-nec') == ''
    say(*rpm, '--erase', '--noscripts', 'python3-cinder-nec')
    left = {path.name for path in root.rglob('*')}
    assert not [name for name in left if 'cinder' in name]


@as_root
def test_the_deb_is_installed_and_verified(
        built: dict[str, Path], tmp_path: Path) -> None:
    """Unpacked by dpkg; to configure it takes a whole system."""
    package, root = of_kind('deb', built), tmp_path / 'root'
    for name in ('info', 'updates', 'triggers'):
        (root / 'var' / 'lib' / 'dpkg' / name).mkdir(parents=True)
    (root / 'var' / 'lib' / 'dpkg' / 'status').write_text('')
    dpkg = ('dpkg', f'--root={root}', '--force-not-root',
            '--log=/dev/null')
    say(*dpkg, '--unpack', str(package))
    assert contents.problems(Unpacked(root)) == []
    assert contents.import_all(Unpacked(root)) > 50
    assert say(*dpkg, '--verify', 'python3-cinder-nec') == ''
    changed = next(root.rglob('cinder_nec/volume.py'))
    changed.write_text('')
    assert str(changed.relative_to(root)) in subprocess.run(
        [*dpkg, '--verify', 'python3-cinder-nec'], capture_output=True,
        text=True).stdout


# -- what they say of themselves ---------------------------------------------

def requirements() -> Iterator[tuple[str, str]]:
    for line in (ROOT / 'requirements.txt').read_text().splitlines():
        if found := re.match(r'([\w.-]+)>=([\w.]+)', line):
            yield found.group(1), found.group(2)


def test_one_version() -> None:
    spec = SPEC.read_text()
    assert f'Version:        {__version__}\n' in spec
    assert f' - {__version__}-1\n' in spec.partition('%changelog')[2]
    first = (DEBIAN / 'changelog').read_text().splitlines()[0]
    assert first.startswith(f'python-cinder-nec ({__version__}-1) ')


def test_packages_need_what_the_wheel_needs() -> None:
    spec = SPEC.read_text()
    control = (DEBIAN / 'control').read_text()
    needs = dict(requirements())
    assert 'paramiko' in needs
    for name, oldest in needs.items():
        short = name.replace('.', '-')
        assert re.search(rf'^Requires: +python3-{short} >= (\d+:)?'
                         rf'{re.escape(oldest)}$', spec, re.M), name
        assert re.search(rf'^ python3-{re.escape(name)} \(>= (\d+:)?'
                         rf'{re.escape(oldest)}\),$', control, re.M), name


def test_the_rpm_asks_for_cinder(built: dict[str, Path]) -> None:
    package = of_kind('rpm', built)
    done = subprocess.run(['rpm', '-qp', '--requires', str(package)],
                          capture_output=True, text=True, check=True)
    assert 'python3-cinder >= 1:27' in done.stdout.splitlines()


def test_the_deb_asks_for_cinder(built: dict[str, Path]) -> None:
    package = of_kind('deb', built)
    done = subprocess.run(['dpkg-deb', '-f', str(package), 'Depends'],
                          capture_output=True, text=True, check=True)
    assert 'python3-cinder (>= 2:27~)' in done.stdout.split(', ')


# -- what they do when they go -----------------------------------------------

def calls(script: str, tmp_path: Path, *arguments: str,
          status: int = 0) -> list[str]:
    """Run a maintainer script; returns what it asked of cinder-nec."""
    stands_in = tmp_path / 'bin'
    stands_in.mkdir(exist_ok=True)
    for name in ('cinder-nec', 'py3clean'):
        path = stands_in / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"$CALLS"\n'
                        f'exit {status if name == "cinder-nec" else 0}\n')
        path.chmod(0o755)
    log = tmp_path / 'calls'
    log.write_text('')
    subprocess.run(['sh', '-c', script, 'script', *arguments], check=True,
                   env={'PATH': f'{stands_in}:/usr/bin:/bin',
                        'CALLS': str(log)})
    return [line for line in log.read_text().splitlines()
            if line.startswith('cinder-nec')]


def test_a_removed_rpm_leaves_no_path_that_leads_nowhere(
        built: dict[str, Path], tmp_path: Path) -> None:
    package = of_kind('rpm', built)
    script = subprocess.run(
        ['rpm', '-qp', '--queryformat', '%{PREUN}', str(package)],
        capture_output=True, text=True, check=True).stdout
    assert calls(script, tmp_path, '0') == ['cinder-nec in-tree remove']
    # What refuses must not keep the package on the system.
    assert calls(script, tmp_path, '0', status=2)
    assert calls(script, tmp_path, '1') == []


def test_a_removed_deb_leaves_no_path_that_leads_nowhere(
        built: dict[str, Path], tmp_path: Path) -> None:
    package = of_kind('deb', built)
    control = tmp_path / 'control'
    subprocess.run(['dpkg-deb', '-e', str(package), str(control)],
                   check=True)
    script = (control / 'prerm').read_text()
    assert calls(script, tmp_path, 'remove') == [
        'cinder-nec in-tree remove']
    assert calls(script, tmp_path, 'remove', status=2)
    assert calls(script, tmp_path, 'upgrade', '2.0.1-1') == []


# -- the tool ----------------------------------------------------------------

def test_what_is_missing_is_named_and_the_rest_is_built(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(build, 'SYSTEM_PATH', str(tmp_path))
    monkeypatch.setenv('SOURCE_DATE_EPOCH', '1')
    monkeypatch.setattr(build, 'check_manifest', lambda: None)
    assert main.main(['rpm', '--out', str(tmp_path / 'out')]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == 'Not built: rpm. It needs: apt-get install rpm rpm2cpio'
    assert [path.name for path in (tmp_path / 'out').iterdir()] == [
        f'cinder_nec-{__version__}.tar.gz']


def test_without_git_the_sources_are_found_all_the_same(
        tmp_path: Path) -> None:
    """As from an unpacked sdist; what is built does not count."""
    site = tmp_path / 'unpacked'
    (site / 'cinder_nec').mkdir(parents=True)
    (site / 'cinder_nec' / 'volume.py').write_text('')
    for name in ('.venv-cinder27', 'dist', 'cinder_nec.egg-info'):
        (site / name).mkdir()
    copy = build.export(tmp_path / 'copy', site)
    assert [str(path.relative_to(copy)) for path in sorted(
        copy.rglob('*'))] == ['cinder_nec', 'cinder_nec/volume.py']


def test_nothing_is_left_in_the_checkout(built: dict[str, Path]) -> None:
    if not (ROOT / '.git').exists() or shutil.which('git') is None:
        pytest.skip('missing: a git checkout')
    listed = subprocess.run(
        ['git', '-C', str(ROOT), 'ls-files', '--others',
         '--exclude-standard'], capture_output=True, text=True, check=True)
    assert not [name for name in listed.stdout.splitlines()
                if name.startswith(('debian/', 'build/', 'dist/'))]
    assert os.path.exists(built['.whl'])
