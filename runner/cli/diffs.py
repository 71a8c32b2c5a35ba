"""A diff as it is wanted: its text, a table, names, a patch for git, or a record.

It is made as long as the store is open, into a file in memory (on disk, if it is large), and shown
when the runner is closed: a reader who takes his time keeps no workspace from others.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, TypedDict, TypeVar

import attrs
import click
import trio

from runner.cli.colours import CODES, When, colour, has_colours, paint, paint_diff
from runner.cli.pager import page
from runner.cli.streams import STDOUT, encode, is_terminal, write_all
from runner.cli.workspace_records import LETTERS, change_text, path_text
from runner.errors import ConfigError
from runner.workspaces.comparing import Change
from runner.workspaces.diff import Diff
from runner.workspaces.diffstat import WIDTH, name_of

CommandT = TypeVar("CommandT", bound=Callable[..., object])
IN_MEMORY = 8 << 20
PIECE = 1 << 16
SCHEMA = "runner.diff/1"


class Form(TypedDict):
    """What the options say (`form`)."""

    stat: bool
    name_only: bool
    name_status: bool
    patch: bool
    colour: When
    no_pager: bool
    exit_code: bool


@attrs.frozen(kw_only=True)
class Made:
    """A diff as it is to be shown.

    Attributes:
        data: its bytes, from the first.
        is_empty: whether nothing differs.
    """

    data: IO[bytes]
    is_empty: bool


def form(command: CommandT) -> CommandT:
    """How a diff is shown: `Form`."""
    stat = click.option("--stat", is_flag=True, help="How much each file changed.")
    name_only = click.option("--name-only", is_flag=True, help="Only the paths.")
    name_status = click.option("--name-status", is_flag=True, help="A M D or R, and the paths.")
    patch = click.option("--patch", is_flag=True, help="For `git apply`: exact bytes.")
    no_pager = click.option("--no-pager", is_flag=True, help="On a terminal: without a pager.")
    exit_code = click.option("--exit-code", is_flag=True, help="1 if there are differences.")
    return stat(name_only(name_status(patch(colour(no_pager(exit_code(command)))))))


def require_one(wanted: Form) -> None:
    """Raise ConfigError if several forms are wanted at once."""
    several = [
        f"--{name.replace('_', '-')}"
        for name in ("stat", "name_only", "name_status", "patch")
        if wanted[name]
    ]
    if len(several) > 1:
        raise ConfigError(f"{' and '.join(several)} cannot both be had")


async def make(diff: Diff, wanted: Form, record: Mapping[str, object] | None) -> Made:
    """A diff as it is wanted.

    Args:
        diff: its store is open.
        wanted: the options.
        record: what a record for programs says besides; None = none is wanted.
    """
    data = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115 - closed by who shows it
    pieces = _pieces(diff, wanted) if record is None else _records(diff, wanted, record)
    await trio.to_thread.run_sync(partial(_fill, data, pieces))
    data.seek(0)
    return Made(data=data, is_empty=not diff)


def _fill(data: IO[bytes], pieces: Iterable[bytes]) -> None:
    for each in pieces:
        trio.from_thread.check_cancelled()
        data.write(each)


def show(made: Made, wanted: Form, *, as_json: bool) -> None:
    """Show it: in a pager, where a person looks at it."""
    with made.data as data:
        if wanted["patch"] or as_json:
            for piece in iter(partial(data.read, PIECE), b""):
                write_all(STDOUT, piece)
            return
        lines = (each.decode("utf-8", "surrogateescape") for each in data)
        page(lines, is_wanted=not wanted["no_pager"])


# ---------------------------------------------------------------- what it is made of


def _pieces(diff: Diff, wanted: Form) -> Iterator[bytes]:
    if wanted["patch"]:
        return diff.patches()
    return map(encode, _texts(diff, wanted, is_coloured=has_colours(wanted["colour"])))


def _texts(diff: Diff, wanted: Form, *, is_coloured: bool) -> Iterator[str]:
    if wanted["name_only"]:
        yield from (f"{path_text(each.path)}\n" for each in diff)
    elif wanted["name_status"]:
        for each in diff:
            yield f"{letter(each, is_coloured=is_coloured)}  {change_text(each)}\n"
    elif wanted["stat"]:
        width = shutil.get_terminal_size().columns if is_terminal(STDOUT) else WIDTH
        table = diff.stat_in(width)
        yield re.sub(r"([+]*)(-*)$", _bar, table, flags=re.MULTILINE) if is_coloured else table
    else:
        yield from map(paint_diff, diff.texts()) if is_coloured else diff.texts()


def letter(change: Change, *, is_coloured: bool) -> str:
    """What became of a path: A, M, D or R."""
    found = LETTERS[change.type]
    return paint(found, CODES[found]) if is_coloured else found


def _bar(found: re.Match[str]) -> str:
    added, deleted = found.groups()
    return (added and paint(added, "green")) + (deleted and paint(deleted, "red"))


def _records(diff: Diff, wanted: Form, record: Mapping[str, object]) -> Iterator[bytes]:
    figures = {each.name: each for each in diff.files} if wanted["stat"] else {}
    changes = []
    for each in diff:
        change: dict[str, object] = {"type": each.type, "path": path_text(each.path)}
        if each.old_path is not None:
            change |= {"old_path": path_text(each.old_path), "similarity": each.similarity}
        file = figures.get(name_of(each))
        if file is not None:
            change |= {"added": file.added, "deleted": file.deleted, "binary": file.is_binary}
        changes.append(change)
    yield encode(json.dumps({"schema": SCHEMA, **record, "changes": changes}) + "\n")
