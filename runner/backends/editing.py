"""What an edit makes of a content, on every backend. Pure."""

from __future__ import annotations

from runner.errors import EditFailed
from runner.messages import Edit


def edited(content: bytes, message: Edit, *, scope: str) -> tuple[bytes, int]:
    """The content after an edit, and how many pieces of it were replaced.

    Raises:
        EditFailed: with what would help; the content stays as it is.
    """
    old, new = message.old, message.new

    def failed(reason: str, hint: str = "") -> EditFailed:
        return EditFailed("edit", message.path, reason, scope=scope, hint=hint)

    if not old:
        raise failed("the text to replace is empty", "write() replaces a whole file")
    count = content.count(old)
    if count == 0:
        raise failed("the text to replace was not found", _why_not_found(content, old))
    if count > 1 and not message.replace_all:
        raise failed(
            f"the text to replace stands there {count} times, in lines {_lines(content, old)}",
            "give more of the text around it, or pass replace_all=True",
        )
    return content.replace(old, new), count


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
