"""A project: the caller's handle on a directory, its store, and the workspaces made of it.

Nothing happens before the first use, which opens the store (projects.py). Several handles on one
directory, and several processes, may be used at once: a workspace is one process's at a time, the
rest is everybody's.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Unpack

import attrs
import trio

from runner.errors import RunnerError, WorkspaceBusy
from runner.scopes.making import ScopeOptions, require_options
from runner.scopes.who import Who, require_who
from runner.workspaces import creating, wanting
from runner.workspaces.audit import Audit
from runner.workspaces.deleting import LEAVING, delete, take_back
from runner.workspaces.dropping import drop, put_away
from runner.workspaces.hooks import Hooks
from runner.workspaces.importing_agentfs import import_agentfs
from runner.workspaces.lookups import collect, find_workspace, require_free, stamped, workspaces
from runner.workspaces.messages import Attach, Delete
from runner.workspaces.names import check_name
from runner.workspaces.records import SnapshotRecord, WayName, WorkspaceRecord
from runner.workspaces.trying import try_making
from runner.workspaces.workspace import Workspace

if TYPE_CHECKING:
    from runner.workspaces.collecting import Checked, Collected, Sizes
    from runner.workspaces.shared import Shared


class Project:
    """A directory, and workspaces made of it; made by `Runner.project`."""

    def __init__(self, shared: Shared) -> None:
        """Make a handle; nothing happens yet."""
        self._shared = shared

    @property
    def path(self) -> str:
        """The directory, absolute, without links."""
        return self._shared.base

    @property
    def directory(self) -> str:
        """Where its store and its live trees are, absolute."""
        return self._shared.directory

    @property
    def audit(self) -> Audit:
        """What was done in its workspaces, by whom, and when."""
        return Audit(self._shared.do)

    @property
    def hooks(self) -> Hooks:
        """What is told, or asked, when something is done to its workspaces, in this process."""
        return self._shared.hooks

    async def create(
        self,
        name: str,
        *,
        description: str = "",
        tags: Iterable[str] = (),
        base: str | os.PathLike[str] | None = None,
        ref: str | None = None,
        snapshot: str | None = None,
        workspace: str | None = None,
        way: WayName | None = None,
        read_only: bool = False,
        agent_id: str = "",
        **options: Unpack[ScopeOptions],
    ) -> Workspace:
        """Make a workspace.

        Args:
            name: unique in the project.
            description: for people.
            tags: for people and programs.
            base: the directory that it is made from; None = the project's; "empty" = from nothing.
                ("./empty" is a directory of that name.)
            ref: a git ref of the base's repository, instead of the files in its work tree.
            snapshot: "workspace/snapshot", or a name that only one snapshot of the project has.
            workspace: another workspace, as it is now.
            way: how its tree is made; "auto" = by the fastest way that works here; "plain" = by the
                fastest after which every program sees its files (not by an overlay in a user
                namespace); None = as the configuration says. `Workspace.way` says which that was.
            read_only: whether nothing is to be changed or run in it.
            agent_id: on whose behalf, in your own terms.
            options: of the scope on its tree, as for `Runner.scope`: `permissions`, `isolation`, …
                With an isolation, a way is taken in which programs that are held can use its files.

        Raises:
            InvalidName: no workspace can have that name.
            WorkspaceExists: there is one of that name.
            SnapshotNotFound: there is no such snapshot, or there are several.
            WorkspaceNotFound: there is no such workspace.
            ConfigError: another value cannot be used.
            WorkspaceError: it cannot be made, and why. Nothing is left of it, in any case.
        """
        await trio.lowlevel.checkpoint()
        require_options(options)
        wanted = wanting.check(
            name,
            description=description,
            tags=tags,
            base=base,
            ref=ref,
            snapshot=snapshot,
            workspace=workspace,
            way=way,
            read_only=read_only,
            agent_id=agent_id,
            isolation=options.get("isolation"),
        )
        return await self._create(wanted, options)

    async def import_agentfs(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        description: str = "",
        tags: Iterable[str] = (),
        **options: Unpack[ScopeOptions],
    ) -> Workspace:
        """Make a workspace of an AgentFS database (a single file, as `Workspace.export` writes).

        Args:
            name: unique in the project.
            path: of the file, which is only read.
            description: for people.
            tags: for people and programs.
            options: of the scope on its tree, as for `Runner.scope`.

        Raises:
            StoreError: it is no such database, or damaged.
            WorkspaceError: as for `create`.
        """
        await trio.lowlevel.checkpoint()
        wanted = wanting.check(name, description=description, tags=tags, base="empty")
        require_options(options)
        await self._shared.do(partial(require_free, name=wanted.name))
        root = await self._shared.do(lambda store: import_agentfs(path, store.put))
        return await self._create(attrs.evolve(wanted, root=root), options)

    async def _create(self, wanted: wanting.Wanted, options: ScopeOptions) -> Workspace:
        shared = self._shared
        await shared.open()
        who = require_who(options.get("who"))
        record = await creating.create(shared, wanted, who)
        try:
            made = Workspace(shared, record, options)
            await shared.ask(record, Attach())
            await shared.after("workspace_create", record, made)
        except BaseException:
            await take_back(shared, record, who)  # noqa: ASYNC102 - shielded there, and bounded
            raise
        return made

    async def get(self, name: str, **options: Unpack[ScopeOptions]) -> Workspace:
        """A workspace that is there; its tree is from now on, too.

        Args:
            name: its name.
            options: of the scope on its tree, as for `Runner.scope`.

        Raises:
            WorkspaceNotFound: there is none of that name; with those that may have been meant.
            WorkspaceError: its tree cannot be had, such as an overlay's whose base is gone.
        """
        require_options(options)
        record = await self._find(name)
        with suppress(WorkspaceBusy):  # it may be looked at all the same, such as its snapshots
            await self._shared.ask(record, Attach())
        return Workspace(self._shared, record, options)

    async def list(self) -> list[WorkspaceRecord]:
        """All that are there, sorted by name."""
        return await self._shared.do(workspaces)

    async def exists(self, name: str) -> bool:
        """Whether there is a workspace of that name."""
        return any(each.name == name for each in await self.list())

    async def snapshots(self) -> Sequence[SnapshotRecord]:
        """The snapshots of all its workspaces, also of deleted ones, the oldest first."""
        return await self._shared.do(lambda store: store.snapshots.list())

    async def rename(self, name: str, new: str) -> None:
        """Give a workspace another name; its id and its path stay.

        Raises:
            InvalidName, WorkspaceExists, WorkspaceNotFound: as they say; nothing was changed.
        """
        await Workspace(self._shared, await self._find(name), {}).rename(new)

    async def delete(
        self, name: str, *, force: bool = False, who: Who | None = None
    ) -> SnapshotRecord | None:
        """Take a workspace away; its snapshots stay.

        Args:
            name: its name.
            force: whether changes may go that are in no commit; and a workspace whose tree cannot
                be had any more, of which there is nothing to rescue.
            who: on whose behalf, for the audit.

        Returns:
            The rescue snapshot of what it was; None if it was as its base.

        Raises:
            WorkspaceNotFound: there is none of that name.
            UncommittedChanges: there are such changes; nothing was done.
            WorkspaceBusy: another process has it.
            StoreError: there is no room for the rescue snapshot; nothing was done.
        """
        message = Delete(force=force, who=require_who(who))
        record = await self._find(name)
        return await delete(self._shared, record, Workspace(self._shared, record, {}), message)

    async def unmount(self, name: str | None = None) -> None:
        """Have the trees of overlays unmounted; whoever uses one next has it mounted again.

        Those that root has mounted stay so otherwise, for every program, until the workspace is
        deleted. It is for who moves or removes the directory of the store, or unmounts the file
        system of the base.

        Args:
            name: of one workspace; None = all of them.

        Raises:
            WorkspaceNotFound: there is none of that name.
            WorkspaceBusy: another process has one; those before it, by name, are unmounted.
            WorkspaceError: somebody uses one, and who; likewise.
        """
        found = await self.list() if name is None else [await self._find(name)]
        for each in found:
            await self._shared.unmount(each)

    async def try_making(self, *, is_held: bool = False) -> str:
        """See whether a workspace of the project's directory could be made, before many are wanted.

        Args:
            is_held: whether programs in it are to be held by an isolation.

        Returns:
            By which way, and why by that.

        Raises:
            ConfigError: there is no such directory.
            WorkspaceError: none can be made, and why.
        """
        return await try_making(self._shared, is_held=is_held)

    async def put_away(self, record: WorkspaceRecord) -> None:
        """Hold a workspace of many no more: it is unmounted, and others may have it at once.

        Its next use has it there again.

        Raises:
            WorkspaceError: somebody uses it, and who; it stays.
        """
        await self._shared.open()
        await put_away(self._shared, record)

    async def drop(self, record: WorkspaceRecord, *, who: Who | None = None) -> None:
        """Take a workspace away with its snapshots, whatever has changed in it: nothing is kept.

        Args:
            record: of a workspace of this project.
            who: on whose behalf, for the audit.

        Raises:
            WorkspaceNotFound: it is gone.
            WorkspaceBusy: another process has it.
        """
        await self._shared.open()
        await drop(self._shared, Workspace(self._shared, record, {}), require_who(who))

    @asynccontextmanager
    async def temp(
        self,
        name: str | None = None,
        *,
        base: str | os.PathLike[str] | None = None,
        ref: str | None = None,
        snapshot: str | None = None,
        workspace: str | None = None,
        way: WayName | None = None,
        **options: Unpack[ScopeOptions],
    ) -> AsyncGenerator[Workspace, None]:
        """A workspace for as long as the block lasts; nothing of it is kept.

        Args:
            name: of it; if it is taken, the time is added to it.
            base: as the rest, see `create`.
            ref: a git ref.
            snapshot: a snapshot.
            workspace: another workspace.
            way: how its tree is made.
            options: of the scope on its tree.

        Raises:
            WorkspaceError: as for `create`.
        """
        chosen = stamped("temporary") if name is None else check_name(name)
        if name is not None and await self.exists(name):
            chosen = stamped(name)
        made = await self.create(
            chosen,
            base=base,
            ref=ref,
            snapshot=snapshot,
            workspace=workspace,
            way=way,
            **options,
        )
        try:
            yield made
        finally:
            with trio.move_on_after(LEAVING, shield=True), suppress(RunnerError):
                who = require_who(options.get("who"))
                message = Delete(force=True, rescue=False, who=who)
                await delete(self._shared, made.record, made, message)

    # ------------------------------------------------------------ its store

    async def check(self) -> Checked:
        """Whether everything in the store is what it was when it was put there."""
        return await self._shared.do(lambda store: store.check())

    async def sizes(self) -> Sizes:
        """How much there is in the store."""
        return await self._shared.do(lambda store: store.sizes())

    async def collect(self, *, dry_run: bool = False, who: Who | None = None) -> Collected:
        """Drop what nothing names any more: no snapshot, workspace, commit or unfinished act.

        Before that, snapshots go that no person made and that are kept no longer: old ones from
        before a restore, and what is left of workspaces that were deleted long ago. How long that
        is, is said in the table `workspace` of the runner's options.

        Args:
            dry_run: only say what would be dropped, each snapshot with the reason.
            who: on whose behalf, for the audit.
        """
        means, told = self._shared.means, require_who(who)
        whose = told if means.audit else None
        work = partial(collect, rule=means.retention, who=whose, dry_run=dry_run)
        return await self._shared.do(work)

    async def _find(self, name: str) -> WorkspaceRecord:
        return await self._shared.do(partial(find_workspace, name=check_name(name)))

    def __repr__(self) -> str:
        return f"<Project {self.path!r}>"
