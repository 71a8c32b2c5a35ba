"""A directory for each attempt, made fresh from the batch's source.

    empty      an empty directory
    copy       a copy, with links as links, modes and times; without the output directory
    repo       a work tree with a detached HEAD at the batch's commit; it shares the objects of one
               clone that the batch keeps under OUT/.runner/repo.git, and has no remote
    in_place   the source itself: nothing is made, nothing is removed

A directory is made under a name of its own and renamed when it is complete, so that what stands at
its place is whole. What an attempt that was cut has left there is removed first. Programs (git) run
through scopes; the clone's scope keeps its programs in order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Callable

import attrs
import trio

from runner.jobs.bench import Bench
from runner.jobs.directory import Directory
from runner.jobs.output import Output
from runner.jobs.patch import EMPTY_TREE, Patches
from runner.jobs.plan import Plan
from runner.jobs.revisions import NO_QUESTIONS, PLAIN_GIT
from runner.jobs.workplace import Kept, Stays
from runner.messages.isolation import Decided

_CHECK_OUT = """
git init -q "$1" && printf '%s\\n' "$2" > "$1/.git/objects/info/alternates" &&
git -C "$1" -c advice.detachedHead=false checkout -q --detach "$3"
"""

SPARES = 64


class Directories:
    """Makes and removes the directories of one batch; its `Workplaces`."""

    def __init__(
        self, plan: Plan, output: Output, bench: Bench, patches: Patches, revision: str | None
    ) -> None:
        self._plan, self._source = plan, plan.source
        self._output = output
        self._bench = bench
        self._patches = patches
        self._revision = revision
        self._threads = trio.CapacityLimiter(2)  # copies compete for one disk
        self._cloning = trio.Lock()
        self._is_cloned = False
        self._mode = 0  # of a directory as it is made
        self._spares = 0  # empty directories that can be used again
        self._parent = os.path.join(output.root, "work")

    @property
    def is_shared(self) -> bool:
        """Whether all attempts work in the source itself."""
        return self._source.kind == "in_place"

    async def make(self, job: str, attempt: int, decided: Decided) -> Directory:
        """Make an attempt's directory.

        Raises:
            OSError, OperationError: it could not be made.
        """
        if self.is_shared:
            return self._directory(self._source.path, job, None, decided)
        path = await self._make(job, attempt)
        if self._source.kind == "empty":
            baseline = EMPTY_TREE
        else:
            baseline = await self._patches.common_baseline(path)
        return self._directory(path, job, baseline, decided)

    def _directory(self, path: str, job: str, baseline: str | None, decided: Decided) -> Directory:
        isolation = self._plan.isolation
        if isolation is not None and self._source.kind == "repo":  # it shares the clone's objects
            objects = os.path.join(self._mirror, "objects")
            isolation = attrs.evolve(isolation, readable=(*isolation.readable, objects))
        scope = self._bench.scope(
            path, env=self._plan.batch.env, isolation=isolation, decided=decided
        )
        return Directory(scope=scope, path=path, job=job, patches=self._patches, baseline=baseline)

    async def _make(self, job: str, attempt: int) -> str:
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

    async def keep(self, job: str, attempt: int) -> Kept | None:
        """Where an attempt's directory stays."""
        if self.is_shared:
            return None
        return Kept(path=self._output.relative(self._output.workspace(job, attempt)))

    async def drop(self, job: str, attempt: int) -> None:
        """Remove an attempt's own directory."""
        if self.is_shared:
            return
        path = self._output.workspace(job, attempt)
        if self._source.kind == "empty" and self._spare(path):
            return
        await self._remove(path)
        await self._remove(f"{path}.part")

    async def sweep(self, stays: Stays) -> None:
        """Remove the directories that a run was killed before it could remove."""
        try:
            left = os.listdir(self._parent)
        except FileNotFoundError:
            return
        for name in left:
            job, _, attempt = name.removesuffix(".part").rpartition(".")
            if attempt.isdecimal() and not stays(job, int(attempt)):
                await self._remove(os.path.join(self._parent, name))

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
