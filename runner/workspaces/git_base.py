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
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from runner.backends.files import temporary_name
from runner.errors import CommitError, WorkspaceError
from runner.workspaces.comparing import Change
from runner.workspaces.git_index import Indexing, Strategy
from runner.workspaces.git_program import Git
from runner.workspaces.git_repository import Repository
from runner.workspaces.store import Store

_NOBODY = re.compile(r"[^<>]*<[^<>]*>")
_HEAD = "rev-parse", "--verify", "--quiet", "HEAD^{commit}"


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


@attrs.frozen(kw_only=True)
class _Indexed:
    """What is to be committed stands in an index."""

    git: Git
    tip: str
    is_new: bool
    taken: Sequence[Change]
    left_out: tuple[tuple[str, str], ...]


def as_author(author: str) -> str:
    """As git wants it: "Name <address>"."""
    return author if _NOBODY.fullmatch(author) else f"{author} <>"


@attrs.define(eq=False, kw_only=True)
class GitBase:
    """Makes one commit.

    Attributes:
        repository: that was found.
        branch: that it goes to.
        store: has the contents.
        known: the commit that has just what the workspace knows; empty = there is none.
        start: the commit that a new branch begins with; empty = the one that is checked out.
        strategy: what becomes of paths that both sides changed.
        place: a directory of the project for what is temporary.
    """

    repository: Repository
    branch: str
    store: Store
    known: str
    start: str
    strategy: Strategy
    place: str

    async def commit(
        self,
        changes: Sequence[Change],
        message: str,
        author: str,
        *,
        update: bool,
    ) -> GitCommitted:
        """Make it.

        Args:
            changes: from the base as it was to what it is to be; none is "renamed".
            message: of the commit.
            author: "Name <address>"; empty = as git is configured.
            update: whether work trees in which it is checked out are brought along.

        Raises:
            CommitError: there are conflicts, a hook refuses it, git does not know who the user
                is, … Nothing was changed.
        """
        async with self._begun() as path:
            indexed = await self._index(path, changes)
            return await self._make(indexed, message, author, update=update)

    async def try_out(self, changes: Sequence[Change]) -> None:
        """See whether it can be made; nothing is.

        Raises:
            CommitError: there are conflicts, or git has no words for any of it.
        """
        async with self._begun() as path:
            await self._index(path, changes)

    @asynccontextmanager
    async def _begun(self) -> AsyncGenerator[str, None]:
        """A directory for what is temporary."""
        path = os.path.join(self.place, temporary_name())
        try:
            await trio.to_thread.run_sync(lambda: self._begin(path))
            yield path
        finally:
            with trio.CancelScope(shield=True):  # it removes a directory of ours, and no more
                await trio.to_thread.run_sync(lambda: shutil.rmtree(path, ignore_errors=True))

    def _begin(self, path: str) -> None:
        try:
            for each in ("git", "tree"):
                os.makedirs(os.path.join(path, each), mode=0o700)
            with open(os.path.join(path, "git", "HEAD"), "w", encoding="utf-8") as file:
                file.write(f"ref: refs/heads/{self.branch}\n")
            with open(os.path.join(path, "git", "commondir"), "wb") as common:
                common.write(os.fsencode(self.repository.common) + b"\n")
        except OSError as error:
            raise WorkspaceError(f"{path!r} cannot be made: {error.strerror}") from error

    async def _index(self, path: str, changes: Sequence[Change]) -> _Indexed:
        """An index of our own: the branch's tip with the changes."""
        git = _git_at(self.repository, path)
        index = Indexing(
            git=git,
            path=path,
            prefix=self.repository.prefix,
            branch=self.branch,
            store=self.store,
            strategy=self.strategy,
        )
        of = self.repository
        tip = await of.tip(self.branch)
        is_new = tip is None
        if tip is None:
            tip = self.start or await of.plain.ask(*_HEAD)
        if tip:
            await git.data("read-tree", tip, what="git cannot read the branch")
        theirs = await index.listed(git)
        left_out = index.left_out(changes, theirs)
        taken = [each for each in changes if each.path not in left_out]
        if not taken:
            first, reason = next(iter(left_out.items()))
            raise CommitError(f"git has no words for what was changed: {first!r}: {reason}")
        lines = await index.resolved(taken, theirs, is_known=bool(tip) and tip == self.known)
        if lines:
            given = b"".join(lines)
            await git.data(
                *("update-index", "-z", "--index-info"), stdin=given, what="git refuses a path"
            )
        said = tuple(sorted(left_out.items()))
        return _Indexed(git=git, tip=tip or "", is_new=is_new, taken=taken, left_out=said)

    async def _make(
        self, indexed: _Indexed, message: str, author: str, *, update: bool
    ) -> GitCommitted:
        git, tip, said = indexed.git, indexed.tip, indexed.left_out
        of, is_new, taken = self.repository, indexed.is_new, indexed.taken
        tree = await git.text("write-tree", what="git cannot write a tree")
        if tip and tree == await git.ask("rev-parse", f"{tip}^{{tree}}"):
            return GitCommitted(commit=tip, branch=self.branch, left_out=said, behind=())
        places = await of.checked_out(self.branch) if tip and not is_new else []
        if update and tip:
            await of.bring(places, tip, tree, dry=True)
        made = await self._commit(git, tip, message, author, is_new=is_new)
        if update and tip:
            await of.bring(places, tip, made, dry=False)
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
        prefix = self.repository.prefix
        for path in {prefix + each.path for each in taken} & set(differ):
            asked = "cat-file", "--filters", f"{made}:{path}"
            found[path.removeprefix(prefix)] = await git.data(*asked, what="git lost a file")
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


def _git_at(repository: Repository, path: str) -> Git:
    """Git with a HEAD, an index and a work tree of ours, and all else of the repository's."""
    tree, index = os.path.join(path, "tree"), os.path.join(path, "index")
    git = Git(host=repository.host, directory=tree, env={"GIT_DIR": os.path.join(path, "git")})
    return git.at(tree, index)
