"""Files and values from users, as records: strict, and every mistake named at once, with its line.

A file is read into a `Document` (its tables and the lines of its keys), overrides given on the
command line are laid over it, and `structure` makes a record of it. Nothing is coerced: a number is
no text, text is no list. What is wrong comes out as one `ConfigError` with a `Problem` for each
mistake, in the order of the file.

This module reads files; what a value must look like is `runner.strict`'s, and what the records mean
their owners'.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Literal, TypeVar

import attrs

from runner.errors import ConfigError, Problem
from runner.holding import Holding, holding_of, isolation_of
from runner.messages.isolation import Isolation, Mode
from runner.strict import AtLeast, Mistakes, Seconds, kind_of, structure_value
from runner.toml_lines import KeyPath, key_lines

RecordT = TypeVar("RecordT")

OVERRIDES = "-c"
NOT_HELD = Holding(mode="none", network="full")


def _holding(isolation: Isolation | Holding) -> Holding:
    return holding_of(isolation) or NOT_HELD


@attrs.frozen(kw_only=True)
class SessionConfig:
    """What holds for a session that does not say otherwise, those of batches among them.

    Attributes:
        timeout: for a turn; 0 = no limit.
        silence: how long an agent's program may give no sign of life in a turn; 0 = as long as it
            likes.
        max_park: how long a turn may wait in all for a provider that limits it and says until when;
            0 = not at all.
        watch: whether large directories may be watched for changes, which takes the kernel's
            watches (inotify); if not, they are walked through, also for sessions that say nothing.
        ignore: patterns of files whose changes do not count; a batch has its own.
        isolation: what holds an agent's program, within what holds its scope's; paths are absolute,
            or begin with `~`. It needs its provider's host in `network`, and in `readable` where it
            is installed, if that is not in /usr.
    """

    timeout: Seconds = 0.0
    silence: Seconds = 0.0
    max_park: Seconds = 0.0
    watch: bool = True
    ignore: tuple[str, ...] = (".git/**",)
    isolation: Holding = attrs.field(default=NOT_HELD, converter=_holding)

    def __attrs_post_init__(self) -> None:
        try:
            isolation_of(self.isolation, "")
        except ConfigError as exc:
            raise ValueError(str(exc)) from None

    def held(self, mode: Mode | None = None) -> Isolation | None:
        """What is to hold a session's program; None = nothing is said.

        Args:
            mode: instead of the one that is configured; "none" = nothing at all is to.
        """
        if mode == "none":
            return isolation_of(NOT_HELD, "")
        holding = self.isolation if mode is None else attrs.evolve(self.isolation, mode=mode)
        return None if holding == NOT_HELD else isolation_of(holding, "")


@attrs.frozen(kw_only=True)
class WorkspaceConfig:
    """What holds for the workspaces of all projects.

    Attributes:
        place: the directory in which the stores and the live trees of projects are kept, each in
            one of its own; empty = `projects` in the state directory. It has to lie outside of what
            workspaces are made from.
        way: how a live tree is made, if its maker does not say; "auto" = by the fastest that works;
            "plain" = by the fastest after which every program sees its files, also one that runner
            has not started.
        ignore: patterns of files that are in no snapshot, no status and no diff.
        watch: whether large live trees may be watched for changes, which takes the kernel's
            watches (inotify); if not, they are walked through.
        audit: whether it is written down what is done in workspaces.
        keep_undo: how many snapshots from before a restore are kept of each workspace, when what
            nobody needs any more is collected; what a person has made always is.
        keep_undo_for: how long each of these is kept in any case.
        keep_deleted_for: how long the snapshots of a deleted workspace are kept, its rescue among
            them, but for those that a person has made, which stay.
    """

    place: str = ""
    way: Literal["auto", "plain", "overlay", "reflink", "copy"] = "auto"
    ignore: tuple[str, ...] = (".git/**",)
    watch: bool = True
    audit: bool = True
    keep_undo: Annotated[int, AtLeast(0)] = 20
    keep_undo_for: Seconds = 604800.0
    keep_deleted_for: Seconds = 2592000.0


@attrs.frozen(kw_only=True)
class RunnerConfig:
    """The options of a runner; `configs/runner.toml` shows each with its default.

    Attributes:
        state: where the sessions' private directories and the runner's own records are kept;
            empty = the platform's directory for application state.
        default_agent: the agent of a job or session that names none.
        idle_after_worker: seconds without a message after which a scope's worker frees what it
            holds; the next message brings it back.
        idle_after_session: seconds without a prompt after which an agent's process is ended; the
            next prompt resumes the conversation.
        grace: seconds that running work gets to end by itself at shutdown.
        max_sessions: agent processes that live at a time; where another is wanted, the session
            that has been idle longest gives its own up until its next prompt. 0 = as many as there
            is memory for.
        free_memory: MiB that have to be free for another agent process to be started; 0 = it is
            started in any case.
        session: what holds for sessions.
        workspace: what holds for workspaces.
    """

    state: str = ""
    default_agent: str = "shell"
    idle_after_worker: Seconds = 60.0
    idle_after_session: Seconds = 300.0
    grace: Seconds = 5.0
    max_sessions: Annotated[int, AtLeast(0)] = 0
    free_memory: Annotated[int, AtLeast(0)] = 256
    session: SessionConfig = SessionConfig()
    workspace: WorkspaceConfig = WorkspaceConfig()


@attrs.frozen(kw_only=True)
class Document:
    """A TOML file that has been read.

    Attributes:
        where: the file's path as the user gave it.
        data: its tables.
        lines: the line of each key.
        overridden: the keys that come from the command line instead.
    """

    where: str
    data: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    overridden: frozenset[KeyPath] = frozenset()

    def line(self, path: KeyPath) -> int | None:
        """The line of a key, or of the nearest table around it that has one."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path)

    def problem(self, path: KeyPath, what: str) -> Problem:
        """Something wrong with the value at a key."""
        inside = any(path[: len(key)] == key for key in self.overridden)
        around = any(key[: len(path)] == path for key in self.overridden)
        if inside or (around and path not in self.lines):
            return Problem(OVERRIDES, None, dotted(path), what)
        return Problem(self.where, self.line(path), dotted(path), what)


def dotted(path: KeyPath) -> str:
    """A key as users write it: `jobs[2].prompt`; array items count from 1."""
    text = ""
    for name in path:
        if isinstance(name, int):
            text += f"[{name + 1}]"
        else:
            plain = re.fullmatch(r"[A-Za-z0-9_-]+", name)
            text += ("." if text else "") + (name if plain else f'"{name}"')
    return text


# ---------------------------------------------------------------- reading


def load_record(
    path: str | os.PathLike[str], cls: type[RecordT], overrides: Iterable[str] = ()
) -> RecordT:
    """Make a record of a TOML file.

    Args:
        path: the file.
        cls: the record's class, or a union of tagged ones.
        overrides: `key=value` texts to lay over the file.

    Raises:
        ConfigError: with everything that is wrong in the file and the overrides.
    """
    return structure(override(read_document(path), overrides), cls)


def read_document(path: str | os.PathLike[str]) -> Document:
    """Read a TOML file.

    Raises:
        ConfigError: it cannot be read, is no UTF-8 or no TOML.
    """
    where = os.fspath(path)
    text = read_text(where)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(_syntax_problem(where, text, str(exc))) from None
    return Document(where=where, data=data, lines=key_lines(text.replace("\r\n", "\n")))


def read_text(where: str) -> str:
    """The text of a file that the user named.

    Raises:
        ConfigError: it is not there, cannot be read, or is no UTF-8 text.
    """
    try:
        with open(where, "rb") as file:
            content = file.read()
    except OSError as exc:
        raise ConfigError(Problem(where, None, "", _reason(exc))) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        what = f"not UTF-8 text: the byte 0x{content[exc.start]:02x} does not belong there"
        raise ConfigError(Problem(where, line, "", what)) from None


def _reason(exc: OSError) -> str:
    if isinstance(exc, FileNotFoundError | NotADirectoryError):
        return "there is no such file"
    if isinstance(exc, IsADirectoryError):
        return "it is a directory, not a file"
    return f"it cannot be read: {exc.strerror}"


def _syntax_problem(where: str, text: str, message: str) -> Problem:
    """The line stands only in tomllib's message (in an attribute since 3.14)."""
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    line = int(found[1]) if found else text.count("\n") + 1
    what = re.sub(r" \(at .*\)$", "", message)
    if what == "Cannot overwrite a value":
        what = "the key is there twice"
    return Problem(where, line, "", f"not TOML: {what[:1].lower()}{what[1:]}")


# ---------------------------------------------------------------- overrides


def override(document: Document, overrides: Iterable[str]) -> Document:
    """Lay `key=value` texts over a document.

    A key is dotted. A value is read as TOML and, if it is none, taken as text.

    Raises:
        ConfigError: one is no `key=value`, or leads through something that is no table.
    """
    data: Mapping[str, object] = document.data
    problems: list[Problem] = []
    paths: set[KeyPath] = set()
    for text in overrides:
        try:
            path, value = _parse_override(text)
            data = _with(data, path, value)
        except ValueError as exc:
            problems.append(Problem(OVERRIDES, None, "", f"{text!r}: {exc}"))
        else:
            paths.add(path)
    if problems:
        raise ConfigError(*problems)
    return attrs.evolve(document, data=data, overridden=document.overridden | paths)


def override_keys(overrides: Iterable[str]) -> list[KeyPath]:
    """The keys of overrides; those that are no `key=value` are left out."""
    paths: list[KeyPath] = []
    for text in overrides:
        try:
            paths.append(_parse_override(text)[0])
        except ValueError:
            continue
    return paths


def _parse_override(text: str) -> tuple[tuple[str, ...], object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("write it as key=value")
    names: list[str] = []
    try:
        table: object = tomllib.loads(f"{key.strip()} = 0") if "\n" not in key else {}
    except tomllib.TOMLDecodeError:
        table = {}
    while isinstance(table, dict) and len(table) == 1:
        [(name, table)] = table.items()
        names.append(name)
    if table != 0 or not names:
        raise ValueError(f"{key!r} is no key")
    return tuple(names), _parse_value(value)


def _parse_value(text: str) -> object:
    try:
        table = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return table["value"] if len(table) == 1 else text


def _with(data: Mapping[str, object], path: Sequence[str], value: object) -> dict[str, object]:
    """The tables with another value at a path; tables that are not there are made."""
    name, *rest = path
    if not rest:
        return {**data, name: value}
    inner = data.get(name, {})
    if isinstance(inner, dict):
        return {**data, name: _with(inner, rest, value)}
    raise ValueError(f"{name!r} is {kind_of(inner)} in the file: give the whole value instead")


# ---------------------------------------------------------------- records


def structure(document: Document, cls: type[RecordT], at: KeyPath = ()) -> RecordT:
    """Make a record of the document, or of the value at a key in it.

    Raises:
        ConfigError: with everything that is wrong, in the order of the file.
    """
    value: object = document.data
    for name in at:
        value = value[name]  # type: ignore[index]
    try:
        return structure_value(value, cls)
    except Mistakes as exc:
        found = [document.problem((*at, *path), what) for path, what in exc.mistakes]
        raise ConfigError(*sorted(found, key=_by_place)) from None


def _by_place(problem: Problem) -> tuple[bool, int]:
    return (problem.where == OVERRIDES, problem.line or 0)
