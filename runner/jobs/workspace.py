"""Workspaces: a directory for each attempt, made fresh from the batch's source.

    empty      an empty directory
    copy       a copy, with links as links, modes and times; without the output directory
    repo       a work tree with a detached HEAD at the batch's commit; it shares the objects of one
               clone that the batch keeps under OUT/.runner/repo.git, and has no remote
    in_place   the source itself: nothing is made, nothing is removed

A workspace is made under a name of its own and renamed when it is complete, so that what stands at
its place is whole. What an attempt that was cut has left there is removed first. Programs (git) run
through scopes; the clone's scope keeps its programs in order.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable

import trio

from runner.errors import ConfigError
from runner.jobs.bench import Bench
from runner.jobs.output import Output
from runner.jobs.plan import Plan

# What is made does not depend on how the user has set up git.
PLAIN_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
NO_QUESTIONS = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_CHECK_OUT = """
git init -q "$1" && printf '%s\\n' "$2" > "$1/.git/objects/info/alternates" &&
git -C "$1" -c advice.detachedHead=false checkout -q --detach "$3"
"""


async def find_revision(plan: Plan, bench: Bench) -> str | None:
    """The commit that the batch's ref means; None without a repository. Creates nothing.

    Raises:
        ConfigError: there is no such ref, or the repository cannot be reached.
    """
    source = plan.source
    if source.kind != "repo":
        return None
    scope = bench.scope(plan.base, env=NO_QUESTIONS)
    if source.is_url:
        argv = ["git", "ls-remote", "--exit-code", source.path, source.ref, f"{source.ref}^{{}}"]
        if _COMMIT.fullmatch(source.ref):
            return source.ref
    else:
        ref = f"{source.ref}^{{commit}}"
        argv = ["git", "-C", source.path, "rev-parse", "--verify", "--end-of-options", ref]
    done = await scope.exec(argv, timeout=60.0)
    if done.ok:
        lines = [line for line in done.stdout.splitlines() if _COMMIT.match(line)]
        if lines:
            return _COMMIT.match(lines[-1])[0]  # type: ignore[index]  # a tag's own comes first
    said = done.stderr.strip().splitlines()
    what = f"git finds no {source.ref!r} in {source.path!r}{f': {said[-1]}' if said else ''}"
    key = "ref" if source.ref != "HEAD" else "repo"
    raise ConfigError(plan.document.problem(("workspace", key), what))


SPARES = 64


class Workspaces:
    """Makes and removes the workspaces of one batch."""

    def __init__(self, plan: Plan, output: Output, bench: Bench, revision: str | None) -> None:
        self._source = plan.source
        self._output = output
        self._bench = bench
        self._revision = revision
        self._threads = trio.CapacityLimiter(2)  # copies compete for one disk
        self._cloning = trio.Lock()
        self._is_cloned = False
        self._mode = 0  # of a workspace as it is made
        self._spares = 0  # empty workspaces that can be used again
        self._parent = os.path.join(output.root, "work")

    @property
    def shared(self) -> str | None:
        """The one directory of all attempts; None if each has a workspace of its own."""
        return self._source.path if self._source.kind == "in_place" else None

    @property
    def readable(self) -> tuple[str, ...]:
        """What a workspace needs to see beside itself: the objects that it shares."""
        if self._source.kind == "repo":
            return (os.path.join(self._mirror, "objects"),)
        return ()

    async def make(self, job: str, attempt: int) -> str:
        """Make an attempt's workspace; its absolute path.

        Raises:
            OSError, ExecFailed: it could not be made.
        """
        path = self._output.workspace(job, attempt)
        part = f"{path}.part"
        if self._source.kind == "empty" and self._use_spare(path):
            return path
        await self._remove(path)
        if self._source.kind == "empty":
            os.makedirs(path)  # inline: shorter than a thread's hop
            self._mode = os.stat(path).st_mode
            return path
        await self._remove(part)
        if self._source.kind == "copy":
            await self._in_thread(lambda: self._copy(part))
        else:
            await self._check_out(part)
        os.rename(part, path)
        return path

    async def drop(self, job: str, attempt: int) -> None:
        """Remove an attempt's own workspace."""
        path = self._output.workspace(job, attempt)
        if self._source.kind == "empty" and self._spare(path):
            return
        await self._remove(path)
        await self._remove(f"{path}.part")

    async def _remove(self, path: str) -> None:
        try:
            os.rmdir(path)  # most often it is empty, or not there
        except FileNotFoundError:
            return
        except OSError:
            await self._in_thread(lambda: _remove_tree(path))

    async def _in_thread(self, work: Callable[[], object]) -> None:
        await trio.to_thread.run_sync(work, limiter=self._threads)

    # ------------------------------------------------------------ empty

    def _use_spare(self, path: str) -> bool:
        """Give an empty workspace a new name; making a directory can take a disk a millisecond."""
        if not self._spares:
            return False
        try:
            os.rename(self._spare_path(self._spares), path)
        except OSError:  # what a cut attempt has left is in the way
            return False
        self._spares -= 1
        return True

    def _spare(self, path: str) -> bool:
        """Keep a workspace that is as empty as it was made; whether it was."""
        if self._spares >= SPARES or os.stat(path).st_mode != self._mode or os.listdir(path):
            return False
        os.rename(path, self._spare_path(self._spares + 1))
        self._spares += 1
        return True

    def _spare_path(self, number: int) -> str:
        return os.path.join(self._output.hidden, f"spare-{number}")

    def close(self) -> None:
        """Remove what was kept for further use."""
        while self._spares:
            path = self._spare_path(self._spares)
            self._spares -= 1
            with contextlib.suppress(OSError):
                os.rmdir(path)
        with contextlib.suppress(OSError):
            os.rmdir(self._parent)  # if nothing is kept there

    # ------------------------------------------------------------ copy

    def _copy(self, target: str) -> None:
        """In a thread; between two files it notices that nobody wants it any more."""
        output = os.path.realpath(self._output.root)

        def ignore(directory: str, names: list[str]) -> list[str]:
            trio.from_thread.check_cancelled()
            return [name for name in names if _is_left_out(os.path.join(directory, name), output)]

        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copytree(self._source.path, target, symlinks=True, ignore=ignore)

    # ------------------------------------------------------------ repo

    async def _check_out(self, target: str) -> None:
        await self._clone()
        parent = os.path.dirname(target)
        os.makedirs(parent, exist_ok=True)
        objects = os.path.join(self._mirror, "objects")
        argv = ["sh", "-c", _CHECK_OUT, "sh", target, objects, self._revision or ""]
        scope = self._bench.scope(parent, env={**PLAIN_GIT, **NO_QUESTIONS})
        await scope.exec(argv, check=True)

    @property
    def _mirror(self) -> str:
        return os.path.join(self._output.hidden, "repo.git")

    async def _clone(self) -> None:
        """Make the clone that all work trees share, once; one that is there is whole."""
        async with self._cloning:
            if self._is_cloned:
                return
            part = f"{self._mirror}.part"
            await self._remove(part)
            self._is_cloned = _stands(self._mirror)
            if self._is_cloned:
                return
            scope = self._bench.scope(self._output.hidden, env=NO_QUESTIONS)
            argv = ["git", "clone", "-q", "--mirror", "--", self._source.path, part]
            await scope.exec(argv, check=True)
            os.rename(part, self._mirror)
            self._is_cloned = True


def _stands(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def _is_left_out(path: str, output: str) -> bool:
    """Our own output, and what is no file, directory or link: it has no content to copy."""
    mode = os.lstat(path).st_mode
    if stat.S_ISDIR(mode):
        return os.path.realpath(path) == output
    return not (stat.S_ISREG(mode) or stat.S_ISLNK(mode))


def _remove_tree(path: str) -> None:
    """Remove a tree; a directory that its owner may not write is made writable first."""

    def mend(function: Callable[..., object], name: str, _: object) -> None:
        parent = os.path.dirname(name)
        os.chmod(parent, 0o700)
        if os.path.isdir(name) and not os.path.islink(name):
            os.chmod(name, 0o700)
            shutil.rmtree(name, onerror=mend) if function is os.scandir else function(name)
        elif os.path.lexists(name):
            function(name)

    shutil.rmtree(path, onerror=mend)
