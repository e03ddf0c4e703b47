# SPDX-License-Identifier: Apache-2.0
"""The programs that os-brick runs, as far as it uses them."""

from __future__ import annotations

from collections.abc import Callable
import os
import re

from simhost import disk
from simhost.disk import DiskError
from simhost.host import Attached, Host, Map

# Exit status, stdout, stderr.
Answer = tuple[int, str, str]
OK: Answer = (0, '', '')
# open-iscsi: ISCSI_ERR_NO_OBJS_FOUND.
NOT_FOUND = 21


def answer(host: Host, name: str, words: list[str], stdin: str) -> Answer:
    """Run one stand-in."""
    program = PROGRAMS.get(name)
    if program is None:
        return 127, '', f'{name}: not simulated\n'
    try:
        return program(host, words, stdin)
    except (DiskError, OSError) as error:
        return 1, '', f'{name}: {error}\n'


def _option(words: list[str], *names: str) -> str:
    for name in names:
        if name in words[:-1]:
            return words[words.index(name) + 1]
    return ''


def iscsiadm(host: Host, words: list[str], _stdin: str) -> Answer:
    mode = _option(words, '-m', '--mode')
    if mode == 'session':
        with host.lock:
            lines = [f'tcp: [{one.sid}] {one.place.portal},1 '
                     f'{one.place.target} (non-flash)\n'
                     for one in host.sessions.values()]
        if not lines:
            return NOT_FOUND, '', 'iscsiadm: No active sessions.\n'
        return 0, ''.join(lines), ''
    if mode in ('discovery', 'discoverydb'):
        return _discovery(host, words)
    if mode == 'node':
        return _node(host, words)
    return 7, '', 'iscsiadm: not simulated\n'


def _discovery(host: Host, words: list[str]) -> Answer:
    portal = _option(words, '-p', '--portal')
    if '--discover' not in words:
        return OK
    _status, text = disk.ask(host.initiator, 'iscsi-ls',
                             f'iscsi://{portal}')
    found = re.findall(r'^Target:(\S+) Portal:(\S+)$', text, re.M)
    return 0, ''.join(f'{where} {target}\n'
                      for target, where in found), ''


def _node(host: Host, words: list[str]) -> Answer:
    target = _option(words, '-T', '--targetname')
    portal = _option(words, '-p', '--portal')
    if not target:
        return 0, ''.join(f'{where},1 {name}\n'
                          for where, name in host.nodes), ''
    key = portal, target
    operation = _option(words, '--op', '-o')
    if operation == 'new':
        host.nodes.setdefault(key, {})
        return OK
    if key not in host.nodes:
        return NOT_FOUND, '', 'iscsiadm: No records found\n'
    if operation == 'update':
        host.nodes[key][_option(words, '-n')] = _option(words, '-v')
    elif operation == 'delete':
        del host.nodes[key]
    elif '--login' in words:
        status = host.login(portal, target)
        return status, '', f'iscsiadm: status {status}\n' if status else ''
    elif '--logout' in words:
        session = host.find_session(portal, target)
        if session is None:
            return NOT_FOUND, '', 'iscsiadm: No matching sessions found\n'
        host.logout(session)
    else:
        return 0, f'node.name = {target}\n', ''
    return OK


def tee(host: Host, words: list[str], stdin: str) -> Answer:
    """A write to a file of sysfs."""
    path = words[-1]
    scan = re.fullmatch(r'/sys/class/scsi_host/host(\d+)/scan', path)
    if scan:
        host.scan(int(scan[1]), stdin.split())
        return 0, stdin, ''
    delete = re.fullmatch(r'/sys/block/(sd[a-z]+)/device/delete', path)
    if delete and delete[1] in host.disks:
        host.remove(host.disks[delete[1]])
        return 0, stdin, ''
    rescan = re.fullmatch(r'/sys/bus/scsi/drivers/sd/([\d:]+)/rescan', path)
    if rescan:
        hctl = tuple(map(int, rescan[1].split(':')))
        for attached in host.disks.values():
            if attached.hctl == hctl:
                host.rescan(attached)
                return 0, stdin, ''
    return 1, '', f'tee: {path}: No such file or directory\n'


def blockdev(host: Host, words: list[str], _stdin: str) -> Answer:
    """Before the real one: `--flushbufs` forgets the file's cache too."""
    found = host.find(words[-1])
    if words[:1] == ['--flushbufs'] and found:
        found.disk.forget_cache()
    return OK


def lsscsi(host: Host, _words: list[str], _stdin: str) -> Answer:
    with host.lock:
        return 0, ''.join(
            f'[{":".join(map(str, one.hctl))}]  disk    NEC      '
            f'DISK ARRAY       0001  {one.node} \n'
            for one in host.disks.values()), ''


def lsblk(host: Host, _words: list[str], _stdin: str) -> Answer:
    """`lsblk -o NAME,RO -l -n`"""
    with host.lock:
        lines = [f'{one.name} {int(one.disk.read_only)}\n'
                 for one in host.disks.values()]
        lines += [f'{one.wwid} {int(one.paths[0].disk.read_only)}\n'
                  for one in host.maps.values() if one.paths]
    return 0, ''.join(lines), ''


def scsi_id(host: Host, words: list[str], _stdin: str) -> Answer:
    found = host.find(words[-1])
    if found is None:
        return 1, '', ''
    return 0, found.wwid + '\n', ''


def _map_of(host: Host, text: str) -> Map | None:
    """A map by its name, WWID or any of its devices."""
    name = os.path.basename(os.path.realpath(text))
    for found in host.maps.values():
        if text in (found.wwid, found.name) or name == found.name:
            return found
        if any(path.name == name for path in found.paths):
            return found
    return None


def multipath(host: Host, words: list[str], _stdin: str) -> Answer:
    if words[:1] == ['-a']:
        return 0, f"wwid '{words[1]}' added\n", ''
    if words[:1] == ['-r']:
        return OK
    found = _map_of(host, words[-1])
    if words[:1] == ['-f'] and found:
        host.drop_map(found)
        return OK
    if words[:1] in (['-C'], ['-c']):
        return (0 if found else 1), '', ''
    if words[:1] in (['-l'], ['-ll']):
        return 0, _shown(found) if found else '', ''
    return 1, '', f'multipath {" ".join(words)}: not simulated\n'


def _shown(found: Map) -> str:
    lines = [f'{found.wwid} {found.name} NEC,DISK ARRAY',
             "size=? features='0' hwhandler='0' wp=rw",
             "`-+- policy='service-time 0' prio=1 status=active"]
    lines += [f'  |- {":".join(map(str, one.hctl))} {one.name} 8:0 '
              'active ready running' for one in found.paths]
    return '\n'.join(lines) + '\n'


def multipathd(host: Host, words: list[str], _stdin: str) -> Answer:
    if not host.multipath:
        return 1, '', 'error: cannot connect to multipathd\n'
    text = ' '.join(words)
    if text == 'show status':
        return 0, 'path checker states:\n', ''
    if text.startswith('show paths raw format'):
        return 0, _paths(host, words[-1]), ''
    path = re.fullmatch(r'(add|del) path (\S+)', text)
    if path:
        attached = host.find(path[2])
        if attached is None:
            return 0, 'fail\n', ''
        (host.join_map if path[1] == 'add' else host.leave_map)(attached)
        return 0, 'ok\n', ''
    removed = re.fullmatch(r'del map (\S+)', text)
    if removed:
        found = _map_of(host, removed[1])
        if found:
            host.drop_map(found, flush=False)
        return 0, 'ok\n' if found else 'fail\n', ''
    if text == 'reconfigure' or text.startswith('resize map '):
        return 0, 'ok\n', ''
    return 1, '', f'multipathd {text}: not simulated\n'


def _paths(host: Host, form: str) -> str:
    def line(one: Attached) -> str:
        return form.replace('%d', one.name).replace('%w', one.wwid)
    with host.lock:
        return ''.join(line(one) + '\n' for one in host.disks.values())


PROGRAMS: dict[str, Callable[[Host, list[str], str], Answer]] = {
    'blockdev': blockdev, 'iscsiadm': iscsiadm, 'tee': tee,
    'lsscsi': lsscsi, 'lsblk': lsblk,
    'scsi_id': scsi_id, 'multipath': multipath, 'multipathd': multipathd,
    'describe': lambda host, _words, _stdin: (0, host.describe(), ''),
}
