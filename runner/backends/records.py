"""Records made in their thousands: what a frozen `__init__` does, at a third of its price.

A frozen record sets its fields through `object.__setattr__`, by name; here they are set through the
descriptors of its slots. Most of the time of a large listing or search is this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from runner.messages import Downloaded, Entry, FileStat, FileType, Match, Stored


def _setters(kind: type[Any]) -> list[Any]:
    return [getattr(kind, name).__set__ for name in attrs.fields_dict(kind)]


_new_match = Match.__new__
_match_path, _match_line, _match_text, _match_before, _match_after = _setters(Match)


def match(path: str, line: int, text: str) -> Match:
    """A match without lines around."""
    made = _new_match(Match)
    _match_path(made, path)
    _match_line(made, line)
    _match_text(made, text)
    _match_before(made, ())
    _match_after(made, ())
    return made


_new_entry = Entry.__new__
_entry_name, _entry_type, _entry_size, _entry_mode, _entry_modified, _entry_target = _setters(Entry)


def entry(  # noqa: PLR0917 - by position, for speed
    name: str, kind: FileType, size: int, mode: int, modified: datetime, target: str | None
) -> Entry:
    """An entry of a directory."""
    made = _new_entry(Entry)
    _entry_name(made, name)
    _entry_type(made, kind)
    _entry_size(made, size)
    _entry_mode(made, mode)
    _entry_modified(made, modified)
    _entry_target(made, target)
    return made


_new_stat = FileStat.__new__
_stat_type, _stat_size, _stat_mode, _stat_modified = _setters(FileStat)


def file_stat(kind: FileType, size: int, mode: int, modified: datetime) -> FileStat:
    """The answer to `Stat`."""
    made = _new_stat(FileStat)
    _stat_type(made, kind)
    _stat_size(made, size)
    _stat_mode(made, mode)
    _stat_modified(made, modified)
    return made


_new_downloaded = Downloaded.__new__
_downloaded_path, _downloaded_content, _downloaded_error = _setters(Downloaded)


def downloaded(path: str, content: bytes) -> Downloaded:
    """A file that could be read."""
    made = _new_downloaded(Downloaded)
    _downloaded_path(made, path)
    _downloaded_content(made, content)
    _downloaded_error(made, None)
    return made


_new_stored = Stored.__new__
_stored_path, _stored_error = _setters(Stored)


def stored(path: str) -> Stored:
    """A file that was written."""
    made = _new_stored(Stored)
    _stored_path(made, path)
    _stored_error(made, None)
    return made
