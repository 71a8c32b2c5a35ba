"""Which snapshot a command is about: "workspace/snapshot", or a name that only one has."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs
import click

from runner.errors import SnapshotNotFound, WorkspaceNotFound
from runner.workspaces.names import near, split_snapshot
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord

CommandT = TypeVar("CommandT", bound=Callable[..., object])
SNAPSHOT = "[WS/]SNAP"


@attrs.frozen(kw_only=True)
class Found:
    """A snapshot of a workspace that is there.

    Attributes:
        workspace: its name.
        record: the snapshot.
    """

    workspace: str
    record: SnapshotRecord

    @property
    def reference(self) -> str:
        """What it is called, and no other."""
        return f"{self.workspace}/{self.record.name}"


def snapshot_name(command: CommandT) -> CommandT:
    """The snapshot that is meant."""
    return click.argument("snapshot", metavar=SNAPSHOT)(command)


async def names_of(project: Project) -> dict[str, str]:
    """The names of the workspaces that are there, by id."""
    return {each.id: each.name for each in await project.list()}


async def find(project: Project, reference: str) -> Found:
    """The snapshot that is meant.

    Raises:
        SnapshotNotFound: there is none, or there are several.
        WorkspaceNotFound: there is no such workspace.
        InvalidName: nothing can have that name.
    """
    where, name = split_snapshot(reference)
    names = await names_of(project)
    if where is not None and where not in names.values():
        raise WorkspaceNotFound(where, near(where, names.values()))
    here = [
        Found(workspace=names[each.workspace], record=each)
        for each in await project.snapshots()
        if each.workspace in names and where in (None, names[each.workspace])
    ]
    found = [each for each in here if each.record.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise SnapshotNotFound(name, candidates=sorted(each.reference for each in found))
    known = dict.fromkeys(each.record.name for each in here)
    raise SnapshotNotFound(name, where, near(name, known))
