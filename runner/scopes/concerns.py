"""What each operation concerns: which paths it is about, and of which kinds it is. A table; pure.

A new operation without an entry here is refused by permissions, and a test says so.
"""

from __future__ import annotations

from typing import Any, get_args

import attrs

from runner import messages as m
from runner.messages import Message
from runner.scopes.permissions import Kind


@attrs.frozen
class Field:
    """A path in a message.

    Attributes:
        name: of the attribute; empty: the scope's own directory.
        kinds: what is done with the path; all of them must be allowed.
        entry: the entry itself is meant, also if it is a link.
        whole: all that lies beneath is concerned, too.
        mirrors: what lies beneath the path before comes to lie beneath this one.
        optional: an empty text is no path.
    """

    name: str
    kinds: tuple[Kind, ...]
    entry: bool = False
    whole: bool = False
    mirrors: bool = False
    optional: bool = False


@attrs.frozen
class Slot:
    """A path that a message is about, as the caller wrote it."""

    path: str
    field: Field


def _path(*kinds: Kind) -> tuple[Field, ...]:
    return (Field("path", kinds),)


_TARGET = Field("target", ("write",), entry=True, mirrors=True)

FIELDS: dict[type[Message[Any]], tuple[Field, ...]] = {
    m.Read: _path("read"),
    m.ReadLines: _path("read"),
    m.OpenReader: _path("read"),
    m.Digest: _path("read"),
    m.Stat: _path("ls"),
    m.Exists: _path("ls"),
    m.Realpath: _path("ls"),
    m.Ls: _path("ls"),
    m.Tree: _path("ls"),
    m.ListKeys: (Field("", ("ls",)),),
    m.Glob: _path("glob"),
    m.Grep: _path("grep"),
    m.Write: _path("write"),
    m.Append: _path("write"),
    m.OpenWriter: _path("write"),
    m.Touch: _path("write"),
    m.Chmod: _path("write"),
    m.Mkdir: _path("write"),
    m.Edit: _path("edit"),
    m.EditLines: _path("edit"),
    # What may not be read where it is must not be brought to where it may.
    m.Copy: (Field("source", ("read",), entry=True, whole=True), _TARGET),
    m.Move: (Field("source", ("read", "remove"), entry=True, whole=True), _TARGET),
    m.Remove: (Field("path", ("remove",), entry=True, whole=True),),
    m.Exec: (Field("cwd", ()),),
    m.Start: (Field("cwd", ()), Field("log", ("write",), optional=True)),
    # Of programs that were started here and streams that were opened, and so were allowed.
    **dict.fromkeys((*get_args(m.Guiding), *get_args(m.Streaming), m.CommitStream), ()),
}
# Many paths in one message: what one of them is about.
MANY: dict[type[Message[Any]], Field] = {
    m.Download: Field("paths", ("read",)),
    m.Upload: Field("files", ("write",)),
}
# What is shown of a directory: entries that are denied for this kind are left out.
SHOWS: dict[type[Message[Any]], Kind] = {
    m.Ls: "ls",
    m.Tree: "ls",
    m.ListKeys: "ls",
    m.Glob: "glob",
    m.Grep: "grep",
}


def slots_of(message: Message[Any]) -> tuple[Slot, ...] | None:
    """The paths of a message, in order; None if the table does not know it."""
    if isinstance(message, m.Batch):
        slots: list[Slot] = []
        for each in message.effects:
            inner = slots_of(each)
            if inner is None:
                return None
            slots += inner
        return tuple(slots)
    if isinstance(message, m.Download):
        return tuple(Slot(path, MANY[m.Download]) for path in message.paths)
    if isinstance(message, m.Upload):
        return tuple(Slot(path, MANY[m.Upload]) for path, _ in message.files)
    fields = FIELDS.get(type(message))
    if fields is None:
        return None
    if isinstance(message, m.Remove) and not message.recursive:
        fields = tuple(attrs.evolve(each, whole=False) for each in fields)
    every = (Slot(getattr(message, each.name) if each.name else ".", each) for each in fields)
    return tuple(each for each in every if each.path or not each.field.optional)


def with_paths(message: Message[Any], paths: tuple[str, ...]) -> Message[Any]:
    """The same message about other paths, given in the order of `slots_of`."""
    if isinstance(message, m.Batch):
        effects: list[Any] = []
        at = 0
        for each in message.effects:
            count = len(slots_of(each) or ())
            effects.append(with_paths(each, paths[at : at + count]))
            at += count
        return attrs.evolve(message, effects=tuple(effects))
    if isinstance(message, m.Download):
        return attrs.evolve(message, paths=paths)
    if isinstance(message, m.Upload):
        contents = (content for _, content in message.files)
        return attrs.evolve(message, files=tuple(zip(paths, contents, strict=True)))
    slots = slots_of(message) or ()
    changes = {
        each.field.name: path for each, path in zip(slots, paths, strict=True) if each.field.name
    }
    return attrs.evolve(message, **changes) if changes else message  # type: ignore[misc]
