"""One change as a part of a patch: in git's form, such that `git apply` makes exactly that of it.

    diff --git a/NAME b/NAME
    new file mode 100644 | deleted file mode … | old mode …, new mode … | rename from …, rename to …
    index <git's hash of the content before>..<after>
    --- a/NAME, +++ b/NAME, hunks            or: GIT binary patch, both contents (base85 of zlib)

git knows files (executable or not) and links. What it cannot say is left out of a patch, and told
in a text for people: empty directories, fifos, other bits of modes. What became of another type is
a deletion and a creation.

A text is compared by lines; what is binary, or too long for that (texts.py), stands there whole,
with git's SHA-1 of it (a repository of SHA-256 takes no such patch). That is made piece by piece: a
patch may be larger than memory when it is exported, though git takes none of 1 GiB or more.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator

import attrs

from runner.workspaces.comparing import Change, Source
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.quoting import quoted
from runner.workspaces.texts import LARGEST, hunks, is_binary

_NOTHING = b"0" * 40
_LINE = 52  # bytes in a line of base85
_PIECE = 1 << 20
# Also as Windows could spell it: git refuses those everywhere (`core.protectNTFS`).
_DOT_GIT = re.compile(r"(\.git|git~1)[ .]*(:.*)?", re.IGNORECASE | re.DOTALL)
_ZEROS = bytes(_PIECE)


@attrs.frozen
class Half:
    """A file or link before or after a change, at its path; it is read when that is asked for."""

    path: bytes
    entry: Entry
    source: Source = attrs.field(repr=False)

    @functools.cached_property
    def data(self) -> bytes | None:
        """The content; None if it is binary, or larger than what is compared by lines."""
        if self.entry.size > LARGEST:
            return None
        data = b"".join(pieces(self.source, self.entry))
        return None if self.entry.type is EntryType.FILE and is_binary(data) else data


def halves(source: Source, change: Change) -> tuple[Half | None, Half | None]:
    """What of a change git could know: the file before and after; None = there is none."""
    old_path = change.path if change.old_path is None else change.old_path
    return _half(source, old_path, change.before), _half(source, change.path, change.after)


def patch_of(source: Source, change: Change) -> Iterator[bytes]:
    """The part of a patch that makes this change; nothing if git has no word for it."""
    before, after = (_known(each) for each in halves(source, change))
    if before is not None and after is not None and _type(before) != _type(after):
        yield from _part(source, before, None, change)
        yield from _part(source, None, after, change)
    else:
        yield from _part(source, before, after, change)


def reason_left_out(path: str, entry: Entry) -> str:
    """Why git has no words for what is at a path; empty if it has."""
    if any(_DOT_GIT.fullmatch(each) for each in path.split("/")):
        return "git keeps that name to itself"
    if entry.type is EntryType.DIRECTORY:
        return "git knows no directories, only what is in them" if entry.id == EMPTY.id else ""
    return (
        "" if entry.type in {EntryType.FILE, EntryType.LINK} else "git knows files and links only"
    )


def git_mode(entry: Entry) -> int:
    """The mode by which git knows a file or link."""
    if entry.type is EntryType.LINK:
        return 0o120000
    return 0o100755 if entry.mode & 0o100 else 0o100644


def pieces(source: Source, entry: Entry) -> Iterator[bytes]:
    """The content of a file or link, piece by piece; holes are zeros."""
    for each in source.content(entry.id):
        if isinstance(each, bytes):
            yield each
        else:
            for at in range(0, each, _PIECE):
                yield _ZEROS[: each - at]


def _half(source: Source, path: str, entry: Entry | None) -> Half | None:
    if entry is None or entry.type not in {EntryType.FILE, EntryType.LINK}:
        return None
    return Half(os.fsencode(path), entry, source)


def _known(half: Half | None) -> Half | None:
    if half is None or reason_left_out(os.fsdecode(half.path), half.entry):
        return None
    return half


def _type(half: Half) -> EntryType:
    return half.entry.type


def _part(
    source: Source, before: Half | None, after: Half | None, change: Change
) -> Iterator[bytes]:
    there = after or before
    if there is None:
        return
    old_path = there.path if before is None else before.path
    is_changed = _is_changed(before, after)
    head = list(_modes(before, after))
    if before is not None and after is not None and old_path != there.path:
        head += (
            b"similarity index %d%%\n" % change.similarity,
            b"rename from %s\n" % quoted(old_path),
            b"rename to %s\n" % quoted(there.path),
        )
    if not head and not is_changed:
        return
    yield b"diff --git %s %s\n" % (quoted(b"a/" + old_path), quoted(b"b/" + there.path))
    yield from head
    if is_changed:
        yield b"index %s..%s\n" % (_git_hash(source, before), _git_hash(source, after))
        yield from _contents(source, before, after)


def _is_changed(before: Half | None, after: Half | None) -> bool:
    if before is None or after is None:
        return True
    return before.entry.id != after.entry.id


def _modes(before: Half | None, after: Half | None) -> Iterator[bytes]:
    old = None if before is None else git_mode(before.entry)
    new = None if after is None else git_mode(after.entry)
    if old is None:
        yield b"new file mode %o\n" % (new or 0)
    elif new is None:
        yield b"deleted file mode %o\n" % old
    elif old != new:
        yield b"old mode %o\n" % old
        yield b"new mode %o\n" % new


def _contents(source: Source, before: Half | None, after: Half | None) -> Iterator[bytes]:
    old = b"" if before is None else before.data
    new = b"" if after is None else after.data
    if old is None or new is None:
        yield b"GIT binary patch\n"
        yield from _literal(source, after)
        yield from _literal(source, before)
    elif old or new:
        yield b"--- %s\n" % _named(b"a/", before)
        yield b"+++ %s\n" % _named(b"b/", after)
        yield from hunks(old, new)


def _named(prefix: bytes, half: Half | None) -> bytes:
    return b"/dev/null" if half is None else quoted(prefix + half.path)


def _git_hash(source: Source, half: Half | None) -> bytes:
    """What git calls this content; it applies a binary patch to nothing else."""
    if half is None:
        return _NOTHING
    if half.data is not None:
        size, content = len(half.data), iter((half.data,))
    else:
        size, content = half.entry.size, pieces(source, half.entry)
    made = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    for each in content:
        made.update(each)
    return made.hexdigest().encode()


def _literal(source: Source, half: Half | None) -> Iterator[bytes]:
    """A whole content, compressed, in lines of base85 that begin with their length."""
    yield b"literal %d\n" % (0 if half is None else half.entry.size)
    rest = b""
    for each in _compressed(() if half is None else pieces(source, half.entry)):
        rest += each
        usable = len(rest) - len(rest) % _LINE
        yield b"".join(_coded(rest[at : at + _LINE]) for at in range(0, usable, _LINE))
        rest = rest[usable:]
    yield (_coded(rest) if rest else b"") + b"\n"


def _compressed(content: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj()
    for each in content:
        yield packer.compress(each)
    yield packer.flush()


def _coded(data: bytes) -> bytes:
    length = len(data)
    first = ord("A") + length - 1 if length <= 26 else ord("a") + length - 27
    return b"%c%s\n" % (first, base64.b85encode(data, pad=True))
