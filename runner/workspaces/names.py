"""Names of workspaces and snapshots: which are usable, and which may have been meant. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from runner.errors import InvalidName

LONGEST = 128  # bytes; so that a name with what we put around it fits into a file's name
_SHOWN = 40  # characters of a bad name in an error
USABLE = (
    f"letters, digits and most signs, at most {LONGEST} bytes: no `/`, not `.` or `..`,"
    " no `-` in front, no control characters"
)


def check_name(name: object, what: str = "workspace") -> str:
    """A name that a workspace or a snapshot can have.

    Args:
        name: as the caller gave it.
        what: "workspace" or "snapshot", for errors.

    Raises:
        InvalidName: it is none.
    """
    wrong = _wrong(name)
    if wrong:
        raise InvalidName(f"{_shown(name)} {wrong}", f"the name of a {what}", USABLE)
    assert isinstance(name, str)
    return name


def split_snapshot(reference: object) -> tuple[str | None, str]:
    """The workspace's name, if one is given, and the snapshot's, of "ws/snap" or "snap".

    Raises:
        InvalidName: it can be neither.
    """
    if not isinstance(reference, str):
        return None, check_name(reference, "snapshot")
    workspace, slash, snapshot = reference.partition("/")
    if not slash:
        return None, check_name(reference, "snapshot")
    return check_name(workspace), check_name(snapshot, "snapshot")


def near(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names that look most like one; at most three."""
    return tuple(difflib.get_close_matches(name, list(names), n=3, cutoff=0.6))


def _wrong(name: object) -> str:
    """What is wrong with a name; empty if nothing is."""
    if not isinstance(name, str):
        return "is no text"
    if not name:
        return "is empty"
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        return "is not UTF-8"
    checks = {
        f"is {size} bytes long": size > LONGEST,
        "has a NUL in it": "\0" in name,
        "has a `/` in it": "/" in name,
        "is no name of its own": name in {".", ".."},
        "begins with `-`": name.startswith("-"),
        "has a control character in it": any(_is_control(each) for each in name),
        "begins or ends with a space": name != name.strip(),
    }
    return next((wrong for wrong, is_so in checks.items() if is_so), "")


def _is_control(character: str) -> bool:
    return ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u2028\u2029"


def _shown(name: object) -> str:
    text = ascii(name) if isinstance(name, str) else repr(name)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
