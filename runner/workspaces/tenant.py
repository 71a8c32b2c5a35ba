"""A session's hold on the live tree that it works in, and what it asks of the workspace.

    Tenant: enter (held, the lock kept, until leave) · keep (a snapshot of kind "turn") · restore
            branch ──► Branch: a new workspace from a turn's snapshot, and a tenant of that

It knows a session by its id only, and does not know what a turn is. It is what sessions ask of a
directory that has a history (`runner.sessions.history`); the runtime puts both together.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial

import attrs

from runner.errors import (
    ConfigError,
    RunnerError,
    SnapshotExists,
    SnapshotNotFound,
    WorkspaceNotFound,
)
from runner.processes.host import ProcessHost
from runner.scopes.who import NOBODY, Who
from runner.workspaces.audit_acts import Doing
from runner.workspaces.audit_runs import Run, Runs
from runner.workspaces.comparing import is_same_tree
from runner.workspaces.glancing import Glancer
from runner.workspaces.lookups import stamped
from runner.workspaces.messages import AskBase, Attach, Look, Snap
from runner.workspaces.names import near
from runner.workspaces.project import Project
from runner.workspaces.records import SnapshotRecord, WorkspaceRecord
from runner.workspaces.shared import Shared
from runner.workspaces.snapshots import Snapshots
from runner.workspaces.workspace import Workspace

LetGo = Callable[[], Awaitable[object]]
KEPT_OF_TURNS = 64 << 20  # bytes of a glance at a tree: of about a million files


def snapshot_name(session: str, turn: int) -> str:
    """What the snapshot of a turn's end is called."""
    return f"turn-{turn}-{session}"


@attrs.define(eq=False)
class Tenant:
    """Who uses a live tree for a session.

    Attributes:
        shared: the project.
        workspace: the id of the workspace.
        inner: the session's directory in it.
        keeps: whether each turn's end is to be a snapshot.
        who: on whose behalf the session works, besides its own.
    """

    shared: Shared
    workspace: str
    inner: str = "."
    keeps: bool = False
    who: Who = NOBODY
    _record: WorkspaceRecord | None = None
    _let_go: LetGo | None = None
    _root: str = ""
    _host: ProcessHost | None = None
    _run: tuple[Runs, Run] | None = None

    @property
    def said(self) -> Mapping[str, str | bool]:
        """By what it is found again."""
        shared = self.shared
        return {
            "base": shared.base,
            "store": shared.directory,
            "id": self.workspace,
            "inner": self.inner,
            "keeps": self.keeps,
        }

    # ------------------------------------------------------------ holding it

    async def enter(self, let_go: LetGo) -> tuple[str, ProcessHost | None]:
        """Hold the live tree; see `History.enter`.

        Raises:
            ConfigError: nothing is to be changed in the workspace.
            WorkspaceNotFound: it was deleted.
            WorkspaceBusy: another process has it.
            WorkspaceError: its tree cannot be had.
        """
        record = await self._known()
        if record.read_only:
            raise ConfigError(
                f"the workspace {record.name!r} is read-only: no session can work in it; make"
                " another one of it, and have the session work there"
            )
        live = self.shared.actor(record).live
        live.holders.add(self)
        self._let_go = let_go
        try:
            attached = await self.shared.ask(record, Attach())
            if attached.root != self._root:  # its holder was killed, and there is another one
                await self._close_host()
            if attached.enter and self._host is None:
                self._host = attached.host(self.shared.means.host.run_id)
            self._root = attached.root
        except BaseException:
            live.holders.discard(self)
            raise
        return self._inside(attached.root), self._host

    def _inside(self, root: str) -> str:
        return os.path.normpath(os.path.join(root, self.inner))

    def holds(self) -> bool:
        """Whether something runs in it: a session is at work, or may be."""
        return True

    async def leave(self) -> None:
        """Hold it no more."""
        if self._record is not None:
            self.shared.actor(self._record).live.holders.discard(self)
        await self._close_host()

    async def aclose(self) -> None:
        """It is taken away: whoever is in it leaves."""
        if self._let_go is not None:
            await self._let_go()
        await self.leave()

    async def _close_host(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            await host.aclose()

    async def _known(self) -> WorkspaceRecord:
        if self._record is None:
            record = await self.shared.do(lambda store: store.workspaces.get(self.workspace))
            self.shared.actor(record).live.require()
            if record.state != "ready":
                raise WorkspaceNotFound(record.name)
            self._record = record
        return self._record

    # ------------------------------------------------------------ what turns change

    async def begin(self, session: str, turn: int, agent: str) -> None:
        """Write down that a turn is about to begin; see `History.begin`.

        Raises:
            StoreError: it cannot be.
        """
        await self.end(None, {})  # of one that came to nothing
        record = await self._known()
        live = self.shared.actor(record).live
        if live.witness is None or not live.audited:
            return
        who = self._whose(session).within(Who(agent=record.agent_id or agent))
        find_base = partial(self.shared.ask, record, AskBase())
        runs = Runs(live.trail, who, Glancer(live.looking, live.witness), find_base)
        doing = Doing(operation="turn", details={"turn": turn, "program": agent})
        begin = partial(runs.begin, doing, most=KEPT_OF_TURNS)
        self._run = runs, await self.shared.means.in_thread(begin)

    async def end(self, ok: bool | None, about: Mapping[str, str | int | float | None]) -> None:
        """Write down that it has ended, and what it has changed; see `History.end`."""
        if self._run is None:
            return
        (runs, run), self._run = self._run, None
        if about:
            await runs.prepare(run)
            await self.shared.means.in_thread(partial(runs.end, run, ok, about))
        else:
            await self.shared.means.in_thread(partial(runs.drop, run))

    # ------------------------------------------------------------ snapshots of turns

    async def keep(
        self, session: str, turn: int, *, description: str = "", anew: bool = False
    ) -> str:
        """Take the snapshot of a turn's end; see `History.keep`."""
        record, name = await self._known(), snapshot_name(session, turn)
        message = Snap(
            name=name,
            description=description,
            kind="turn",
            session=session,
            turn=turn,
            who=self._whose(session),
        )
        snapshots = self._snapshots(record, session)
        if anew:
            with suppress(SnapshotNotFound):
                await snapshots.delete(name)
        with suppress(SnapshotExists):  # by one who was killed before it could say so
            await snapshots._take(message)  # noqa: SLF001 - of the same room
        return name

    async def require(self, session: str, turn: int) -> None:
        """See that there is a snapshot of a turn's end.

        Raises:
            SnapshotNotFound: there is none; it says which turns have one.
        """
        await self._find(session, turn)

    async def is_at(self, session: str, turn: int) -> bool:
        """Whether the live tree is what it was at a turn's end."""
        found = await self._find(session, turn)
        captured = await self.shared.ask(await self._known(), Look(verify=True))
        return await self.shared.do(
            lambda store: is_same_tree(store.listing, captured.root, found.root)
        )

    async def restore(self, session: str, turn: int, *, force: bool) -> str:
        """Make the live tree what it was at a turn's end.

        Raises:
            SnapshotNotFound: there is no snapshot of that.
            UncommittedChanges: there are changes that are in no snapshot; nothing was done.
            WorkspaceError: it cannot be done.
        """
        record, found = await self._known(), await self._find(session, turn)
        undo = await self._snapshots(record, session).restore(found.name, force=force)
        return "" if undo is None else undo.name

    def again(self) -> Tenant:
        """The same live tree, for another session in it."""
        return Tenant(self.shared, self.workspace, self.inner, self.keeps, self.who)

    async def branch(self, session: str, turn: int, name: str | None) -> Branch:
        """Make a workspace of a turn's snapshot.

        Raises:
            SnapshotNotFound: there is none.
            WorkspaceExists, InvalidName: of the name.
            WorkspaceError: it cannot be made.
        """
        record, found = await self._known(), await self._find(session, turn)
        project = Project(self.shared)
        what = f"the files after turn {turn} of the session {session}"
        made = await project.create(
            stamped(f"{record.name}-turn-{turn}") if name is None else name,
            description=what,
            snapshot=f"{record.name}/{found.name}",
        )
        tenant = Tenant(self.shared, made.id, self.inner, self.keeps, self.who)
        return Branch(project, made, tenant)

    async def _find(self, session: str, turn: int) -> SnapshotRecord:
        record = await self._known()
        mine = await self.shared.do(lambda store: store.snapshots.list(record.id))
        own = [each for each in mine if (each.kind, each.session) == ("turn", session)]
        for each in own:
            if each.turn == turn:
                return each
        name = snapshot_name(session, turn)
        raise SnapshotNotFound(name, record.name, near(name, [each.name for each in own]))

    def _snapshots(self, record: WorkspaceRecord, session: str) -> Snapshots:
        handle = Workspace(self.shared, record, {})
        return Snapshots(self.shared, record, handle, self._whose(session))

    def _whose(self, session: str) -> Who:
        return Who(session=session).within(self.who)

    def __repr__(self) -> str:
        return f"<Tenant of {self.workspace} at {self.inner!r}>"


@attrs.frozen
class Branch:
    """A workspace that was made of a turn's snapshot.

    Attributes:
        project: whose.
        workspace: its handle.
        history: what a session asks of it.
    """

    project: Project
    workspace: Workspace
    history: Tenant

    @property
    def directory(self) -> str:
        """The session's place in it."""
        return os.path.normpath(os.path.join(self.workspace.path, self.history.inner))

    async def remove(self) -> None:
        """Take it away again; nothing was done in it."""
        with suppress(RunnerError):
            await self.project.delete(self.workspace.name, force=True)
