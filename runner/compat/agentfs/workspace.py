"""AgentFS's `Workspace`: ours, with its names. Paths begin at the workspace's root."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

import attrs

from runner.compat.agentfs.auditing import Audit
from runner.compat.agentfs.config import Config
from runner.compat.agentfs.files import Files
from runner.compat.agentfs.houses import Place
from runner.compat.agentfs.programs import Programs
from runner.compat.agentfs.rules import Rules, keep_rules, read_rules
from runner.compat.agentfs.snapshots import Snapshots
from runner.compat.agentfs.syncing import Sync
from runner.compat.agentfs.twins import both
from runner.compat.agentfs.words import Change, CommitError, WorkspaceStatus, time_of
from runner.workspaces.diff import Diff
from runner.workspaces.exporting import Exported
from runner.workspaces.git_index import Strategy
from runner.workspaces.lookups import change_workspace
from runner.workspaces.project import Project
from runner.workspaces.records import CommitRecord, WorkspaceRecord
from runner.workspaces.sending import ExportFormat
from runner.workspaces.store import Store
from runner.workspaces.wanting import check
from runner.workspaces.workspace import Workspace as OurWorkspace


class Workspace(Files, Programs):
    """Files with a history, in which programs run. Made by `AgentFS.workspace`.

    Attributes:
        snapshot: its snapshots.
        audit: what was done in it.
        sync: where else it is.
    """

    def __init__(
        self, place: Place, workspace: OurWorkspace, config: Config, rules: Rules | None = None
    ) -> None:
        """Nothing happens yet; the rules hold for the workspace's programs."""
        self._place, self._config = place, config
        self._take(workspace, Rules() if rules is None else rules)

    def _take(self, workspace: OurWorkspace, rules: Rules) -> None:
        place, config = self._place, self._config
        self._workspace, self._rules = workspace, rules
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

    @property
    def read_only(self) -> bool:
        """Whether nothing is to be changed in it."""
        return self._workspace.record.read_only

    # ------------------------------------------------------------ what holds in it

    @both
    async def config(
        self,
        /,
        *,
        description: str | None = None,
        tags: Iterable[str] | None = None,
        agent_id: str | None = None,
        **rules: Any,
    ) -> dict[str, Any]:
        """Say what it is, and what holds for its programs; what is not given stays as it is.

        Args:
            description: for people.
            tags: for people and programs.
            agent_id: on whose behalf.
            rules: see `runner.compat.agentfs.rules`: `sandbox`, `network`, `allow_hosts`, `max_…`.

        Returns:
            What holds now.

        Raises:
            ConfigError: a rule is not here, or cannot be used; nothing was changed.
        """
        said = {
            "description": description,
            "tags": None if tags is None else tuple(tags),
            "agent_id": agent_id,
        }
        changes: dict[str, Any] = {n: value for n, value in said.items() if value is not None}
        check(self.name, **changes)  # as for a new one
        await self._change(self._rules.changed(**rules), changes)
        return {name: getattr(self, name) for name in said} | attrs.asdict(self._rules)

    @both
    async def freeze(self) -> None:
        """Have nothing changed, restored or run in it, until `unfreeze`."""
        rules = attrs.evolve(self._rules, frozen=True)
        await self._change(rules, {"read_only": True})

    @both
    async def unfreeze(self) -> None:
        """Have it changed again."""
        rules = attrs.evolve(self._rules, frozen=False)
        await self._change(rules, {"read_only": False})

    async def _change(self, rules: Rules, changes: dict[str, Any]) -> None:
        project = await self._place.project()
        id_ = self.id

        def change(store: Store) -> WorkspaceRecord:
            with store.transaction():
                keep_rules(store, id_, rules)
                return change_workspace(store, id_, **changes)

        shared = project._shared  # noqa: SLF001 - nobody else has such rules
        record = await shared.do(change)
        self._take(OurWorkspace(shared, record, rules.options()), rules)

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
            done = await ours.commit(message, author=author, dry_run=dry_run, **globs)
        except CommitError as exc:
            refused = exc
        else:
            if not dry_run and self._config.setting("sync.auto_sync_on_commit"):
                await self.sync._push_if_enabled()  # noqa: SLF001 - for nobody else
            return done
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
        self._take(self._workspace, self._rules)


async def ruled(
    place: Place, project: Project, record: WorkspaceRecord, config: Config
) -> Workspace:
    """A handle in which the rules hold that are kept for a workspace."""
    shared = project._shared  # noqa: SLF001 - a handle on a record, with rules of our own
    rules = await shared.do(partial(read_rules, workspace=record.id))
    return Workspace(place, OurWorkspace(shared, record, rules.options()), config, rules)
