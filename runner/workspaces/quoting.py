"""Paths in patches and in what people read: quoted as git does it, so that git reads them back.

A name with a quote, a backslash, a control character or bytes that are not printable stands in
double quotes, with C's escapes. For machines everything beyond ASCII is escaped too (as with git's
`core.quotePath`), so a patch never depends on an encoding; and a name with a space is quoted, where
git's own patches leave it to the reader to find out where it ends. For people printable text stays
as it is, and nothing that is shown can control a terminal.

Pure.
"""

from __future__ import annotations

_NAMED = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_ESCAPES = [
    f"\\{_NAMED[each]}" if each in _NAMED else f"\\{each:03o}"
    for each in range(256)
]  # fmt: skip


def quoted(path: bytes) -> bytes:
    """A path for a patch: ASCII."""
    if all(32 < each < 127 and each not in _NAMED for each in path):
        return path
    parts = (
        chr(each) if 32 <= each < 127 and each not in _NAMED else _ESCAPES[each] for each in path
    )
    return f'"{"".join(parts)}"'.encode("ascii")


def shown(path: bytes) -> str:
    """A path for people: what is printable stays."""
    text = path.decode("utf-8", "surrogateescape")
    parts = [_shown(each) for each in text]
    plain = "".join(parts)
    return plain if plain == text else f'"{plain}"'


def _shown(character: str) -> str:
    if character.isprintable() and character not in '"\\':
        return character
    return "".join(_ESCAPES[each] for each in character.encode("utf-8", "surrogateescape"))
