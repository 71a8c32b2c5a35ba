"""Changes of a workspace as a commit on a branch of a repository, made by the git program.

    the branch's tip ──► an index of our own, with the changes ──► git commit ──► the branch

`git commit` runs in a git directory of our own that borrows objects, branches, configuration and
hooks from the repository (`commondir`, as a linked work tree has it), and has a HEAD, an index and
a work tree of its own, all in a temporary directory. So hooks, identity, signing and filters are as
the user set them up, and neither their HEAD nor their index nor their files are touched; nothing is
left behind in the repository but the commit.

Three-way, path by path: the tip may have moved since the workspace was made. What the workspace
changed has to be in it as it was then, or as it is to be; else it is a conflict.

Where the branch is checked out somewhere, that work tree is left as it is, as git itself leaves it
when a branch is moved from elsewhere: `git status` there shows the new commit undone, until `git
reset --hard`, or `update=True`, by which it is brought along as by `git merge --ff-only`: what was
changed there stays, and where that touches what is committed, nothing is done at all.

What git has no words for (empty directories, fifos, files in submodules) is left out, and said.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Literal, TypeAlias

import attrs
import trio

from runner.backends.files import temporary_name
from runner.errors import CommitError, WorkspaceError
from runner.processes.host import ProcessHost
from runner.workspaces.comparing import Change
from runner.workspaces.filling import fill
from runner.workspaces.git_program import Git
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.merging import Conflict, ConflictKind
from runner.workspaces.merging_texts import merge_texts
from runner.workspaces.objects import CHUNK, NO_ID, content
from runner.workspaces.patching import reason_left_out
from runner.workspaces.records import Base
from runner.workspaces.store import Store
from runner.workspaces.sync.placing import place

Strategy: TypeAlias = Literal["manual", "ours", "theirs", "merge"]
Blob: TypeAlias = tuple[str, str]  # mode, object id
_NOBODY = re.compile(r"[^<>]*<[^<>]*>")
_LINK_TO_ELSEWHERE = "160000"


@attrs.frozen(kw_only=True)
class GitCommitted:
    """What came of it.

    Attributes:
        commit: the branch's new tip, in full; the old one if it had all of it already.
        branch: its name.
        left_out: paths that git has no words for, each with the reason.
        behind: work trees in which the branch is checked out, that are as they were.
        rewritten: what a hook has made of paths: how they are checked out.
    """

    commit: str
    branch: str
    left_out: tuple[tuple[str, str], ...]
    behind: tuple[str, ...]
    rewritten: Mapping[str, bytes] = attrs.field(factory=dict)


def as_author(author: str) -> str:
    """As git wants it: "Name <address>"."""
    return author if _NOBODY.fullmatch(author) else f"{author} <>"


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
class GitBase:
    """One commit to a repository.

    Attributes:
        host: runs git.
        store: has the contents.
        base: of the workspace.
        known: the commit that has just what the workspace knows; empty = there is none.
        strategy: what becomes of paths that both sides changed.
        place: a directory of the project for what is temporary.
    """

    host: ProcessHost
    store: Store
    base: Base
    known: str
    strategy: Strategy
    place: str
    _prefix: str = ""
    _common: str = ""

    @property
    def _plain(self) -> Git:
        return Git(host=self.host, directory=self.base.path)

    # ------------------------------------------------------------ which branch

    async def find(self) -> None:
        """Find the repository.

        Raises:
            CommitError: there is none.
        """
        where = self.base.path
        what = f"git finds no repository at {where!r}"
        git = self._plain
        asked = "rev-parse", "--path-format=absolute", "--git-common-dir"
        self._common = await git.text(*asked, what=what)
        if self.base.kind != "git":  # a git ref is checked out from the top
            self._prefix = await git.text("rev-parse", "--show-prefix", what=what)

    async def choose(self, branch: str | None) -> str:
        """The branch that is meant.

        Raises:
            CommitError: there can be none of that name, or none is checked out.
        """
        git = self._plain
        if branch is not None:
            if branch.startswith("-") or "\0" in branch or "\n" in branch:
                raise CommitError(f"no branch can be called {branch!r}")
            if await git.ask("check-ref-format", "--branch", branch) != branch:
                raise CommitError(f"no branch can be called {branch!r}")
            return branch
        ref = self.base.ref.removeprefix("refs/heads/")
        if ref and ref != "HEAD" and await self._tip(ref) is not None:
            return ref
        found = await git.ask("symbolic-ref", "--quiet", "HEAD")
        if found is None or not found.startswith("refs/heads/"):
            what = f"no branch is checked out in {self.base.path!r} (HEAD is detached)"
            raise CommitError(f"{what}: name one, `branch=…`")
        return found.removeprefix("refs/heads/")

    async def _tip(self, branch: str) -> str | None:
        asked = "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"
        return await self._plain.ask(*asked)

    # ------------------------------------------------------------ the commit

    async def commit(
        self,
        changes: Sequence[Change],
        branch: str,
        message: str,
        author: str,
        *,
        update: bool,
    ) -> GitCommitted:
        """Make it.

        Args:
            changes: from the base as it was to what it is to be; none is "renamed".
            branch: by its name.
            message: of the commit.
            author: "Name <address>"; empty = as git is configured.
            update: whether work trees in which it is checked out are brought along.

        Raises:
            CommitError: there are conflicts, a hook refuses it, git does not know who the user
                is, … Nothing was changed.
        """
        path = os.path.join(self.place, temporary_name())
        try:
            await self._in_thread(lambda: self._begin(path, branch))
            making = _Making(self, path, branch, self._prefix)
            return await making.commit(changes, message, author, update=update)
        finally:
            with trio.CancelScope(shield=True):  # it removes a directory of ours, and no more
                await self._in_thread(lambda: shutil.rmtree(path, ignore_errors=True))

    def _begin(self, path: str, branch: str) -> None:
        try:
            for each in ("git", "tree"):
                os.makedirs(os.path.join(path, each), mode=0o700)
            with open(os.path.join(path, "git", "HEAD"), "w", encoding="utf-8") as file:
                file.write(f"ref: refs/heads/{branch}\n")
            with open(os.path.join(path, "git", "commondir"), "wb") as common:
                common.write(os.fsencode(self._common) + b"\n")
        except OSError as error:
            raise WorkspaceError(f"{path!r} cannot be made: {error.strerror}") from error

    async def _in_thread(self, work: Callable[[], object]) -> None:
        await trio.to_thread.run_sync(work)


@attrs.define(eq=False)
class _Making:
    """One try."""

    of: GitBase
    path: str
    branch: str
    prefix: str

    def _git(self, index: str = "index", tree: str = "tree") -> Git:
        where = os.path.join(self.path, tree)
        return Git(
            host=self.of.host,
            directory=where,
            env={
                "GIT_DIR": os.path.join(self.path, "git"),
                "GIT_INDEX_FILE": os.path.join(self.path, index),
                "GIT_WORK_TREE": where,
            },
        )

    async def commit(
        self, changes: Sequence[Change], message: str, author: str, *, update: bool
    ) -> GitCommitted:
        git, of = self._git(), self.of
        tip = await of._tip(self.branch)  # noqa: SLF001 - of one module
        is_new = tip is None
        if tip is None:
            tip = of.base.commit or await of._plain.ask(
                "rev-parse", "--verify", "--quiet", "HEAD^{commit}"
            )  # noqa: SLF001
        if tip:
            await git.data("read-tree", tip, what="git cannot read the branch")
        theirs = await self._listed(git)
        left_out = self._left_out(changes, theirs)
        taken = [each for each in changes if each.path not in left_out]
        if not taken:
            path, reason = next(iter(left_out.items()))
            raise CommitError(f"git has no words for what was changed: {path!r}: {reason}")
        lines = await self._resolved(taken, theirs, is_known=bool(tip) and tip == of.known)
        said = tuple(sorted(left_out.items()))
        if lines:
            given = b"".join(lines)
            await git.data(
                *("update-index", "-z", "--index-info"), stdin=given, what="git refuses a path"
            )
        tree = await git.text("write-tree", what="git cannot write a tree")
        if tip and tree == await git.ask("rev-parse", f"{tip}^{{tree}}"):
            return GitCommitted(commit=tip, branch=self.branch, left_out=said, behind=())
        places = await self._checked_out() if tip and not is_new else []
        if update and tip:
            await self._bring(places, tip, tree, dry=True)
        made = await self._commit(git, tip or "", message, author, is_new=is_new)
        if update and tip:
            await self._bring(places, tip, made, dry=False)
        return GitCommitted(
            commit=made,
            branch=self.branch,
            left_out=said,
            behind=() if update else tuple(places),
            rewritten=await self._rewritten(git, tree, made, taken),
        )

    async def _commit(self, git: Git, tip: str, message: str, author: str, *, is_new: bool) -> str:
        env = await self._identity(git, author)
        if await self._has_hook(git):  # it looks at files
            await git.data("checkout-index", "--all", "--force", "-u", what="git cannot check out")
        ref = f"refs/heads/{self.branch}"
        if is_new and tip:
            await git.data("update-ref", ref, tip, "", what="git cannot make the branch")
        by = [f"--author={as_author(author)}"] if author else []
        try:
            await git.data(
                *("commit", "--quiet", "--file=-", *by),
                stdin=message.encode("utf-8", "surrogateescape"),
                what="git made no commit",
                **env,
            )
            made = await git.text("rev-parse", "HEAD", what="git finds no commit")
            parents = (await git.ask("rev-list", "--parents", "-1", made) or "").split()[1:]
        except BaseException:
            if is_new and tip:
                with trio.CancelScope(shield=True):  # git's own, and short
                    await git.ask("update-ref", "-d", ref, tip)
            raise
        if parents != ([tip] if tip else []):  # it was made of what the branch was before
            before = parents[0] if parents else ""
            await git.data("update-ref", ref, before, made, what="git cannot undo it")
            raise CommitError(f"the branch {self.branch!r} moved meanwhile: try again")
        return made

    async def _rewritten(
        self, git: Git, tree: str, made: str, taken: Sequence[Change]
    ) -> dict[str, bytes]:
        """What hooks have made of the paths: the commit is not what was given to git."""
        words = "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=M"
        differ = (await git.ask(*words, tree, made) or "").split("\0")
        found = {}
        for path in {self.prefix + each.path for each in taken} & set(differ):
            words = "cat-file", "--filters", f"{made}:{path}"
            found[path.removeprefix(self.prefix)] = await git.data(*words, what="git lost a file")
        return found

    async def _identity(self, git: Git, author: str) -> dict[str, str]:
        """Who commits, if git does not know: the author, if there is one."""
        if not author or await git.ask("var", "GIT_COMMITTER_IDENT") is not None:
            return {}
        name, _, address = as_author(author).partition("<")
        return {"GIT_COMMITTER_NAME": name.strip(), "GIT_COMMITTER_EMAIL": address.rstrip("> ")}

    async def _has_hook(self, git: Git) -> bool:
        where = await git.ask("rev-parse", "--git-path", "hooks/pre-commit")
        if where is None:
            return False
        path = os.path.join(git.directory, where)
        return not os.path.isabs(where) or os.access(path, os.X_OK)

    # ------------------------------------------------------------ what is in it

    async def _listed(self, git: Git) -> dict[str, Blob]:
        """What is in an index."""
        found = {}
        for line in (await git.data("ls-files", "-s", "-z", what="git lists nothing")).split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, id_, _ = os.fsdecode(about).split(" ")
                found[os.fsdecode(path)] = (mode, id_)
        return found

    def _left_out(self, changes: Iterable[Change], theirs: dict[str, Blob]) -> dict[str, str]:
        links = {path for path, (mode, _) in theirs.items() if mode == _LINK_TO_ELSEWHERE}
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
        store, where = self.of.store, os.path.join(self.path, name)

        def write() -> None:
            root, objects = place(store.listing, EMPTY.id, entries)
            store.put([EMPTY, *objects])
            os.mkdir(where, 0o700)
            fill(store, root, where)
            with suppress(FileNotFoundError):  # of a branch without commits
                shutil.copy(os.path.join(self.path, "index"), f"{where}.index")

        try:
            await self.of._in_thread(write)  # noqa: SLF001
        except OSError as error:
            raise WorkspaceError(f"{where!r} cannot be written: {error.strerror}") from error
        git = self._git(f"{name}.index", name)
        paths = b"".join(os.fsencode(each) + b"\0" for each in entries)
        words = "update-index", "--add", "--replace", "-z", "--stdin"
        await git.data(*words, stdin=paths, what="git cannot take a file")
        listed = await self._listed(git)
        return {path: listed[path] for path in entries if path in listed}

    async def _resolved(
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
        strategy = self.of.strategy
        if strategy == "theirs":
            return True, theirs
        if strategy == "ours" and kind != _MIXED:
            return True, ours
        if strategy == "merge" and ours and theirs and kind != _MIXED and ours[0] == theirs[0]:
            texts = [await self._content(each) for each in (old, ours, theirs)]
            merged = merge_texts(*texts)
            if merged is not None and not merged.conflicts:
                words = "hash-object", "-w", "--stdin"
                id_ = await self._git().text(*words, stdin=merged.data, what="git keeps no text")
                return True, (ours[0], id_)
        return False, ours

    async def _content(self, blob: Blob | None) -> bytes:
        if blob is None or blob[0] == _LINK_TO_ELSEWHERE:
            return b""
        return await self._git().data("cat-file", "blob", blob[1], what="git finds no content")

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

    # ------------------------------------------------------------ where it is checked out

    async def _checked_out(self) -> list[str]:
        """The work trees that have the branch."""
        words = "worktree", "list", "--porcelain", "-z"
        said = await self.of._plain.ask(*words) or ""  # noqa: SLF001
        found, where = [], ""
        for line in said.split("\0"):
            if line.startswith("worktree "):
                where = line.removeprefix("worktree ")
            elif line == f"branch refs/heads/{self.branch}" and where:
                found.append(where)
        return found

    async def _bring(self, places: Sequence[str], old: str, new: str, *, dry: bool) -> None:
        """Bring work trees along; what was changed there and is not in the commit stays."""
        for each in places:
            git = Git(host=self.of.host, directory=each)
            await git.ask("update-index", "-q", "--refresh")
            only = ["--dry-run"] if dry else []
            what = f"the files in {each!r} cannot be brought along"
            await git.data("read-tree", *only, "-m", "-u", old, new, what=what)


_MIXED: ConflictKind = "a file here, a directory there"


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
