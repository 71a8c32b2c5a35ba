"""A workspace that is wanted, as the caller said it; checked before anything is done. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import get_args

import attrs

from runner.errors import ConfigError
from runner.messages.isolation import Isolation
from runner.workspaces.names import check_name
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import WayName

WAYS: tuple[WayName, ...] = get_args(WayName)
LONGEST = 1 << 16  # characters of a description


@attrs.frozen(kw_only=True)
class Wanted:
    """A workspace that is wanted, as the caller said it; checked. Its root is what was imported."""

    name: str
    description: str
    tags: tuple[str, ...]
    base: str | None
    ref: str | None
    snapshot: str | None
    workspace: str | None
    way: WayName | None
    read_only: bool
    agent_id: str
    is_held: bool = False
    root: ObjectId | None = None


def check(
    name: str,
    *,
    description: str = "",
    tags: Iterable[str] = (),
    base: str | os.PathLike[str] | None = None,
    ref: str | None = None,
    snapshot: str | None = None,
    workspace: str | None = None,
    way: str | None = None,
    read_only: bool = False,
    agent_id: str = "",
    isolation: Isolation | None = None,
) -> Wanted:
    """What is wanted, if it can be.

    Raises:
        InvalidName: no workspace can have the name.
        ConfigError: another value is none.
    """
    given = {"base": base, "ref": ref, "snapshot": snapshot, "workspace": workspace}
    several = [key for key, value in given.items() if value is not None]
    if len(several) > 1 and set(several) != {"base", "ref"}:
        raise ConfigError(f"a workspace is made from one of {' and '.join(several)}, not of all")
    if base == "empty" and ref is not None:
        raise ConfigError(f'there is no ref {ref!r} in base="empty": give a directory')
    if way is not None and way not in WAYS:
        raise ConfigError(f"way={way!r}: it is {', '.join(map(repr, WAYS))}")
    if not isinstance(read_only, bool):
        raise ConfigError(f"read_only={read_only!r}: it is True or False")
    if isinstance(tags, str) or not all(isinstance(each, str) for each in tags):
        raise ConfigError(f"tags={tags!r}: it is a list of texts")
    return Wanted(
        name=check_name(name),
        description=_text("description", description),
        tags=tuple(_text("a tag", each) for each in tags),
        base=None if base is None else _path(base),
        ref=None if ref is None else _given("ref", ref),
        snapshot=None if snapshot is None else _given("snapshot", snapshot),
        workspace=None if workspace is None else check_name(workspace),
        way=way,
        read_only=read_only,
        agent_id=_text("agent_id", agent_id),
        is_held=isolation is not None and isolation.mode != "none",
    )


def _text(what: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ConfigError(f"{what} has to be a text of at most {LONGEST} characters")
    return value


def _given(what: str, value: object) -> str:
    if not _text(what, value):
        raise ConfigError(f"{what} is empty")
    return str(value)


def _path(base: str | os.PathLike[str]) -> str:
    try:
        path = os.fspath(base)
    except TypeError:
        path = None
    if not isinstance(path, str) or not path or "\0" in path:
        raise ConfigError(f'base={base!r}: it is the path of a directory, or "empty"')
    return path
