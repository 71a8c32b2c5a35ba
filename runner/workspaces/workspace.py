"""A workspace: the caller's handle on a live tree with a history.

It has every operation of a scope, under its names: they are carried out by the scope that it has on
its live tree, in the same order and with the same promises (scopes/scope.py). What it has besides
is asked of its actor: what changed, snapshots, restoring.

What was deleted stays deleted: each operation says `WorkspaceNotFound`, here and in its scopes. A
workspace that another process has is `WorkspaceBusy`, with its pid.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, TypeVar, Unpack

from runner.messages import AnswerT, Message
from runner.operations import Operations
from runner.scopes.making import ScopeOptions
from runner.workspaces.audit import Audit
from runner.workspaces.comparing import Status
from runner.workspaces.diff import Diff
from runner.workspaces.lookups import find_snapshot, rename_workspace
from runner.workspaces.messages import AskBase, Look
from runner.workspaces.names import check_name
from runner.workspaces.processing import Processed, process
from runner.workspaces.snapshots import Snapshots
from runner.workspaces.sync.sync import Sync

if TYPE_CHECKING:
    from runner.scopes.scope import Scope
    from runner.scopes.who import Who
    from runner.workspaces.capturing import Captured
    from runner.workspaces.objects import ObjectId
    from runner.workspaces.records import Base, WorkspaceRecord
    from runner.workspaces.shared import Shared

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class Workspace(Operations):
    """A named tree with a history; made by `Project`.

    Attributes:
        snapshots: its snapshots.
        sync: where else it is.
    """

    def __init__(self, shared: Shared, record: WorkspaceRecord, options: ScopeOptions) -> None:
        """Make a handle; nothing happens yet.

        Args:
            shared: the project.
            record: the workspace.
            options: of the scope on its live tree.
        """
        self.sync: Sync = Sync(shared, record, self)
        self._shared, self._record = shared, record
        self._scope = shared.scope(record, options)
        self.snapshots: Snapshots = Snapshots(shared, record, self, self._who)

    @property
    def _who(self) -> Who:
        return self._scope.ground.who

    @property
    def id(self) -> str:
        """Its own, for good."""
        return self._record.id

    @property
    def name(self) -> str:
        """What it is called, as far as this handle knows."""
        return self._record.name

    @property
    def description(self) -> str:
        """For people."""
        return self._record.description

    @property
    def tags(self) -> tuple[str, ...]:
        """For people and programs."""
        return self._record.tags

    @property
    def base(self) -> Base:
        """What it was made from."""
        return self._record.base

    @property
    def way(self) -> str:
        """How its live tree was made: "overlay", "reflink" or "copy"."""
        return self._record.way

    @property
    def path(self) -> str:
        """Its live tree, as programs see it: an absolute path."""
        return self._record.tree

    @property
    def record(self) -> WorkspaceRecord:
        """All that is written down of it."""
        return self._record

    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Have an operation carried out in the live tree."""
        command = getattr(message, "command", None)
        if command is None or not self._shared.hooks.has("command"):
            return await self._scope.ask(message)
        await self._shared.before("command", self._record, self, command)
        answer = await self._scope.ask(message)
        await self._shared.after("command", self._record, self, command)
        return answer

    @property
    def audit(self) -> Audit:
        """What was done in it, by whom, and when."""
        return Audit(self._shared.do, self.id)

    def scope(self, path: str = ".", **options: Unpack[ScopeOptions]) -> Scope:
        """A scope in it, such as for a session; it can only narrow. See `Scope.scope`.

        Raises:
            InvalidPath: the path is absolute, or leads out by its names.
            ConfigError: there is no preset of that name.
        """
        return self._scope.scope(path, **options)

    async def exists(self, path: str | None = None) -> bool:
        """Whether something stands at a path; without one: whether the workspace is there."""
        if path is not None:
            return await super().exists(path)
        here = await self._shared.do(lambda store: store.workspaces.list())
        return any(each.id == self.id and each.state == "ready" for each in here)

    # ------------------------------------------------------------ what changed

    async def status(self, *, verify: bool = False) -> Status:
        """What is not as it was in what the workspace was made from.

        Args:
            verify: whether every file is looked at, whatever hints there are.
        """
        return (await self._diff(await self._base_root(), verify=verify)).status

    async def diff(self, against: str | Workspace | None = None, *, verify: bool = False) -> Diff:
        """What differs between something and the live tree as it is now.

        Args:
            against: a snapshot of this workspace, or "workspace/snapshot"; another workspace of the
                project, as it is now; None = what this one was made from.
            verify: whether every file is looked at, whatever hints there are.

        Raises:
            SnapshotNotFound: there is no such snapshot.
        """
        return await self._diff(await self._root_of(against), verify=verify)

    async def _root_of(self, against: str | Workspace | None) -> ObjectId:
        if against is None:
            return await self._base_root()
        if isinstance(against, Workspace):
            return (await against._look()).root  # noqa: SLF001 - of the same class
        find = partial(find_snapshot, reference=against, workspace=self._record)
        return (await self._shared.do(find)).root

    async def _base_root(self) -> ObjectId:
        return await self._shared.ask(self._record, AskBase())

    async def _diff(self, before: ObjectId, *, verify: bool) -> Diff:
        captured = await self._look(verify=verify)
        return await self._shared.do(lambda store: Diff(store, before, captured.root))

    async def _look(self, *, verify: bool = False) -> Captured:
        return await self._shared.ask(self._record, Look(verify=verify))

    # ------------------------------------------------------------ more of it

    async def rename(self, name: str) -> None:
        """Give it another name; its id and its path stay.

        Raises:
            InvalidName: no workspace can have that name.
            WorkspaceExists: another one has it.
            WorkspaceNotFound: it was deleted.
        """
        who = self._shared.whose(self._record, self._who)
        change = partial(rename_workspace, id_=self.id, name=check_name(name), who=who)
        self._record = await self._shared.do(change)
        self.snapshots = Snapshots(self._shared, self._record, self, self._who)
        self.sync = Sync(self._shared, self._record, self)

    async def batch_process(
        self,
        items: Iterable[ItemT],
        function: Callable[[ItemT], Awaitable[ValueT] | ValueT],
        *,
        limit: int = 8,
    ) -> list[Processed[ItemT, ValueT]]:
        """Call a function with each item, some at a time; the answers are in the items' order.

            async def count(path: str) -> int:
                return len(await ws.read(path))

            for each in await ws.batch_process(paths, count):
                print(each.item, each.value)

        Args:
            items: such as paths.
            function: gets one of them. An error of runner's is that item's `error`, and the others
                go on; any other exception ends all of them, and is raised.
            limit: how many at a time.

        Raises:
            ConfigError: there is no such limit.
        """
        return await process(items, function, limit=limit)

    def __repr__(self) -> str:
        return f"<Workspace {self.name!r} at {self.path!r}>"
