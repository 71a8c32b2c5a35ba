"""What a workspace has changed, brought to where it was made from; and into another workspace.

    made from          a commit goes
    a directory        into its files, path by path (directory_base.py); it may be a work tree of
                       git: its index and its branches are the user's. With `branch`: as a git ref
    a git ref          to a branch, as a commit of git's (git_base.py); no file is touched. What is
                       new and a `.gitignore` names stays behind (ignoring.py)
    a workspace        into its live tree, as a merge
    a snapshot,        nowhere: neither can change. `merge` brings it into a workspace that was made
    nothing            from a directory, `export` elsewhere

From then on what was committed is the base, as the workspace has it: `status` and `diff` show what
is left. Whatever else the base has become meanwhile is not in the workspace; where it is changed
there later, too, that is a conflict.

The base's lock is held from the look at the base to the end. The root that is committed is that of
one moment, after all that was asked for before: nobody has to wait for a commit.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

import attrs
import trio

from runner.errors import CommitError, ObjectMissing, WorkspaceNotFound
from runner.workspaces.ancestors import ancestor, forget_unsure
from runner.workspaces.base_locks import hold_base
from runner.workspaces.comparing import Change, compare
from runner.workspaces.diff import Diff
from runner.workspaces.directory_base import apply_to, place_of, seal
from runner.workspaces.git_base import GitBase, GitCommitted
from runner.workspaces.git_repository import Repository
from runner.workspaces.ignoring import without_ignored
from runner.workspaces.joining import join
from runner.workspaces.listing import Entry
from runner.workspaces.lookups import change_workspace, new_id, tell
from runner.workspaces.messages import Offer, Rebased
from runner.workspaces.objects import CHUNK, ObjectId, content
from runner.workspaces.ordering import Order
from runner.workspaces.records import CommitRecord, WorkspaceRecord
from runner.workspaces.selecting import Wanted, select
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place
from runner.workspaces.ways import Place, Way

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

_MOST_PATHS = 1000  # in the audit
IGNORED = "a .gitignore names it; it is committed if `include` does"


async def commit(shared: Shared, record: WorkspaceRecord, order: Order) -> CommitRecord:
    """Commit; see `Workspace.commit`."""
    async with _held(shared, record, order):
        try:
            done = await _commit(shared, record, order)
        except ObjectMissing:  # somebody has dropped what nobody named yet
            done = None
        if done is None:
            done = await _commit(shared, record, order)
        with trio.CancelScope(shield=True):  # a word to its actor
            await shared.ask(record, Rebased())
    return done


async def _commit(shared: Shared, record: WorkspaceRecord, order: Order) -> CommitRecord:
    committing = await _Committing.begin(shared, record, order)
    if not committing.changes:
        raise _nothing(record, order, committing.ignored)
    base = committing.record.base
    if _is_to_git(record, order):
        return await committing.to_git()
    if base.kind == "directory":
        return await committing.to_directory()
    return await committing.to_workspace()


async def changes_of(shared: Shared, record: WorkspaceRecord, order: Order) -> list[Change]:
    """What would be committed; see `Workspace.commit`."""
    _require_base(record, order)
    committing = await _Committing.begin(shared, record, order)
    if _is_to_git(record, order):
        if committing.changes:
            await (await committing.git()).try_out(committing.changes)
    elif record.base.kind == "directory":
        await committing.to_directory(dry_run=True)
    else:
        await committing.to_workspace(dry_run=True)
    return await shared.do(lambda store: [*Diff(store, committing.before, committing.after)])


@asynccontextmanager
async def _held(shared: Shared, record: WorkspaceRecord, order: Order) -> AsyncGenerator[None]:
    _require_base(record, order)
    base = record.base.path
    async with hold_base(base, place_of(shared.directory, base)) if base else nullcontext():
        yield


def _require_base(record: WorkspaceRecord, order: Order) -> None:
    base = record.base
    if base.kind in {"empty", "snapshot"}:
        whence = f"the snapshot {base.ref!r}" if base.kind == "snapshot" else "nothing"
        what = f"the workspace {record.name!r} was made from {whence}, which cannot change"
        how = "`merge` brings its changes into another workspace, `export` writes them to a file"
        raise CommitError(f"{what}: {how}")
    if base.kind == "workspace" and order.branch is not None:
        what = f"the workspace {record.name!r} was made from another one, which has no branches"
        raise CommitError(f"{what}: commit to that one, and from there")


def _is_to_git(record: WorkspaceRecord, order: Order) -> bool:
    return record.base.kind == "git" or order.branch is not None


def _nothing(record: WorkspaceRecord, order: Order, ignored: Sequence[str]) -> CommitError:
    which = "" if order.wanted("") and order.wanted("\0") else " of these paths"
    but = f" but what .gitignore names: {ignored[0]!r}" if ignored else ""
    return CommitError(f"nothing{which} was changed in the workspace {record.name!r}{but}")


@attrs.frozen(kw_only=True)
class _Committing:
    """A commit: what is to be the base, and what that was."""

    shared: Shared
    store: Store
    record: WorkspaceRecord
    order: Order
    before: ObjectId
    after: ObjectId
    root: ObjectId
    since: int
    changes: Sequence[Change]
    wanted: Wanted
    ignored: tuple[str, ...]

    @classmethod
    async def begin(cls, shared: Shared, record: WorkspaceRecord, order: Order) -> _Committing:
        """Look at the workspace."""
        store = await shared.open()
        since = await shared.do(lambda store: store.drops())
        root = await shared.ask(record, Offer())

        def prepare() -> _Committing:
            now = store.workspaces.get(record.id)
            assert now.base_root is not None, "an offer waits for it"
            wanted: Wanted = order.wanted
            ignored: tuple[str, ...] = ()
            if _is_to_git(record, order) and not order.is_named:
                wanted, ignored = without_ignored(store, now.base_root, root, wanted)
            after, objects = select(store.listing, now.base_root, root, wanted)
            store.put(objects)
            return cls(
                shared=shared,
                store=store,
                record=now,
                order=order,
                before=now.base_root,
                after=after,
                root=root,
                since=since,
                changes=compare(store.listing, now.base_root, after),
                wanted=wanted,
                ignored=ignored,
            )

        return await shared.means.in_thread(prepare)

    # ------------------------------------------------------------ where to

    async def to_directory(self, *, dry_run: bool = False) -> CommitRecord:
        """Into the files of the base."""
        shared, record, base = self.shared, self.record, self.record.base.path
        done = self._record()

        def work() -> None:
            before = self._ancestor()
            if not dry_run:
                shared.know_bases(base)
            if record.way == Way.OVERLAY and not dry_run:
                upper = Place.at(os.path.dirname(record.tree)).upper
                seal(upper, self.store.listing, self.before, self.after)
            apply_to(
                self.store,
                record.id,
                base,
                before,
                self.after,
                look=partial(shared.look_at_base, record),
                place=place_of(shared.directory, base),
                also=partial(self._settle, done),
                texts=self.order.strategy == "merge",
                favour=self.order.favour,
                dry_run=dry_run,
            )

        await shared.means.in_thread(work)
        return done

    async def to_git(self) -> CommitRecord:
        """To a branch."""
        shared, order, git = self.shared, self.order, await self.git()
        made = await git.commit(self.changes, order.message, order.author, update=order.update)
        done: list[CommitRecord] = []

        def work() -> None:
            done.append(self._of_git(made))
            self._settle(done[-1])

        with trio.CancelScope(shield=True):  # what git has is written down
            await shared.means.in_thread(work)
        return done[-1]

    async def git(self) -> GitBase:
        """What makes a commit of git's of it."""
        shared, order, record = self.shared, self.order, self.record
        await shared.means.in_thread(self._ancestor)
        earlier = await shared.do(lambda store: store.commits.list(record.id))
        last = next((each.git_commit for each in reversed(earlier) if each.git_commit), "")
        repository = Repository(host=shared.means.host, base=record.base)
        await repository.find()
        return GitBase(
            repository=repository,
            branch=await repository.choose(order.branch),
            store=self.store,
            known="" if earlier else record.base.commit,
            start=last or record.base.commit,
            strategy=order.strategy,
            place=place_of(shared.directory, record.base.path),
        )

    def _of_git(self, made: GitCommitted) -> CommitRecord:
        """What was committed; what git has no words for was not."""
        left = {path for path, _ in made.left_out}
        wanted = self.wanted
        after, objects = select(
            self.store.listing,
            self.before,
            self.root,
            lambda path: wanted(path) and path not in left,
        )
        self.store.put(objects)
        after = self._with_rewritten(after, made)
        return attrs.evolve(
            self._record(),
            base_after=after,
            git_commit=made.commit,
            branch=made.branch,
            paths=tuple(each.path for each in self.changes if each.path not in left),
            left_out=(*made.left_out, *((each, IGNORED) for each in self.ignored)),
            behind=made.behind,
        )

    def _with_rewritten(self, root: ObjectId, made: GitCommitted) -> ObjectId:
        """A hook's files are what the base has; those of the workspace are not."""
        after = {each.path: each.after for each in self.changes}
        entries: dict[str, Entry | None] = {}
        for path, data in made.rewritten.items():
            there = after[path]
            if there is not None and len(data) <= CHUNK:
                kept = content(data)
                self.store.put([kept])
                entries[path] = attrs.evolve(there, id=kept.id, size=len(data), group=0)
        root, objects = place(self.store.listing, root, entries)
        self.store.put(objects)
        return root

    async def to_workspace(self, *, dry_run: bool = False) -> CommitRecord:
        """Into the live tree of the workspace that it was made from."""
        shared, base = self.shared, self.record.base
        try:
            target = await shared.do(lambda store: store.workspaces.get(base.workspace))
        except WorkspaceNotFound as error:
            what = f"the workspace {base.ref!r}, from which {self.record.name!r} was made, is gone"
            how = "`merge` brings its changes into another one, `export` writes them to a file"
            raise CommitError(f"{what}: {how}") from error
        what = f"the commit of {self.record.name!r}"
        await join(
            shared,
            target,
            ancestor=self.before,
            root=self.after,
            strategy=self.order.strategy,
            what=what,
            who=self.order.who,
            flip=True,
            dry_run=dry_run,
        )
        done = self._record()
        if not dry_run:
            with trio.CancelScope(shield=True):
                await shared.means.in_thread(partial(self._settle, done))
        return done

    # ------------------------------------------------------------ what is written down

    def _ancestor(self) -> ObjectId:
        return ancestor(self.store, self.record, self.before, self.changes, self.order.strategy)

    def _record(self) -> CommitRecord:
        return CommitRecord(
            id=new_id(),
            workspace=self.record.id,
            message=self.order.message,
            author=self.order.author,
            base_before=self.before,
            base_after=self.after,
            created_ns=time.time_ns(),
            paths=tuple(each.path for each in self.changes),
        )

    def _settle(self, done: CommitRecord) -> None:
        """From here on it is committed."""
        with self.store.transaction():
            self.store.require_whole(done.base_after, self.since)
            self.store.commits.add(done)
            forget_unsure(self.store, self.record.id, done)
            change_workspace(self.store, self.record.id, base_root=done.base_after)
            tell(
                self.store,
                self.record.id,
                "commit",
                self.shared.whose(self.record, self.order.who),
                message=done.message,
                author=done.author,
                commit=done.id,
                git=done.git_commit,
                branch=done.branch,
                paths=list(done.paths[:_MOST_PATHS]),
                count=len(done.paths),
                left_out=[list(each) for each in done.left_out[:_MOST_PATHS]],
            )
