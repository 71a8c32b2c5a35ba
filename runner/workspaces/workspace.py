"""A workspace: the caller's handle on a live tree with a history.

It has every operation of a scope, and says what changed (live_tree.py). Besides, it has snapshots,
and what was changed in it goes elsewhere: to its base, another workspace, a file, another machine.

What was deleted stays deleted: each operation says `WorkspaceNotFound`, here and in its scopes. A
workspace that another process has is `WorkspaceBusy`, with its pid.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, overload

from runner.errors import ConfigError
from runner.scopes.making import ScopeOptions
from runner.workspaces.committing import changes_of, commit
from runner.workspaces.comparing import Change
from runner.workspaces.diff import Diff
from runner.workspaces.exporting import Exported
from runner.workspaces.git_index import Strategy
from runner.workspaces.joining import merge_into
from runner.workspaces.live_tree import LiveTree
from runner.workspaces.lookups import rename_workspace
from runner.workspaces.names import check_name
from runner.workspaces.ordering import check as check_commit
from runner.workspaces.ordering import check_strategy
from runner.workspaces.processing import Processed, process
from runner.workspaces.records import CommitRecord
from runner.workspaces.sending import ExportFormat, export, format_of
from runner.workspaces.snapshots import Snapshots
from runner.workspaces.sync.sync import Sync

if TYPE_CHECKING:
    from runner.workspaces.records import WorkspaceRecord
    from runner.workspaces.shared import Shared

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class Workspace(LiveTree):
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
        super().__init__(shared, record, options)
        self.sync: Sync = Sync(shared, record, self)
        self.snapshots: Snapshots = Snapshots(shared, record, self, self._who)

    # ------------------------------------------------------------ where it goes

    @overload
    async def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: Literal[False] = ...,
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> CommitRecord: ...
    @overload
    async def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: Literal[True],
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> list[Change]: ...
    @overload
    async def commit(
        self,
        message: str,
        *,
        author: str | None = ...,
        include: Iterable[str] = ...,
        exclude: Iterable[str] = ...,
        dry_run: bool,
        branch: str | None = ...,
        strategy: Strategy = ...,
        update: bool = ...,
    ) -> CommitRecord | list[Change]: ...
    async def commit(
        self,
        message: str,
        *,
        author: str | None = None,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        dry_run: bool = False,
        branch: str | None = None,
        strategy: Strategy = "manual",
        update: bool = False,
    ) -> CommitRecord | list[Change]:
        """Bring what was changed to what the workspace was made from: all of it, or nothing.

        Into the files of a directory, also if that is a work tree of git; onto a branch, as a
        commit of git's, of a workspace that was made of a git ref; into the live tree of another
        workspace. What that has become since is looked at path by path, and kept. From then on
        `status` and `diff` show what is not committed yet.

        Args:
            message: why.
            author: "Name <address>"; None = nobody in particular, or as git is configured.
            include: globs of what is committed, such as `*.md` (at any depth) or `docs/**`; none =
                all, but what is new and a `.gitignore` names, if it goes to a branch (`left_out`).
                What was renamed is a deletion and an addition.
            exclude: globs of what is not.
            dry_run: only say what would be committed, and whether it can be.
            branch: of the git repository that the base is, or lies in; it is made if there is none.
                None = the one that the workspace was made from, or else the one that is checked
                out; of a directory: none, the files are changed. What was committed to a branch
                comes into a directory's files as all that is on branches does: by git.
            strategy: what becomes of a path that was changed there, too: "manual" = `CommitError`;
                "ours" = it is as in the workspace; "theirs" = it stays; "merge" = texts are merged
                by their lines. The workspace is as it was in any case.
            update: whether index and files of the work trees in which the branch is checked out
                are brought along; else they are left alone (`CommitRecord.behind`).

        Raises:
            ConfigError: a value is none.
            CommitError: both changed the same (`conflicts`), nothing was changed, git or one of its
                hooks refuses it, or there is nothing that can change. Nothing was applied.
            HookVeto: a hook refuses it.
            OperationError: the base cannot be changed; the hint says so if it is finished later.
            WorkspaceBusy: another process has the workspace.

        Cancellation: nothing was applied; or all of it, if it was too late for that.
        """
        order = check_commit(
            message,
            author=author,
            include=include,
            exclude=exclude,
            branch=branch,
            strategy=strategy,
            update=update,
            who=self._who,
        )
        shared = self._shared
        if dry_run:
            return await changes_of(shared, self._record, order)
        await shared.before("commit", self._record, self, message)
        done = await commit(shared, self._record, order)
        await shared.after("commit", self._record, self, message)
        return done

    async def commits(self) -> list[CommitRecord]:
        """Its commits, the oldest first."""
        return await self._shared.do(lambda store: [*store.commits.list(self.id)])

    async def merge(self, source: Workspace, *, strategy: Strategy = "manual") -> Diff:
        """Bring what was changed in another workspace of the project into this one's live tree.

        That is: since it was made, or since it was merged into this one last. What the live tree
        was is kept as an undo snapshot. Runs after all that was asked for before.

        Args:
            source: the other one; it stays as it is.
            strategy: what becomes of a path that both changed: "manual" = `CommitError`; "ours" =
                it stays as it is here; "theirs" = it is as there; "merge" = texts are merged by
                their lines.

        Returns:
            What is different here now.

        Raises:
            CommitError: both changed the same (`conflicts`); nothing was changed.
            ReadOnly: nothing may be changed in it.
            ConfigError: the source is no workspace of this project, or there is no such strategy.
        """
        wanted = check_strategy(strategy)
        self._require_beside(source, "source", "a workspace, as `Project.get` gives it")
        return await merge_into(self._shared, self._record, source.record, wanted, self._who)

    async def export(
        self,
        path: str | os.PathLike[str],
        *,
        format: ExportFormat | None = None,  # noqa: A002 - the word of the page
        against: str | Workspace | None = None,
        overwrite: bool = False,
    ) -> Exported:
        """Write it to a file elsewhere.

        Args:
            path: of the file, on this machine: not in the workspace.
            format: "patch" (what was changed, for `git apply`), "tar" (the tree; compressed if the
                path ends in `.gz`), "bundle" (its commits, for `git fetch`), "agentfs" (the tree,
                as a database of AgentFS); None = by the path's end: .patch .diff .tar .tar.gz .tgz
                .bundle .db.
            against: what a patch begins with, as for `diff`.
            overwrite: whether a file that is there may be replaced.

        Returns:
            What was made; `left_out` has what the format has no words for.

        Raises:
            ConfigError: there is no such format, or it is not said which.
            OperationError: the file cannot be written.
        """
        chosen = format_of(path, format)
        if against is not None and chosen != "patch":
            raise ConfigError(f"against={against!r}: only a patch begins with something")
        before = await self._root_of(against)
        root = (await self._look()).root
        return await export(
            self._shared,
            self._record,
            chosen,
            path,
            before=before,
            root=root,
            overwrite=overwrite,
        )

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

    async def unmount(self) -> None:
        """Have its tree unmounted, if it is an overlay; the next operation mounts it again.

        An overlay that root has mounted stays so otherwise, for every program, until the workspace
        is deleted. A copy is left as it is.

        Raises:
            WorkspaceNotFound: it was deleted.
            WorkspaceBusy: another process has it.
            WorkspaceError: somebody uses it, and who; it stays.
        """
        await self._shared.unmount(self._record)

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
