"""A live tree from a git ref: what is in it, and nothing else of the repository.

    ref ──rev-parse──► commit ──read-tree──► an index of our own ──checkout-index──► tree

The repository is only read: its index, its work tree and its hooks have no part in it. Files come
out as git checks them out, so line ends and filters (LFS) are as the repository and the user want
them. A submodule is an empty directory, as in every work tree of which they were not asked for.

The work is the git program's, which takes about the time of `git worktree add`.
"""

from __future__ import annotations

import os
import re
import shutil

import attrs

from runner.backends.threads import in_thread
from runner.errors import ExecFailed, WorkspaceError
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.workspaces.making import check_apart
from runner.workspaces.removing import clear
from runner.workspaces.ways import Made, Place, Way

PATIENCE = 60.0  # to name a commit: a repository may lie on a slow disk
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
# Programs that the repository's owner has set up for their own work, and files beside their index.
PLAIN = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false"),
    *("-c", "core.splitIndex=false", "-c", "core.sparseCheckout=false"),
)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@attrs.frozen(kw_only=True)
class Revision:
    """A commit of a repository.

    Attributes:
        repository: a directory of it, as it was given.
        directory: its git directory, absolute.
        commit: in full.
    """

    repository: str
    directory: str
    commit: str


async def find_revision(host: ProcessHost, repository: str, ref: str) -> Revision:
    """What a ref means; nothing is made.

    Args:
        host: runs git.
        repository: a directory in a work tree, or a bare repository.
        ref: a branch, a tag, a commit: whatever git takes for one.

    Raises:
        WorkspaceError: there is no such repository, or no such commit in it.
    """
    if not ref or "\0" in ref or "\n" in ref:
        raise WorkspaceError(f"{ref!r} is no git ref: name a branch, a tag or a commit")
    said = await _git(
        host, repository, "rev-parse", "--absolute-git-dir", what="git finds no repository"
    )
    wanted = f"{ref}^{{commit}}"
    arguments = "rev-parse", "--verify", "--end-of-options", wanted
    commit = await _git(host, repository, *arguments, what=f"git finds no {ref!r} in it")
    if not _COMMIT.fullmatch(commit):
        raise WorkspaceError(f"git says {commit!r} to {ref!r} in {repository!r}: no commit")
    return Revision(repository=repository, directory=said, commit=commit)


async def make_of_git(host: ProcessHost, revision: Revision, path: str) -> Made:
    """Make a live tree of a commit.

    Args:
        host: runs git.
        revision: the commit.
        path: the workspace's own directory; there may be one, without a tree.

    Raises:
        WorkspaceError: it cannot be made, and why; nothing is left of it.

    Cancellation: nothing is left of it.
    """
    place = Place.at(path)
    making = Place(path=place.making)

    def begin() -> None:
        check_apart(revision.repository, place.path)
        if os.path.lexists(place.tree):
            raise WorkspaceError(f"there is a live tree at {place.tree!r} already")
        os.makedirs(place.path, mode=0o700, exist_ok=True)
        clear(making.path)
        os.mkdir(making.path, 0o700)
        os.mkdir(making.tree)

    def complete() -> None:
        os.rename(making.tree, place.tree)
        clear(making.path)

    index = {"GIT_INDEX_FILE": os.path.join(making.path, "index"), "GIT_WORK_TREE": making.tree}
    env = {**index, "GIT_DIR": revision.directory}
    try:
        await in_thread(begin)
        for arguments in (
            ("read-tree", "--no-sparse-checkout", revision.commit),
            ("checkout-index", "--all", "--force", "--quiet"),
        ):
            await _git(host, making.tree, *arguments, env=env, what="git cannot check it out")
        await in_thread(complete)
    except OSError as error:
        clear(making.path)
        raise WorkspaceError(f"the workspace cannot be made: {error}") from error
    except BaseException:
        clear(making.path)  # here and not in a thread: it may be a cancellation
        raise
    why = f"copy: git has checked {revision.commit[:12]} out"
    return Made(way=Way.COPY, tree=place.tree, why=why)


async def _git(
    host: ProcessHost,
    directory: str,
    *arguments: str,
    what: str,
    env: dict[str, str] | None = None,
) -> str:
    """Run git; what it says, without the line's end."""
    if shutil.which("git") is None:
        raise WorkspaceError("a git ref needs the program git: install it, such as by apt-get")
    environment = base_environment(os.environ, extra={**NO_QUESTIONS, **(env or {})})
    argv = ["git", *PLAIN, *arguments]
    timeout = None if env else PATIENCE
    try:
        done = await host.run(argv, cwd=directory, env=environment, timeout=timeout)
    except ExecFailed as error:
        raise WorkspaceError(f"git cannot be run in {directory!r}: {error.reason}") from error
    if done.exit_code != 0:
        lines = done.err.data().decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"exit code {done.exit_code}"
        raise WorkspaceError(f"{what} ({directory!r}): {said}")
    return os.fsdecode(done.out.data()).rstrip("\n")
