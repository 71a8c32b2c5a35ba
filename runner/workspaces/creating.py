"""Making a workspace: the row first ("making"), then the tree, then the row again ("ready").

    what is wanted is looked at ──► its base is looked up ──► lock, row, tree ──► whole

Everything that can be refused is refused before anything is made. Who makes one has its lock from
before the first change to after the last, so that whoever opens the project meanwhile, or after a
crash, knows whether somebody is at it (tidying.py). What fails, or is cancelled, leaves nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import trio

from runner.errors import ConfigError, RunnerError, WorkspaceBusy, WorkspaceError
from runner.scopes.who import Who
from runner.workspaces import origins
from runner.workspaces.base_locks import hold_base
from runner.workspaces.directory_base import place_of
from runner.workspaces.filling import fill
from runner.workspaces.git_tree import Revision, find_revision, make_of_git
from runner.workspaces.listing import EMPTY
from runner.workspaces.locking import Lock
from runner.workspaces.lookups import (
    change_workspace,
    find_snapshot,
    find_workspace,
    new_id,
    require_free,
    tell,
)
from runner.workspaces.making import is_in_live_tree, make, remove
from runner.workspaces.messages import Look
from runner.workspaces.objects import ObjectId
from runner.workspaces.records import Base, Json, WayName, WorkspaceRecord
from runner.workspaces.store import Store
from runner.workspaces.tidying import LOCK
from runner.workspaces.wanting import Wanted
from runner.workspaces.ways import Made, Skipped, Way

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

TRIES = 5  # a directory that is new may be taken for a dead maker's
_MOST_SAID = 1000  # in the audit, of what a copy does not have


@attrs.frozen(kw_only=True)
class Source:
    """Where its tree comes from.

    Attributes:
        base: what is written down of it.
        directory: that is shown or copied; None = the tree begins empty.
        root: that it is filled with; None = nothing.
        revision: a git commit, whose files it gets; None = none.
        since: how often anything had been dropped from the store when all of the root was there.
    """

    base: Base
    directory: str | None = None
    root: ObjectId | None = None
    revision: Revision | None = None
    since: int = -1


# ---------------------------------------------------------------- where it comes from


async def look_up(shared: Shared, wanted: Wanted) -> Source:
    """The source of what is wanted.

    Raises:
        SnapshotNotFound: there is no such snapshot, or there are several.
        WorkspaceNotFound: there is no such workspace.
        ConfigError: there is no such directory.
        WorkspaceError: git has no such ref.
    """
    if wanted.snapshot is not None:
        taken = await shared.do(partial(find_snapshot, reference=wanted.snapshot))
        return Source(base=Base(kind="snapshot", ref=wanted.snapshot), root=taken.root)
    if wanted.workspace is not None:
        other = await shared.do(partial(find_workspace, name=wanted.workspace))
        looked = await shared.ask(other, Look())
        base = Base(kind="workspace", ref=wanted.workspace, workspace=other.id)
        return Source(base=base, root=looked.root, since=looked.since)
    if wanted.root is not None:
        return Source(base=Base(kind="empty"), root=wanted.root)
    if wanted.base == "empty":
        return Source(base=Base(kind="empty"), root=EMPTY.id)
    path = shared.base if wanted.base is None else os.path.realpath(wanted.base)  # noqa: ASYNC240
    if not os.path.isdir(path):  # noqa: ASYNC240
        raise ConfigError(f"the base {path!r}: there is no such directory")
    if wanted.ref is None:
        return Source(base=Base(kind="directory", path=path), directory=path)
    found = await find_revision(shared.means.host, path, wanted.ref)
    base = Base(kind="git", path=path, ref=wanted.ref, commit=found.commit)
    return Source(base=base, revision=found)


# ---------------------------------------------------------------- making it


async def create(shared: Shared, wanted: Wanted, who: Who) -> WorkspaceRecord:
    """Make a workspace, on somebody's behalf.

    Raises:
        WorkspaceExists: there is one of that name.
        WorkspaceError: it cannot be made, and why; nothing is left of it.
    """
    store = await shared.open()
    await shared.do(partial(require_free, name=wanted.name))
    source = await look_up(shared, wanted)
    lock, record = await shared.do(partial(_begin, shared=shared, wanted=wanted, source=source))
    place, way = shared.place(record.id), wanted.way or shared.means.way
    try:
        await shared.before("workspace_create", record, record.name)
        async with _held(shared, source):
            since, changes = source.since, dict[str, Any](base_root=source.root)
            if source.revision is None:
                settled = partial(shared.settled, record)
                make_it = partial(
                    _make, store, place, way, source, settled=settled, is_held=wanted.is_held
                )
                made, changes["created_ns"] = await shared.means.in_thread(make_it)
            else:
                made = await make_of_git(shared.means.host, source.revision, place)
                since = await shared.do(lambda store: store.drops())
                changes["base_root"] = await shared.capture_new(record)
            changes["way"] = str(made.way)
            told = shared.whose(record, who)
            ready = partial(_settled, store, record, changes, made.skipped, since=since, who=told)
            return await shared.means.in_thread(ready)
    except BaseException:
        with trio.CancelScope(shield=True):  # bounded by what was made by then
            await shared.means.in_thread(partial(_take_back, store, place, record.id))
        raise
    finally:
        lock.release()


def _held(shared: Shared, source: Source) -> AbstractAsyncContextManager[None]:
    """No commit changes the directory while it is copied."""
    path = source.directory
    if path is None:
        return nullcontext()
    return hold_base(path, place_of(shared.directory, path), shared=True)


def _begin(
    store: Store, shared: Shared, wanted: Wanted, source: Source
) -> tuple[Lock, WorkspaceRecord]:
    """Its own directory, the lock, and the row."""
    id_, place, lock = _settle(shared, wanted.name)
    try:
        record = WorkspaceRecord(
            id=id_,
            name=wanted.name,
            description=wanted.description,
            tags=wanted.tags,
            base=source.base,
            base_root=source.root,
            tree=os.path.join(place, "tree"),
            created_ns=time.time_ns(),
            agent_id=wanted.agent_id,
            read_only=wanted.read_only,
        )
        if source.root == EMPTY.id:
            store.put([EMPTY])  # objects before those who name them
        with store.transaction():
            if source.root is not None:
                store.require_whole(source.root, source.since)
            store.workspaces.add(record)
    except BaseException:
        remove(place)
        lock.release()
        raise
    return lock, record


def _settle(shared: Shared, name: str) -> tuple[str, str, Lock]:
    for _ in range(TRIES):
        id_ = new_id()
        place = shared.place(id_)
        try:
            os.mkdir(place, 0o700)
            return id_, place, Lock.take(os.path.join(place, LOCK), name)
        except FileNotFoundError:
            continue  # somebody who opened the project took it for left behind
        except WorkspaceBusy:
            continue  # the same, right now
        except OSError as exc:
            raise WorkspaceError(f"the workspace {name!r} cannot be made: {exc.strerror}") from exc
    raise WorkspaceError(f"the workspace {name!r} cannot be made: its directory is taken away")


def _make(
    store: Store,
    place: str,
    way: WayName,
    source: Source,
    *,
    settled: Callable[[], None],
    is_held: bool,
) -> tuple[Made, int]:
    """Its tree, and since when changes of the base are not in it."""
    # A stamp of the clock's last tick is one of before: no change of now has it.
    since = origins.moment() + origins.TICK if source.directory is not None else time.time_ns()
    is_live = source.directory is not None and is_in_live_tree(source.directory)
    made = make(source.directory, place, way=way, is_held=is_held, is_live=is_live)
    if source.directory is not None and made.way is not Way.OVERLAY:
        settled()
    if source.root is not None and source.root != EMPTY.id:
        fill(store, source.root, made.tree)
    return made, since


def _settled(
    store: Store,
    record: WorkspaceRecord,
    changes: Mapping[str, Any],
    skipped: Sequence[Skipped],
    *,
    since: int,
    who: Who | None,
) -> WorkspaceRecord:
    with store.transaction():
        if changes["base_root"] is not None:
            store.require_whole(changes["base_root"], since)
        whole = change_workspace(store, record.id, state="ready", **changes)
        left: Json = [[each.path, each.why] for each in skipped[:_MOST_SAID]]
        about: dict[str, Json] = {"left_out": left} if left else {}
        tell(store, whole.id, "create", who, name=whole.name, base=whole.base.kind, **about)
    return whole


def _take_back(store: Store, place: str, id_: str) -> None:
    with suppress(RunnerError, OSError):  # the next one who opens the project tries again
        remove(place)
        store.workspaces.remove(id_)
