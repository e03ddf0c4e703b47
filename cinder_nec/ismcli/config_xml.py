# SPDX-License-Identifier: Apache-2.0
"""The configuration dump of an array: XML to :class:`ArrayConfig`.

Layout: ISMCLI.md A.2.  A dump of a full array is some 19 MB, so it is read
piece by piece, what has been read is dropped from the tree at once, and
between the pieces other threads get their turn.

Two rules decide what an oddity does.  A dump that is not whole, or whose
frame is not the known one, is an error: it must never look like a small
array.  One odd object inside a whole dump is noted in
``ArrayConfig.unrecognized`` and takes nothing else down.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator, Mapping
import functools
import re
import time
from typing import Any

from lxml import etree

from cinder_nec import errors
from cinder_nec.ismcli.config_objects import Collector
from cinder_nec.ismcli.config_values import READ_UNITS, Units
from cinder_nec.model import ArrayConfig, LogicalDisk

MAX_DUMP_BYTES = 64 << 20
# 64 KiB are parsed in about 2 ms: nobody is kept waiting.
CHUNK_BYTES = 64 << 10
# An array's longest section is a few kilobytes.  What goes on for longer
# without an end would only fill the memory.
_MAX_BYTES_WITHOUT_SECTION = 2 << 20

_WHERE = 'configuration dump'
_ENDS_OF = ('SECTION', 'OBJECT', 'CHAPTER', 'CMD_REQUEST', 'RETURN_MSG',
            'RETURN_CODE')
_ENCODING = re.compile(r'encoding\s*=\s*["\']([A-Za-z0-9._-]{1,40})["\']')
# All of them are ASCII where the marks of the frame are looked for.
_CODECS = {
    'utf-8': 'utf-8', 'utf8': 'utf-8', 'us-ascii': 'utf-8',
    'ascii': 'utf-8', 'iso-8859-1': 'iso-8859-1', 'latin-1': 'iso-8859-1',
    'shift_jis': 'cp932', 'windows-31j': 'cp932', 'cp932': 'cp932',
    'euc-jp': 'euc-jp',
}


def _breathe() -> None:
    """Let other threads run (green ones too, under eventlet)."""
    time.sleep(0)


def parse(xml: bytes | str,
          breathe: Callable[[], None] = _breathe,
          known: ArrayConfig | None = None) -> ArrayConfig:
    """Return the configuration that a dump shows.

    What stands before and after the document (the ``ExitStatus`` line of
    the legacy commands, an echo of ``clioutmsg``) is left out.

    :param xml: the answer to ``commands.query_all()`` or
        ``commands.legacy_view_all()``
    :param breathe: called between two pieces of :data:`CHUNK_BYTES`
    :param known: an older configuration of the same array. LDs that have
        not changed are taken from it: thousands of new objects for each
        dump would bring on Python's full garbage collection, which holds
        up all threads of a ``cinder-volume`` for 0.1 s
    :raises errors.ParseError: if the answer is not one whole dump whose
        return code is 0, has a DOCTYPE, lacks the chapters Disk Array,
        Logical Disk or Pool, or is longer than :data:`MAX_DUMP_BYTES`
    """
    if len(xml) > MAX_DUMP_BYTES:
        raise errors.ParseError(
            f'the answer is longer than {MAX_DUMP_BYTES >> 20} MiB', _WHERE)
    reader = _Reader(known.logical_disks if known is not None else {})
    try:
        for piece in _pieces(xml):
            reader.feed(piece)
            breathe()
        reader.close()
    except etree.LxmlError as exc:
        # The text of the parser's message may quote the dump.
        line = getattr(exc, 'lineno', None) or 0
        raise errors.ParseError(
            'the XML is not well formed',
            f'{_WHERE}, line {line} of the document') from None
    return reader.finish()


def _pieces(xml: bytes | str) -> Iterator[bytes]:
    """Yield the root element as UTF-8, in pieces, without a whole copy."""
    if isinstance(xml, str):
        start, end = _frame(xml, '<REQUEST', '</REQUEST', '>', '<!DOCTYPE')
        for at in range(start, end, CHUNK_BYTES):
            yield xml[at:min(at + CHUNK_BYTES, end)].encode(
                'utf-8', errors='replace')
        return
    start, end = _frame(xml, b'<REQUEST', b'</REQUEST', b'>', b'<!DOCTYPE')
    # A name in a wrong encoding is one odd LD, not an unreadable array.
    decode = _decoder(xml, start)
    for at in range(start, end, CHUNK_BYTES):
        stop = min(at + CHUNK_BYTES, end)
        yield decode(xml[at:stop], stop == end).encode('utf-8')


def _frame(xml: Any, head: Any, tail: Any, close: Any,
           doctype: Any) -> tuple[int, int]:
    """Return where the root element starts and where it ends."""
    start = xml.find(head)
    if start < 0:
        raise errors.ParseError('there is no <REQUEST> element', _WHERE)
    if xml.find(doctype, 0, start) >= 0:
        raise errors.ParseError('it has a DOCTYPE', _WHERE)
    end = xml.find(close, max(xml.rfind(tail), start + len(head)))
    if xml.rfind(tail) < start or end < 0:
        raise errors.ParseError('its end is missing', _WHERE)
    return start, end + 1


def _decoder(xml: bytes, start: int) -> Callable[[bytes, bool], str]:
    """Return the decoder that the XML declaration asks for."""
    prolog = xml[max(0, start - 1024):start].decode('ascii', 'replace')
    found = _ENCODING.search(prolog)
    name = found.group(1).lower() if found else 'utf-8'
    if name not in _CODECS:
        raise errors.ParseError('its encoding is not a known one', _WHERE)
    return codecs.getincrementaldecoder(_CODECS[name])('replace').decode


_unit_names = etree.XPath('UNIT/@name', smart_strings=False)


class _Reader:
    """Feeds the parser, hands each section on, and drops it."""

    def __init__(self, known: Mapping[int, LogicalDisk]) -> None:
        # No DTD is loaded, no entity expanded, no address opened; depth
        # and text length keep libxml2's bounds.
        self._parser = etree.XMLPullParser(
            events=('end',), tag=_ENDS_OF, resolve_entities=False,
            load_dtd=False, no_network=True, huge_tree=False,
            remove_blank_text=True, remove_comments=True, remove_pis=True,
            collect_ids=False)
        self._collector = Collector(known)
        self._silent_bytes = 0
        self._message = ''
        self._codes: list[str] = []

    def feed(self, piece: bytes) -> None:
        self._parser.feed(piece)
        self._silent_bytes += len(piece)
        self._read_events()
        if self._silent_bytes > _MAX_BYTES_WITHOUT_SECTION:
            raise errors.ParseError('a section has no end', _WHERE)

    def close(self) -> None:
        root = self._parser.close()
        self._read_events()
        # A second lock: nothing before the root element was fed.
        if root.getroottree().docinfo.internalDTD is not None:
            raise errors.ParseError('it has a DOCTYPE', _WHERE)

    def finish(self) -> ArrayConfig:
        """:raises errors.ParseError: unless the array says it is whole"""
        if not self._codes:
            raise errors.ParseError('RETURN_CODE is missing', _WHERE)
        for code in self._codes:
            if not code or code.strip('0'):
                raise errors.ParseError(
                    f'the return code is {code[:12]!r} and the message '
                    f'{self._message[:120]!r}', _WHERE)
        return self._collector.finish()

    def _read_events(self) -> None:
        for _event, element in self._parser.read_events():
            assert isinstance(element, etree._Element)
            self._silent_bytes = 0
            self._ended(element)
            _drop(element)

    def _ended(self, element: etree._Element) -> None:
        tag = element.tag
        if tag == 'SECTION':
            chapter, owner = _names_above(element)
            self._collector.line = (
                element.sourceline)  # type: ignore[assignment]
            self._collector.section(
                chapter, owner, element.get('name') or '',
                functools.partial(_units, element))
        elif tag == 'OBJECT':
            self._collector.end_object()
        elif tag == 'CHAPTER':
            self._collector.end_chapter(element.get('name') or '')
        elif tag == 'CMD_REQUEST':
            self._collector.version = element.get('version') or ''
        elif tag == 'RETURN_MSG':
            self._message = ' '.join((element.text or '').split())
        else:
            self._codes.append((element.text or '').strip())


def _names_above(section: etree._Element) -> tuple[str, str]:
    """Return the names of the chapter and of the object of a section."""
    owner = section.getparent()
    if owner is None or owner.tag != 'OBJECT':
        return '', ''
    chapter = owner.getparent()
    if chapter is None or chapter.tag != 'CHAPTER':
        return '', ''
    return chapter.get('name') or '', owner.get('name') or ''


def _units(section: etree._Element) -> Units:
    """Return the units of a section that are of use, in their order.

    An array shows some 50 of an LD and 7 are read: the others' texts are
    never made into strings.
    """
    names: list[str] = _unit_names(section)  # type: ignore[assignment]
    if len(names) != len(section):  # one has no name, or another tag
        return [(unit.get('name'), unit.text) for unit in section]
    return [(name, section[at].text) for at, name in enumerate(names)
            if name in READ_UNITS]


def _drop(element: etree._Element) -> None:
    """Free an element that has been read, and all before it.

    The element itself stays, empty, with the text behind it: the parser
    may still be writing that text.
    """
    element.clear(keep_tail=True)  # type: ignore[call-arg]
    parent = element.getparent()
    if parent is not None:
        while element.getprevious() is not None:
            del parent[0]
