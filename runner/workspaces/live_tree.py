"""A live tree, as the handle of its workspace has it: operations on its files, and what changed.

Operations are carried out by the scope that it has on the tree, in the same order and with the same
promises (scopes/scope.py). What changed is asked of the workspace's actor.
"""

from __future__ import annotations

from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

import attrs

from runner.errors import ConfigError
from runner.messages import AnswerT, Message
from runner.operations import Operations
from runner.scopes.making import ScopeOptions
from runner.workspaces.audit import Audit
from runner.workspaces.comparing import Status
from runner.workspaces.diff import Diff
from runner.workspaces.lookups import find_snapshot
from runner.workspaces.messages import AskBase, Look
from runner.workspaces.origins import unsure_of

if TYPE_CHECKING:
    from runner.scopes.scope import Scope
    from runner.scopes.who import Who
    from runner.workspaces.capturing import Captured
    from runner.workspaces.objects import ObjectId
    from runner.workspaces.records import Base, WorkspaceRecord
    from runner.workspaces.shared import Shared
    from runner.workspaces.workspace import Workspace


class LiveTree(Operations):
    """The live tree of a workspace, for callers; a part of `Workspace`."""

    def __init__(self, shared: Shared, record: WorkspaceRecord, options: ScopeOptions) -> None:
        """Make a handle; nothing happens yet."""
        self._shared, self._record = shared, record
        self._scope = shared.scope(record, options)

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
        """Its live tree, as programs see it that are started there: an absolute path.

        For others it is an empty directory where a user namespace has mounted it: an overlay of who
        is not root. One that is made with `way="plain"` is there for everybody.
        """
        return self._record.tree

    @property
    def record(self) -> WorkspaceRecord:
        """All that is written down of it."""
        return self._record

    def ask(self, message: Message[AnswerT], /) -> Coroutine[Any, Any, AnswerT]:
        """Have an operation carried out in the live tree."""
        command = getattr(message, "command", None)
        if command is None or not self._shared.hooks.has("command"):
            return self._scope.ask(message)
        return self._ask_with_hooks(message, command)

    async def _ask_with_hooks(self, message: Message[AnswerT], command: object) -> AnswerT:
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

        Returns:
            What was added, modified, deleted and renamed, by path. It does not wait for programs
            that run there, and may see what they have half done.

        Raises:
            WorkspaceNotFound: it was deleted.
            WorkspaceBusy: another process has the workspace.
            WorkspaceError: its tree, or what it was made from, cannot be had.
        """
        found = (await self._diff(await self._base_root(), verify=verify)).status
        unsure = await self._shared.do(partial(unsure_of, id_=self.id))
        return attrs.evolve(found, unsure=unsure) if unsure else found

    async def diff(self, against: str | Workspace | None = None, *, verify: bool = False) -> Diff:
        """What differs between something and the live tree as it is now.

        Args:
            against: a snapshot of this workspace, or "workspace/snapshot"; another workspace of the
                project, as it is now; None = what this one was made from.
            verify: whether every file is looked at, whatever hints there are.

        Raises:
            SnapshotNotFound: there is no such snapshot.
            ConfigError: it is neither a name nor a workspace of this project.
        """
        return await self._diff(await self._root_of(against), verify=verify)

    async def _root_of(self, against: str | Workspace | None) -> ObjectId:
        if against is None:
            return await self._base_root()
        if not isinstance(against, str):
            self._require_beside(against, "against", "the name of a snapshot, or a workspace")
            return (await against._look()).root  # noqa: SLF001 - of the same class
        find = partial(find_snapshot, reference=against, workspace=self._record)
        return (await self._shared.do(find)).root

    def _require_beside(self, other: object, what: str, wanted: str) -> None:
        """Raise ConfigError if it is not the handle of a workspace of the same project."""
        here = self._shared.directory
        if not isinstance(other, LiveTree) or other._shared.directory != here:  # noqa: SLF001
            raise ConfigError(f"{what}={other!r}: it has to be {wanted}, of the same project")

    async def _base_root(self) -> ObjectId:
        return await self._shared.ask(self._record, AskBase())

    async def _diff(self, before: ObjectId, *, verify: bool) -> Diff:
        captured = await self._look(verify=verify)
        return await self._shared.do(lambda store: Diff(store, before, captured.root))

    async def _look(self, *, verify: bool = False) -> Captured:
        return await self._shared.ask(self._record, Look(verify=verify))
