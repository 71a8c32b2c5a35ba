"""AgentFS's `Workspace`: ours, with its names. Paths begin at the workspace's root."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from runner.compat.agentfs.auditing import Audit
from runner.compat.agentfs.config import Config
from runner.compat.agentfs.files import Files
from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.programs import Programs
from runner.compat.agentfs.snapshots import Snapshots
from runner.compat.agentfs.syncing import Sync
from runner.compat.agentfs.twins import both
from runner.compat.agentfs.words import Change, CommitError, WorkspaceStatus, time_of
from runner.workspaces.diff import Diff
from runner.workspaces.exporting import Exported
from runner.workspaces.git_index import Strategy
from runner.workspaces.records import CommitRecord
from runner.workspaces.sending import ExportFormat
from runner.workspaces.workspace import Workspace as OurWorkspace


class Workspace(Files, Programs):
    """Files with a history, in which programs run. Made by `AgentFS.workspace`.

    Attributes:
        snapshot: its snapshots.
        audit: what was done in it.
        sync: where else it is.
    """

    def __init__(self, place: Place, workspace: OurWorkspace, config: Config) -> None:
        """Nothing happens yet."""
        self._place, self._workspace, self._config = place, workspace, config
        self.snapshot = Snapshots(place, workspace)
        self.audit = Audit(place, workspace.audit)
        self.sync = Sync(place, workspace, config)

    @property
    def name(self) -> str:
        """What it is called."""
        return self._workspace.name

    @property
    def description(self) -> str:
        """For people."""
        return self._workspace.description

    @property
    def tags(self) -> tuple[str, ...]:
        """For people and programs."""
        return self._workspace.tags

    @property
    def id(self) -> str:
        """Its own, for good."""
        return self._workspace.id

    @property
    def path(self) -> str:
        """Its files, as other programs see them: a directory of this machine."""
        return self._workspace.path

    @property
    def agent_id(self) -> str:
        """On whose behalf it was made."""
        return self._workspace.record.agent_id

    @property
    def created_at(self) -> datetime:
        """When, UTC."""
        return time_of(self._workspace.record.created_ns)

    def __repr__(self) -> str:
        return f"<Workspace {self.name!r} at {self.path!r}>"

    # ------------------------------------------------------------ what changed

    @both
    async def status(self, *, verify: bool = False) -> WorkspaceStatus:
        """What is not as it was in what the workspace was made from."""
        return await self._workspace.status(verify=verify)

    @both
    async def diff(self, against: str | Workspace | None = None) -> Diff:
        """What differs from what it was made from, or from a snapshot, or another workspace."""
        other = against._workspace if isinstance(against, Workspace) else against  # noqa: SLF001
        return await self._workspace.diff(other)

    # ------------------------------------------------------------ where it goes

    @both
    async def commit(
        self,
        message: str,
        *,
        author: str | None = None,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        dry_run: bool = False,
    ) -> CommitRecord | list[Change] | None:
        """Bring what was changed to what the workspace was made from: all of it, or nothing.

        Args:
            message: why.
            author: "Name <address>".
            include: globs of what is committed, such as `*.md` (at any depth) or `docs/**`.
            exclude: globs of what is not.
            dry_run: only give the changes that would be committed.

        Returns:
            What was committed; None if nothing was changed.

        Raises:
            CommitError: both sides changed the same (`conflicts`), or it cannot be; nothing was.
        """
        globs: dict[str, Any] = {"include": tuple(include), "exclude": tuple(exclude)}
        ours = self._workspace
        try:
            return await ours.commit(message, author=author, dry_run=dry_run, **globs)
        except CommitError as exc:
            refused = exc
        if refused.conflicts or await ours.commit(message, dry_run=True, **globs):
            raise refused
        return None

    @both
    async def merge(self, source: str | Workspace, *, strategy: Strategy = "manual") -> Diff:
        """Bring what was changed in another workspace into this one.

        Args:
            source: the other one, or its name.
            strategy: for what both changed: "manual" refuses it, "ours", "theirs", "merge".

        Raises:
            CommitError: both changed the same (`conflicts`); nothing was changed.
        """
        if isinstance(source, str):
            other = await (await self._place.project()).get(source)
        else:
            other = source._workspace  # noqa: SLF001 - of the same class
        return await self._workspace.merge(other, strategy=strategy)

    @both
    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: ExportFormat | None = None,  # noqa: A002 - our word
        overwrite: bool = False,
    ) -> Exported:
        """Write it to a file of this machine: "patch", "tar", "bundle", "agentfs"; by its name."""
        return await self._workspace.export(path, format=format, overwrite=overwrite)

    @both
    async def rename(self, name: str) -> None:
        """Give it another name."""
        await self._workspace.rename(name)
        self.snapshot = Snapshots(self._place, self._workspace)
        self.sync = Sync(self._place, self._workspace, self._config)
