"""What a job changed, as a patch in `git diff` form: for any bytes, for `git apply`.

The files that the turns say they touched are compared with the baseline: the workspace as it was
when the first turn began (after setup). Baselines are trees in a git directory of our own,
OUT/.runner/git, so the workspace needs no repository and the user's is not touched; its attributes
switch off everything that changes bytes (line ends, filters, encodings), and the user's git
configuration is not read. Files that the project's `.gitignore` names, and the baseline does not
have, are left out.

An empty workspace has the empty tree for a baseline, an unchanged copy or work tree the batch's
common one, which is made of the first workspace; only setup makes one per job. When no file was
touched, git is not run at all. Nothing here decides what an attempt came to.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Sequence

import trio

from runner.jobs.bench import Bench
from runner.jobs.output import Output
from runner.jobs.revisions import NO_QUESTIONS, PLAIN_GIT
from runner.scopes.scope import Scope
from runner.sessions.changes import Changes, Scanner

# Every git knows it: what `git hash-object -t tree /dev/null` says.
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

_CONFIG = """\
[core]
repositoryformatversion = 0
bare = true
fileMode = true
symlinks = true
autocrlf = false
excludesFile =
attributesFile =
compression = 1
[gc]
auto = 0
"""
_ATTRIBUTES = "* -text !eol -filter -ident !working-tree-encoding !diff\n"
_DIFF = (
    "diff",
    "--cached",
    "--binary",
    "--full-index",
    "--find-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_MOST = 1 << 26  # bytes of file names


class Patches:
    """Makes the patches of one batch."""

    def __init__(self, output: Output, bench: Bench) -> None:
        self._output = output
        self._bench = bench
        self._directory = os.path.join(output.hidden, "git")
        self._common: str | None = None
        self._making = trio.Lock()
        self._scans = trio.CapacityLimiter(2)
        self._is_begun = False

    def scanner(self, workspace: str) -> Scanner:
        """Finds out which files setup changes."""
        return Scanner(workspace, self._scans)

    async def common_baseline(self, workspace: str) -> str:
        """The tree of all fresh workspaces, made of the first one.

        Raises:
            OperationError: git failed.
        """
        async with self._making:
            if self._common is None:
                git = self._git(workspace, "common")
                try:
                    await git.run("add", "--all", ".")
                    self._common = await git.write_tree()
                finally:
                    git.close()
            return self._common

    async def baseline_after(self, common: str, workspace: str, job: str, changes: Changes) -> str:
        """The tree of a workspace after setup, which changed some files of the common one.

        Raises:
            OperationError: git failed.
        """
        pairs = [path for pair in changes.renamed for path in pair]
        paths = {*changes.created, *changes.modified, *changes.deleted, *pairs}
        if not paths:
            return common
        git = self._git(workspace, job)
        try:
            await git.run("read-tree", common)
            await git.take(workspace, {str(path) for path in paths})
            return await git.write_tree()
        finally:
            git.close()

    async def write(self, baseline: str, workspace: str, job: str, paths: Collection[str]) -> bool:
        """Write a job's patch for what was done to these files; whether there is one.

        Raises:
            OperationError, OSError: it could not be made.
        """
        target = self._output.patch(job)
        part = f"{target}.part"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        git = self._git(workspace, job)
        try:
            await git.run("read-tree", baseline)
            await git.take(workspace, paths)
            await git.run(*_DIFF, f"--output={part}", baseline)
        finally:
            git.close()
        return await self._put(part, target)

    async def keep(self, job: str, pieces: Iterator[bytes]) -> bool:
        """Write what is a patch already, in pieces that are made in a thread; whether it is one.

        Raises:
            WorkspaceError, OSError: it could not be made.
        """
        target = self._output.patch(job)
        part = f"{target}.part"

        def write() -> None:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(part, "wb") as file:
                file.writelines(pieces)

        await trio.to_thread.run_sync(write, limiter=self._scans)
        return await self._put(part, target)

    async def _put(self, part: str, target: str) -> bool:
        if await trio.to_thread.run_sync(_put, part, target, limiter=self._scans):
            return True
        _forget(target)
        return False

    def forget(self, job: str) -> None:
        """Remove a patch that an earlier attempt has left."""
        _forget(self._output.patch(job))

    def _git(self, workspace: str, name: str) -> _Git:
        if not self._is_begun:
            _begin(self._directory)
            self._is_begun = True
        index = os.path.join(self._directory, f"index-{name}")
        env = {
            **PLAIN_GIT,
            **NO_QUESTIONS,
            "GIT_DIR": self._directory,
            "GIT_WORK_TREE": workspace,
            "GIT_INDEX_FILE": index,
        }
        return _Git(self._bench.scope(workspace, env=env), index)


class _Git:
    """git with our directory on one workspace, with an index of its own."""

    def __init__(self, scope: Scope, index: str) -> None:
        self._scope = scope
        self._index = index
        self.close()  # what an attempt that was cut has left

    async def run(self, *args: str, data: bytes | None = None) -> str:
        argv = ["git", *args]
        done = await self._scope.exec(argv, input=data, max_output=_MOST, check=True)
        return done.stdout

    async def write_tree(self) -> str:
        return (await self.run("write-tree")).strip()

    async def take(self, workspace: str, paths: Collection[str]) -> None:
        """Put files as they are now into the index, and take those that are gone out of it."""
        usable = [path for path in sorted(paths) if _is_usable(workspace, path)]
        ignored = await self._ignored(usable)
        taken = [path for path in usable if path not in ignored]
        if taken:
            flags = ("--add", "--remove", "--replace", "-z", "--stdin")
            await self.run("update-index", *flags, data=_joined(taken))

    async def _ignored(self, paths: Sequence[str]) -> set[str]:
        if not paths:
            return set()
        argv = ["git", "check-ignore", "-z", "--stdin"]
        done = await self._scope.exec(argv, input=_joined(paths), max_output=_MOST)
        return set(done.stdout.split("\0")[:-1])  # exit code 1: none is

    def close(self) -> None:
        _forget(self._index)
        _forget(f"{self._index}.lock")


def _begin(directory: str) -> None:
    """Make our git directory, as gitrepository-layout(5) has it; again, if it was cut."""
    for name in ("objects/info", "objects/pack", "refs/heads", "info"):
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    for name, text in (
        ("config", _CONFIG),
        ("info/attributes", _ATTRIBUTES),
        ("HEAD", "ref: refs/heads/none\n"),
    ):
        with open(os.path.join(directory, name), "w") as file:
            file.write(text)


def _is_usable(workspace: str, path: str) -> bool:
    """Whether git takes such a path: no `.git` in it, and a file, a link or nothing at it."""
    if ".git" in path.lower().split("/"):
        return False
    try:
        mode = os.lstat(os.path.join(workspace, path)).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return True
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _joined(paths: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(path) + b"\0" for path in paths)


def _put(part: str, target: str) -> bool:
    """Make a patch durable at its place, unless it is empty."""
    with open(part, "rb+") as file:
        is_empty = file.seek(0, os.SEEK_END) == 0
        os.fsync(file.fileno())
    if is_empty:
        os.unlink(part)
    else:
        os.replace(part, target)
    return not is_empty


def _forget(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
