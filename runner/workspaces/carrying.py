"""Steps carried out in a real tree, by descriptors, as often as it takes.

Model. Each step looks at what is there, and does what is left to do: so steps that were cut off are
carried out again from the first one. Directories are opened one from the other, by one name each,
and links never followed: what is written lands in the tree or nowhere.

Whoever calls this has the right to the tree. A program that works in it all the same may put
something in the way: what stands where a directory is needed, and is none, is replaced by one, and
that is said (`mended`), since what should be in it is not.

What this does not do: decide; make contents ready (staging.py).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable
from typing import assert_never

import attrs

from runner.backends.beneath import Names
from runner.backends.descent import Descent
from runner.backends.files import status_of, sync_directory
from runner.backends.trees import remove_tree
from runner.workspaces.listing import MODES
from runner.workspaces.planning import (
    ENTERED,
    Loosen,
    MakeDirectory,
    Put,
    Remove,
    SetMode,
    Step,
)
from runner.workspaces.rights import loosen, set_mode
from runner.workspaces.staging import Staging, duplicate

# Nothing is there, or not in that directory: it is a file or a link now.
NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_IN_THE_WAY = {errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST}


@attrs.define(eq=False)
class Carrier:
    """Carries steps out in an open tree.

    Attributes:
        left: directories that were to go, and have something in them that nobody knows of.
        mended: where something else stood in the place of a directory.
    """

    tree: int
    staging: Staging
    left: list[Names] = attrs.field(factory=list)
    mended: list[Names] = attrs.field(factory=list)
    _at: Descent = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Stand at the top."""
        self._at = Descent(self.tree)

    def carry_out(self, steps: Iterable[Step]) -> None:
        """All of them, in their order."""
        try:
            for step in steps:
                self._one(step)
        finally:
            self._at.close()

    def sync(self, steps: Iterable[Step]) -> None:
        """Let what was done outlast a power failure."""
        try:
            for names in {step.names[:-1] for step in steps}:
                directory = self._found(names)
                if directory is not None:
                    sync_directory(directory)
        finally:
            self._at.close()

    def disturbed(self, steps: Iterable[Step]) -> list[Names]:
        """What is not as the steps, all carried out, have made it: somebody else is at work there.

        Contents are not looked at, nor what is in a directory that is shut by now.
        """
        found = []
        try:
            for step in steps:
                with contextlib.suppress(PermissionError):
                    if not self._is_so(step):
                        found.append(step.names)
        finally:
            self._at.close()
        return found

    def _is_so(self, step: Step) -> bool:
        there = self._status(step.names)
        is_directory = there is not None and stat.S_ISDIR(there[1].st_mode)
        match step:
            case Loosen():
                return True
            case Remove():
                is_gone = there is None or is_directory is not step.directory
                return is_gone or step.names in self.left
            case MakeDirectory():
                return is_directory
            case Put():
                return there is not None and not is_directory
            case SetMode():
                return (
                    there is not None
                    and is_directory is step.directory
                    and there[1].st_mode & MODES == step.mode & MODES
                )
            case _:
                assert_never(step)

    def _one(self, step: Step) -> None:
        match step:
            case Loosen():
                self._loosen(step.names)
            case Remove():
                self._remove(step.names, directory=step.directory)
            case MakeDirectory():
                self._make(step.names)
            case Put():
                self._put(step.names, str(step.number))
            case SetMode():
                self._set_mode(step)
            case _:
                assert_never(step)

    # ------------------------------------------------------------ where

    def _found(self, names: Names) -> int | None:
        """The directory at names; None if there is none."""
        try:
            return self._at.go(names)
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise
            return None

    def _entered(self, names: Names) -> int:
        """The directory at names, which is made if it is not there."""
        directory = self._found(names)
        if directory is not None:
            return directory
        missing = next(
            depth for depth in range(1, len(names) + 1) if self._found(names[:depth]) is None
        )
        if not any(names[: len(each)] == each for each in self.mended):
            self.mended.append(names[:missing])
        for depth in range(missing, len(names) + 1):
            self._make(names[:depth])
        return self._at.go(names)

    def _status(self, names: Names) -> tuple[int, os.stat_result] | None:
        """The directory that has it, and its status; None if it is not there."""
        directory = self._found(names[:-1])
        if directory is None:
            return None
        status = status_of(directory, names[-1])
        return None if status is None else (directory, status)

    # ------------------------------------------------------------ what

    def _loosen(self, names: Names) -> None:
        found = self._status(names)
        if found is not None and stat.S_ISDIR(found[1].st_mode):
            loosen(found[0], names[-1], found[1])

    def _remove(self, names: Names, *, directory: bool) -> None:
        found = self._status(names)
        if found is None or stat.S_ISDIR(found[1].st_mode) is not directory:
            return  # it is what it is to become already
        if not directory:
            os.unlink(names[-1], dir_fd=found[0])
            return
        try:
            os.rmdir(names[-1], dir_fd=found[0])
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            if not self._cleared(names):
                self.left.append(names)

    def _cleared(self, names: Names) -> bool:
        """Remove a directory in which there are only sockets, which nobody keeps."""
        fd = self._at.open(names, os.O_RDONLY)
        try:
            for name in os.listdir(fd):
                status = status_of(fd, name)
                if status is not None and not stat.S_ISSOCK(status.st_mode):
                    return False
                os.unlink(name, dir_fd=fd)
        finally:
            os.close(fd)
        os.rmdir(names[-1], dir_fd=self._at.go(names[:-1]))
        return True

    def _make(self, names: Names) -> None:
        above = self._entered(names[:-1])
        try:
            os.mkdir(names[-1], ENTERED, dir_fd=above)
        except FileExistsError:
            status = status_of(above, names[-1])
            if status is not None and stat.S_ISDIR(status.st_mode):
                loosen(above, names[-1], status)
                return
            os.unlink(names[-1], dir_fd=above)
            os.mkdir(names[-1], ENTERED, dir_fd=above)

    def _put(self, names: Names, number: str) -> None:
        ready = status_of(self.staging.fd, number)
        if ready is None:
            return  # it is in its place already
        above, name = self._entered(names[:-1]), names[-1]
        old = status_of(above, name)
        if old is not None and (old.st_uid, old.st_gid) != (ready.st_uid, ready.st_gid):
            with contextlib.suppress(PermissionError):  # what replaces a file is whose that was
                os.chown(
                    number, old.st_uid, old.st_gid, dir_fd=self.staging.fd, follow_symlinks=False
                )
        if old is not None and stat.S_ISDIR(old.st_mode):
            remove_tree(above, name, may_breathe=False, missing_ok=True)
        self._rename(number, above, name)

    def _rename(self, number: str, above: int, name: str) -> None:
        ready = self.staging.fd
        try:
            os.rename(number, name, src_dir_fd=ready, dst_dir_fd=above)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
        # Another mount is here: a copy is put in its place, under a name that only this act has.
        copy = self.staging.name
        remove_tree(above, copy, may_breathe=False, missing_ok=True)
        uninterrupted(lambda: duplicate(ready, number, above, copy))
        os.rename(copy, name, src_dir_fd=above, dst_dir_fd=above)
        os.unlink(number, dir_fd=ready)

    def _set_mode(self, step: SetMode) -> None:
        found = self._status(step.names)
        if found is not None and stat.S_ISDIR(found[1].st_mode) is step.directory:
            set_mode(found[0], step.names[-1], step.mode)


def uninterrupted(work: Callable[[], None]) -> None:
    """Do what a cancelled caller must not leave half done: in a thread that is nobody's."""
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(work).result()
