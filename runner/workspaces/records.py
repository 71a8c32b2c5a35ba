"""The records of a project: what its store has rows of. Values only, no I/O.

Times are nanoseconds since 1970, UTC. Paths are text with surrogate escapes (`os.fsdecode`); trees
are named by the id of their top listing, their root. An id is text that nobody reads a meaning
into; a workspace may be renamed, its id stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import attrs

if TYPE_CHECKING:
    from runner.workspaces.objects import ObjectId

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
NOTHING: Mapping[str, Json] = MappingProxyType({})

BaseKind: TypeAlias = Literal["empty", "directory", "git", "snapshot", "workspace"]
State: TypeAlias = Literal["making", "ready", "deleting"]
SnapshotKind: TypeAlias = Literal["user", "turn", "undo", "rescue", "temporary"]
WayName: TypeAlias = Literal["auto", "plain", "overlay", "reflink", "copy"]
ActKind: TypeAlias = Literal["restore", "batch", "commit"]
BASE_KINDS: tuple[BaseKind, ...] = get_args(BaseKind)
SNAPSHOT_KINDS: tuple[SnapshotKind, ...] = get_args(SnapshotKind)


@attrs.frozen(kw_only=True)
class Base:
    """What a workspace was made from, and is committed to.

    Attributes:
        kind: of what.
        path: the directory, absolute: of the kinds "directory" and "git"; else empty.
        ref: the git ref as the caller gave it, "workspace/snapshot", or the workspace's name.
        commit: the git commit that the ref was, in full; else empty.
        workspace: the id of the workspace that it was made from; else empty.
    """

    kind: BaseKind = "empty"
    path: str = ""
    ref: str = ""
    commit: str = ""
    workspace: str = ""


@attrs.frozen(kw_only=True)
class WorkspaceRecord:
    """A workspace.

    Attributes:
        id: of its own, for good.
        name: unique in its project; may be changed.
        description: for people.
        tags: for people and programs.
        base: what it was made from.
        base_root: the base as it was then; None as long as it is not known.
        way: how its live tree was made: "overlay", "reflink" or "copy"; empty while it is made.
        tree: its live tree, an absolute path.
        state: "making" until its tree is whole, "deleting" from when that is taken away.
        created_ns: when.
        agent_id: who asked for it, in the caller's terms.
        read_only: whether nothing may be changed in it by us.
        root: its tree as it was captured last; None as long as it never was.
        changed_ns: when this record was last changed.
    """

    id: str
    name: str
    description: str = ""
    tags: tuple[str, ...] = ()
    base: Base = Base()
    base_root: ObjectId | None = None
    way: str = ""
    tree: str
    state: State = "making"
    created_ns: int
    agent_id: str = ""
    read_only: bool = False
    root: ObjectId | None = None
    changed_ns: int = 0


@attrs.frozen(kw_only=True)
class SnapshotRecord:
    """A snapshot: a named state of a workspace, for good.

    Attributes:
        id: of its own, for good.
        workspace: the id of its workspace, which may be gone.
        name: unique in its workspace.
        description: for people.
        root: the tree.
        parent: the root of the snapshot that was its workspace's last one; None = the first.
        created_ns: when.
        kind: who made it: the user, a session's turn, a restore that it undoes, a delete that it
            is the rescue from; or it is only for as long as a block.
        session: whose turn it was; else empty.
        turn: that turn's number; else 0.
        unstable: files that were written to all the while: they are as they were read.
        skipped: what no snapshot has, with the reason: sockets, devices.
    """

    id: str
    workspace: str
    name: str
    description: str = ""
    root: ObjectId
    parent: ObjectId | None = None
    created_ns: int
    kind: SnapshotKind = "user"
    session: str = ""
    turn: int = 0
    unstable: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class CommitRecord:
    """Changes of a workspace that were applied to its base.

    Attributes:
        id: of its own.
        workspace: the id of the workspace.
        message: why, in the author's words.
        author: as "Name <address>"; may be empty.
        base_before: the base until then, as the workspace had it.
        base_after: the base from then on: that with what was committed.
        created_ns: when.
        git_commit: the commit that git made of it; else empty.
        paths: that it changed.
        branch: that git's commit is on; else empty.
        left_out: paths that git has no words for, each with the reason: they are not committed.
        behind: work trees in which the branch is checked out, and that were left as they were.
    """

    id: str
    workspace: str
    message: str
    author: str = ""
    base_before: ObjectId
    base_after: ObjectId
    created_ns: int
    git_commit: str = ""
    paths: tuple[str, ...] = ()
    branch: str = ""
    left_out: tuple[tuple[str, str], ...] = ()
    behind: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Act:
    """A row of the journal: something that has been decided, and is finished whatever happens.

    Attributes:
        id: its number, given by the store; 0 = not there yet.
        workspace: the id of the workspace.
        kind: of what.
        tree: the directory that it changes, absolute; that of the base for a commit.
        before: the tree as it was.
        after: the tree as it is to be.
        details: whatever else it takes to finish it.
        step: how far it got.
        created_ns: when.
    """

    id: int = 0
    workspace: str
    kind: ActKind
    tree: str
    before: ObjectId | None = None
    after: ObjectId | None = None
    details: Mapping[str, Json] = NOTHING
    step: int = 0
    created_ns: int = 0


@attrs.frozen(kw_only=True)
class AuditRecord:
    """Something that was done in a workspace.

    Attributes:
        seq: its number in the project, from 1; 0 = not there yet.
        time_ns: when.
        workspace: the id of the workspace.
        operation: "write", "exec", "snapshot", …
        path: what it was done to; the source where there are two; empty if there is none.
        size_before: bytes of the file before; None = there was none, or it is not known.
        size_after: bytes of it afterwards.
        sha_before: "sha256:…" of its content before, or "chunks:…" of a large one; else empty.
        sha_after: of its content afterwards.
        session: who, as in `Who`.
        job: who.
        agent: who.
        ok: whether it was done; None = it was cut off, and nobody knows.
        details: whatever else there is to say; secrets are not in it.
        previous: the hash of the record before this one, hexadecimal.
        hash: of this one, with that.
    """

    seq: int = 0
    time_ns: int
    workspace: str
    operation: str
    path: str = ""
    size_before: int | None = None
    size_after: int | None = None
    sha_before: str = ""
    sha_after: str = ""
    session: str = ""
    job: str = ""
    agent: str = ""
    ok: bool | None = True
    details: Mapping[str, Json] = NOTHING
    previous: str = ""
    hash: str = ""


@attrs.frozen(kw_only=True)
class Ref:
    """A tree that is kept under a name, though no snapshot has it.

    Attributes:
        workspace: whose; empty = the project's.
        name: unique there.
        root: the tree.
        details: whatever else there is to know.
        changed_ns: when it was set.
    """

    workspace: str = ""
    name: str
    root: ObjectId
    details: Mapping[str, Json] = NOTHING
    changed_ns: int = 0


@attrs.frozen(kw_only=True)
class Remote:
    """Where else a workspace is.

    Attributes:
        workspace: whose.
        name: unique there.
        url: without a secret.
        details: whatever else there is to know; no secrets.
        created_ns: when it was added.
    """

    workspace: str
    name: str
    url: str
    details: Mapping[str, Json] = NOTHING
    created_ns: int = 0
