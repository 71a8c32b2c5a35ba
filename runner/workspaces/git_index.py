"""What a commit changes in an index: the workspace's changes on a branch that may have moved.

Each path that was changed is in the tip as it was when the workspace got it, or as it is to be:
then it is set; else it is a conflict, unless the strategy settles it. What git makes of a file, and
made of what it was, is found out by git: with the filters and line ends that the tip's attributes
and the configuration ask for.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

import attrs
import trio

from runner.errors import CommitError, WorkspaceError
from runner.workspaces.comparing import Change
from runner.workspaces.filling import fill
from runner.workspaces.git_program import Git
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.merging import Conflict, ConflictKind
from runner.workspaces.merging_texts import merge_texts
from runner.workspaces.objects import CHUNK, NO_ID, content
from runner.workspaces.patching import reason_left_out
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place

Strategy: TypeAlias = Literal["manual", "ours", "theirs", "merge"]
Blob: TypeAlias = tuple[str, str]  # mode, object id
_SUBMODULE = "160000"
_MIXED: ConflictKind = "a file here, a directory there"


def left_out_of(change: Change) -> str:
    """Why git cannot have a change; empty if it can."""
    sides = [each for each in (change.before, change.after) if each is not None]
    if all(each.type is EntryType.DIRECTORY for each in sides):
        return "git keeps no directories, only what is in them"
    there = change.after if change.after is not None else change.before
    assert there is not None
    if there.type is EntryType.DIRECTORY:  # the file that was there goes
        return reason_left_out(change.path, attrs.evolve(there, id=NO_ID))
    return reason_left_out(change.path, there)


@attrs.define(eq=False, kw_only=True)
class Indexing:
    """The index of one commit.

    Attributes:
        git: with that index, in a git directory of ours.
        path: the directory in which all that is temporary is.
        prefix: where in the repository the workspace's files are.
        branch: by its name, for errors.
        store: has the contents.
        strategy: what becomes of paths that both sides changed.
    """

    git: Git
    path: str
    prefix: str
    branch: str
    store: Store
    strategy: Strategy

    async def listed(self, git: Git) -> dict[str, Blob]:
        """What is in an index."""
        found = {}
        for line in (await git.data("ls-files", "-s", "-z", what="git lists nothing")).split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, id_, _ = os.fsdecode(about).split(" ")
                found[os.fsdecode(path)] = (mode, id_)
        return found

    def left_out(self, changes: Iterable[Change], theirs: dict[str, Blob]) -> dict[str, str]:
        """What git has no words for: the paths in the workspace, each with the reason."""
        links = {path for path, (mode, _) in theirs.items() if mode == _SUBMODULE}
        found = {}
        for each in changes:
            reason = left_out_of(each)
            if not reason and any(above in links for above in _above(self.prefix + each.path)):
                reason = "it lies in a submodule, which has commits of its own"
            if reason:
                found[each.path] = reason
        return found

    async def _blobs(self, name: str, entries: dict[str, Entry]) -> dict[str, Blob]:
        """What git makes of files: with its filters, by the attributes that the tip has."""
        if not entries:
            return {}
        store, where = self.store, os.path.join(self.path, name)

        def write() -> None:
            root, objects = place(store.listing, EMPTY.id, entries)
            store.put([EMPTY, *objects])
            os.mkdir(where, 0o700)
            fill(store, root, where)
            with suppress(FileNotFoundError):  # of a branch without commits
                shutil.copy(os.path.join(self.path, "index"), f"{where}.index")

        try:
            await trio.to_thread.run_sync(write)
        except OSError as error:
            raise WorkspaceError(f"{where!r} cannot be written: {error.strerror}") from error
        git = self.git.at(where, f"{where}.index")
        paths = b"".join(os.fsencode(each) + b"\0" for each in entries)
        words = "update-index", "--add", "--replace", "-z", "--stdin"
        await git.data(*words, stdin=paths, what="git cannot take a file")
        listed = await self.listed(git)
        return {path: listed[path] for path in entries if path in listed}

    async def resolved(
        self, changes: Sequence[Change], theirs: dict[str, Blob], *, is_known: bool
    ) -> list[bytes]:
        """What is to be changed in the index, for `git update-index`; deletions first."""
        by_path = {self.prefix + each.path: each for each in changes}
        new = await self._blobs("after", _files(by_path, "after"))
        old = {} if is_known else await self._blobs("before", _files(by_path, "before"))
        gone = {path for path in by_path if path not in new}
        directories = {above for path in theirs if path not in gone for above in _above(path)}
        removed, added, conflicts = [], [], []
        for path, change in by_path.items():
            there, ours = theirs.get(path), new.get(path)
            if there == ours:
                continue
            kind = None
            if ours is not None and (path in directories or _blocked(path, theirs, gone)):
                kind = _MIXED
            elif not is_known and there != old.get(path):
                kind = _kind(old.get(path), ours, there)
            if kind is not None:
                settled, ours = await self._settle(kind, old.get(path), ours, there)
                if not settled:
                    conflicts.append(await self._conflict(change, kind, there))
            if ours == there:
                continue
            if ours is None:
                removed.append(_line("0", "0" * len(there[1] if there else ""), path))
            else:
                added.append(_line(*ours, path))
        if conflicts:
            what = f"the branch {self.branch!r} has changed meanwhile, and so has the workspace"
            raise CommitError(f"{what}; nothing was committed", conflicts)
        return removed + added

    async def _settle(
        self, kind: ConflictKind, old: Blob | None, ours: Blob | None, theirs: Blob | None
    ) -> tuple[bool, Blob | None]:
        """Whether the strategy says what comes of it, and what."""
        strategy = self.strategy
        if strategy == "theirs":
            return True, theirs
        if strategy == "ours" and kind != _MIXED:
            return True, ours
        if strategy == "merge" and ours and theirs and kind != _MIXED and ours[0] == theirs[0]:
            texts = [await self._content(each) for each in (old, ours, theirs)]
            merged = merge_texts(*texts)
            if merged is not None and not merged.conflicts:
                words = "hash-object", "-w", "--stdin"
                id_ = await self.git.text(*words, stdin=merged.data, what="git keeps no text")
                return True, (ours[0], id_)
        return False, ours

    async def _content(self, blob: Blob | None) -> bytes:
        if blob is None or blob[0] == _SUBMODULE:
            return b""
        return await self.git.data("cat-file", "blob", blob[1], what="git finds no content")

    async def _conflict(self, change: Change, kind: ConflictKind, theirs: Blob | None) -> Conflict:
        entry = None
        if theirs is not None:
            data = await self._content(theirs)
            type_ = EntryType.LINK if theirs[0] == "120000" else EntryType.FILE
            mode = 0 if type_ is EntryType.LINK else int(theirs[0], 8) & 0o777
            id_ = content(data).id if len(data) <= CHUNK else NO_ID
            name = os.fsencode(change.path.rpartition("/")[2])
            entry = Entry(name, type_, mode, id_, len(data) if mode else 0)
        return Conflict(
            path=change.path, kind=kind, base=change.before, ours=change.after, theirs=entry
        )


def _above(path: str) -> Iterable[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _blocked(path: str, theirs: dict[str, Blob], gone: set[str]) -> bool:
    return any(above in theirs and above not in gone for above in _above(path))


def _files(changes: dict[str, Change], side: Literal["before", "after"]) -> dict[str, Entry]:
    """What git could know of one side of changes."""
    found = {}
    for path, change in changes.items():
        entry = change.before if side == "before" else change.after
        if entry is not None and entry.type in {EntryType.FILE, EntryType.LINK}:
            found[path] = attrs.evolve(entry, name=os.fsencode(path.rpartition("/")[2]), group=0)
    return found


def _kind(old: Blob | None, ours: Blob | None, theirs: Blob | None) -> ConflictKind:
    if ours is None:
        return "deleted by us, modified by them"
    if theirs is None:
        return "modified by us, deleted by them"
    return "both added" if old is None else "both modified"


def _line(mode: str, id_: str, path: str) -> bytes:
    return b"%s %s\t%s\0" % (mode.encode(), id_.encode(), os.fsencode(path))
