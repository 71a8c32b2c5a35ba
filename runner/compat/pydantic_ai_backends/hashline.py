"""pydantic-ai-backend's line edits by number and hash: `n:hh|text`.

Its hash has two hex digits, so a stale line passes by chance once in 256 times; for new programs,
`Scope.edit_lines` has eight.
"""

from __future__ import annotations

import hashlib


def line_hash(content: str) -> str:
    """Two hex digits of the MD5 of a line without its end."""
    data = content.encode("utf-8", "surrogateescape")
    return hashlib.md5(data, usedforsecurity=False).hexdigest()[:2]


def _split(content: str) -> tuple[list[str], str]:
    """The lines, and what stands after the last of them."""
    if content.endswith("\n"):
        return content[:-1].split("\n"), "\n"
    return content.split("\n"), ""


def format_hashline_output(content: str, offset: int = 0, limit: int = 2000) -> str:
    """Lines with their numbers and hashes, for an agent."""
    lines, _ = _split(content)
    total = len(lines)
    if offset >= total:
        return f"Error: Offset {offset} exceeds file length ({total} lines)"
    end = min(offset + limit, total)
    shown = "\n".join(f"{n + 1}:{line_hash(lines[n])}|{lines[n]}" for n in range(offset, end))
    return shown if end == total else f"{shown}\n\n... ({total - end} more lines)"


def apply_hashline_edit(  # noqa: PLR0917 - as the peer has it
    content: str,
    start_line: int,
    start_hash: str,
    new_content: str,
    end_line: int | None = None,
    end_hash: str | None = None,
    insert_after: bool = False,
) -> tuple[str, str | None]:
    """Replace, delete (by an empty text) or insert lines; the new content, and the error."""
    return apply_hashline_edit_with_summary(
        content, start_line, start_hash, new_content, end_line, end_hash, insert_after
    )[:2]


def apply_hashline_edit_with_summary(  # noqa: PLR0917 - as the peer has it
    content: str,
    start_line: int,
    start_hash: str,
    new_content: str,
    end_line: int | None = None,
    end_hash: str | None = None,
    insert_after: bool = False,
) -> tuple[str, str | None, str]:
    """As `apply_hashline_edit`, with a sentence that says what was done."""
    lines, tail = _split(content)
    ranged = end_line is not None or end_hash is not None
    error = _wrong(lines, "Line", start_line, start_hash)
    if insert_after and ranged and (error is None or "out of range" not in error):
        error = "end_line/end_hash cannot be combined with insert_after"
    last = start_line if end_line is None else end_line
    if error is None and last < start_line:
        error = f"end_line ({last}) must be >= start_line ({start_line})"
    if error is None and end_line is not None:
        error = _wrong(lines, "End line", last, end_hash)
    if error is not None:
        return content, error, ""
    new = new_content.split("\n") if new_content else []
    first = start_line if insert_after else start_line - 1
    kept_from = start_line if insert_after else last
    result = "\n".join([*lines[:first], *new, *lines[kept_from:]]) + tail
    return result, None, _summary(start_line, kept_from - first, len(new), insert_after)


def _wrong(lines: list[str], what: str, number: int, expected: str | None) -> str | None:
    if not 1 <= number <= len(lines):
        return f"{what} {number} out of range (file has {len(lines)} lines)"
    found = line_hash(lines[number - 1])
    if expected is None or found == expected:
        return None
    return (
        f"Hash mismatch at line {number}: expected '{expected}', got '{found}'. "
        "File may have changed — re-read it first."
    )


def _summary(line: int, gone: int, come: int, inserted: bool) -> str:
    if inserted:
        return f"Inserted {come} line(s) after line {line}"
    if not come:
        return f"Deleted {gone} line(s) at line {line}"
    if gone == come:
        return f"Replaced {gone} line(s) at line {line}"
    return f"Replaced {gone} line(s) with {come} line(s) at line {line}"
