"""What an edit makes of a content, on every backend. Pure."""

from __future__ import annotations

import hashlib
import itertools

import attrs

from runner.errors import EditFailed, FileChanged, OperationError
from runner.messages import Edit, EditLines, LineChange, Replacement, Write
from runner.operations.hashlines import line_hash


def require_unchanged(op: str, content: bytes | None, message: Write | Edit | EditLines) -> None:
    """Raise FileChanged unless a content has the digest that a caller expects."""
    if message.expected is None:
        return
    now = None if content is None else hashlib.sha256(content).hexdigest()
    if now != message.expected:
        reason = "it is not there any more" if now is None else ""
        raise FileChanged(op, message.path, reason, hint="read it again, then edit what is there")


def require_mode(path: str, mode: int, scope: str) -> None:
    """Raise OperationError for bits that are no permissions: set-uid and its like are not given."""
    if not 0 <= mode <= 0o777:
        reason = f"{mode:#o} is not between 0 and 0o777"
        raise OperationError("chmod", path, reason, scope=scope, hint="give permission bits only")


@attrs.frozen
class _Edit:
    """Makes the errors of one edit."""

    op: str
    path: str

    def failed(self, reason: str, hint: str = "") -> EditFailed:
        return EditFailed(self.op, self.path, reason, hint=hint)


# ---------------------------------------------------------------- exact pieces


def edited(content: bytes, message: Edit) -> tuple[bytes, int]:
    """The content after an edit, and how many pieces of it were replaced.

    Raises:
        EditFailed: with what would help; FileChanged.
    """
    require_unchanged("edit", content, message)
    edit = _Edit("edit", message.path)
    if not message.replacements:
        raise edit.failed("there is nothing to replace", "give at least one replacement")
    counts = 0
    for number, each in enumerate(message.replacements, 1):
        which = f"replacement {number}: " if len(message.replacements) > 1 else ""
        content, count = _replaced(content, each, edit, which)
        counts += count
    return content, counts


def _replaced(content: bytes, each: Replacement, edit: _Edit, which: str) -> tuple[bytes, int]:
    old = each.old
    if not old:
        raise edit.failed(f"{which}the text to replace is empty", "write() replaces a whole file")
    count = content.count(old)
    if count == 0:
        raise edit.failed(f"{which}the text to replace was not found", _why_not_found(content, old))
    if count > 1 and not each.replace_all:
        where = _lines(content, old)
        raise edit.failed(
            f"{which}the text to replace stands there {count} times, in lines {where}",
            "give more of the text around it, or pass replace_all=True",
        )
    return content.replace(old, each.new), count


def _why_not_found(content: bytes, old: bytes) -> str:
    if b"\r\n" in content and old.replace(b"\r\n", b"\n") in content.replace(b"\r\n", b"\n"):
        return "it differs only in line endings: the file has CRLF"
    if b"".join(old.split()) in b"".join(content.split()):
        return "it differs only in white space"
    if old.lower() in content.lower():
        return "it differs only in upper and lower case"
    return "read the file again: it must stand there byte for byte"


def _lines(content: bytes, old: bytes, most: int = 5) -> str:
    found: list[str] = []
    start = content.find(old)
    while start >= 0 and len(found) <= most:
        found.append(str(content.count(b"\n", 0, start) + 1))
        start = content.find(old, start + len(old))
    return ", ".join(found[:most]) + (", …" if len(found) > most else "")


# ---------------------------------------------------------------- lines by number and hash


def edited_lines(content: bytes, message: EditLines) -> tuple[bytes, int]:
    """The content after an edit of lines, and by how many lines it has grown.

    A text that replaces lines gets the line end of the first of them, if it has none of its own.

    Raises:
        EditFailed: with what would help; FileChanged.
    """
    require_unchanged("edit_lines", content, message)
    edit = _Edit("edit_lines", message.path)
    if not message.changes:
        raise edit.failed("there is nothing to change", "give at least one change")
    lines = _split(content)
    before = len(lines)
    changes = sorted(message.changes, key=lambda each: (each.first, _last(each)))
    for earlier, later in itertools.pairwise(changes):
        if later.first <= _last(earlier):
            raise edit.failed(f"two changes name line {later.first}", "join them into one")
    for each in changes:
        _require_lines(lines, each, edit)
    for each in reversed(changes):
        _change(lines, each)
    return b"".join(lines), _count(lines) - before


def _split(content: bytes) -> list[bytes]:
    """Lines with their ends; only LF ends a line (`splitlines` would take a lone CR for one)."""
    lines = [line + b"\n" for line in content.split(b"\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _last(change: LineChange) -> int:
    return change.first if change.last is None else change.last


def _require_lines(lines: list[bytes], change: LineChange, edit: _Edit) -> None:
    if change.after and change.last is not None:
        raise edit.failed(
            "`after` puts text behind one line: it takes no `last`", "leave one of the two out"
        )
    if _last(change) < change.first:
        raise edit.failed(
            f"the last line, {change.last}, comes before the first, {change.first}", "swap them"
        )
    if change.last is not None and change.last_hash is None:
        raise edit.failed(f"line {change.last} needs its hash, too", "give it as last_hash")
    for number, told in ((change.first, change.first_hash), (change.last, change.last_hash)):
        if number is None or told is None:
            continue
        if not 1 <= number <= len(lines):
            raise edit.failed(
                f"there is no line {number}: the file has {len(lines)}",
                "lines count from 1: read the file again",
            )
        found = line_hash(lines[number - 1])
        if found != told:
            raise edit.failed(
                f"line {number} has the hash {found}, not {told}",
                "the file has changed: read it again",
            )


def _change(lines: list[bytes], change: LineChange) -> None:
    named = lines[change.first - 1]
    end = b"\r\n" if named.endswith(b"\r\n") else b"\n"
    start, stop = change.first - 1, _last(change)
    text = change.text
    if change.after:
        start = stop
        if text and not named.endswith(b"\n"):  # the last line of a file without a last line end
            lines[change.first - 1], text = named + end, text.removesuffix(b"\n")
            lines[start:stop] = [text]
            return
    if text and not text.endswith(b"\n") and (stop < len(lines) or lines[stop - 1].endswith(b"\n")):
        text += end
    lines[start:stop] = [text] if text else []


def _count(lines: list[bytes]) -> int:
    content = b"".join(lines)
    return content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
