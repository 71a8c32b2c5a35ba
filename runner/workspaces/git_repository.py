"""A repository of the user's: which branch is meant, and where it is checked out."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from runner.errors import CommitError
from runner.processes.host import ProcessHost
from runner.workspaces.git_program import Git
from runner.workspaces.records import Base


@attrs.define(eq=False, kw_only=True)
class Repository:
    """The repository that a base is, or lies in; `find` comes first.

    Attributes:
        host: runs git.
        base: of the workspace.
        prefix: where in the repository the base is, with a slash at its end; empty = at the top.
        common: the directory that has its objects and branches, absolute.
    """

    host: ProcessHost
    base: Base
    prefix: str = ""
    common: str = ""

    @property
    def plain(self) -> Git:
        """Git, where the user has the repository: only to look."""
        return Git(host=self.host, directory=self.base.path)

    async def find(self) -> None:
        """Find the repository.

        Raises:
            CommitError: there is none.
        """
        where = self.base.path
        what = f"git finds no repository at {where!r}"
        git = self.plain
        asked = "rev-parse", "--path-format=absolute", "--git-common-dir"
        self.common = await git.text(*asked, what=what)
        if self.base.kind != "git":  # a git ref is checked out from the top
            self.prefix = await git.text("rev-parse", "--show-prefix", what=what)

    async def choose(self, branch: str | None) -> str:
        """The branch that is meant.

        Raises:
            CommitError: there can be none of that name, or none is checked out.
        """
        git = self.plain
        if branch is not None:
            if branch.startswith("-") or "\0" in branch or "\n" in branch:
                raise CommitError(f"no branch can be called {branch!r}")
            if await git.ask("check-ref-format", "--branch", branch) != branch:
                raise CommitError(f"no branch can be called {branch!r}")
            return branch
        ref = self.base.ref.removeprefix("refs/heads/")
        if ref and ref != "HEAD" and await self.tip(ref) is not None:
            return ref
        found = await git.ask("symbolic-ref", "--quiet", "HEAD")
        if found is None or not found.startswith("refs/heads/"):
            what = f"no branch is checked out in {self.base.path!r} (HEAD is detached)"
            raise CommitError(f"{what}: name one, `branch=…`")
        return found.removeprefix("refs/heads/")

    async def tip(self, branch: str) -> str | None:
        """The commit that a branch is; None if there is no such branch."""
        asked = "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}"
        return await self.plain.ask(*asked)

    # ------------------------------------------------------------ where it is checked out

    async def checked_out(self, branch: str) -> list[str]:
        """The work trees that have the branch."""
        words = "worktree", "list", "--porcelain", "-z"
        said = await self.plain.ask(*words) or ""
        found, where = [], ""
        for line in said.split("\0"):
            if line.startswith("worktree "):
                where = line.removeprefix("worktree ")
            elif line == f"branch refs/heads/{branch}" and where:
                found.append(where)
        return found

    async def bring(self, places: Sequence[str], old: str, new: str, *, dry: bool) -> None:
        """Bring work trees along; what was changed there and is not in the commit stays."""
        for each in places:
            git = Git(host=self.host, directory=each)
            await git.ask("update-index", "-q", "--refresh")
            only = ["--dry-run"] if dry else []
            what = f"the files in {each!r} cannot be brought along"
            await git.data("read-tree", *only, "-m", "-u", old, new, what=what)
