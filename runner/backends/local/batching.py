"""Many effects, all or none: each is preceded by what undoes it.

Model. Before an effect, what it will replace or take away is kept: a file or a link by a second
hard link under a temporary name, a tree by renaming it there instead of removing it. If an effect
fails, or the asker leaves, the undoings are carried out in reverse; else what was kept is removed.

What this does not do: survive the death of this process. Then the effects so far stay, and what
they replaced is left under its temporary name (`files.TEMPORARY`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from runner import messages as m
from runner.backends import files, trees
from runner.backends.beneath import DIRECTORY, MAX_LINKS, Beneath, Names
from runner.backends.files import SMALL
from runner.backends.local import changing, moving
from runner.backends.local.parents import Parents
from runner.backends.local.place import Place
from runner.backends.syscalls import RENAME_EXCHANGE, RENAME_NOREPLACE, renameat2
from runner.backends.threads import here_first, is_over
from runner.errors import OperationError
from runner.messages import Message

EFFECTS: dict[type[Message[Any]], Callable[[Place, Any], object]] = {
    m.Write: changing.write,
    m.Append: changing.append,
    m.Edit: changing.edit,
    m.EditLines: changing.edit_lines,
    m.Touch: changing.touch,
    m.Mkdir: changing.mkdir,
    m.Chmod: changing.chmod,
    m.Copy: moving.copy,
    m.Move: moving.move,
    m.Remove: moving.remove,
}


async def batch(place: Place, message: m.Batch) -> tuple[object, ...]:
    """Carry effects out one after the other, all or none; their answers."""
    past = _Past(place)
    answers: list[object] = []

    def work(until: float) -> bool:
        most = SMALL if until < inf else None
        try:
            for effect in message.effects[len(answers) :]:
                if is_over(until):
                    return False
                if past.write(effect, most):
                    answers.append(None)
                elif until < inf:
                    return False
                else:
                    answers.append(past.carry_out(effect))
        except BaseException as error:
            past.undo()
            if isinstance(error, OperationError):
                number = len(answers) + 1
                error.reason = f"{error.reason}; it was effect {number} of a batch: all are undone"
            raise
        past.forget()
        return True

    try:
        await here_first(work)
    except BaseException:
        past.undo()  # if the asker has left before the thread was there
        raise
    return tuple(answers)


class _Past:
    """What undoes the effects so far."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._stack = contextlib.ExitStack()
        self._parents = self._stack.enter_context(Parents(place, hold=True))
        self._can_exchange = True
        self._undo: list[Callable[[], None]] = []
        self._forget: list[Callable[[], None]] = []

    def undo(self) -> None:
        """Put everything back; what cannot be put back is left as it is."""
        while self._undo:
            with contextlib.suppress(OSError):
                self._undo.pop()()
        self._stack.close()

    def forget(self) -> None:
        """Remove what was kept: from here on it has happened."""
        self._undo.clear()
        for each in self._forget:
            try:
                each()
            except OSError:  # it stays under its temporary name, which is never shown
                continue
        self._stack.close()

    def carry_out(self, effect: m.FileEffect) -> object:
        """Keep what an effect will change, then carry it out."""
        try:
            return self._carry_out(effect)
        finally:
            self._parents.forget()  # a directory may be another now

    def _carry_out(self, effect: m.FileEffect) -> object:
        match effect:
            case m.Move():
                self._move(effect)
                return None
            case m.Remove(recursive=True) if (found := self._tree(effect)) is not None:
                self._put_aside(*found)
                return None
            case m.Append(path=path):
                # Appending works on the file itself, which the kept link would share.
                self._keep(path, follow=True)
                self._append(effect)
                return None
            case m.Copy(target=path):
                self._keep(path, follow=False)
            case m.Remove(path=path):
                self._keep(path, follow=False)
            case _:
                self._keep(effect.path, follow=True)
        return EFFECTS[type(effect)](self._place, effect)

    def write(self, effect: m.FileEffect, most: int | None) -> bool:
        """Write a file whose directory is there, and know how to undo it; False: it is not done.

        What stood there is exchanged for the new file: so it is kept, and replaced in one step.

        Args:
            effect: any; done is what writes, and needs no look at the old content.
            most: bytes that may be written; None = any number.
        """
        if type(effect) is not m.Write or effect.durable or effect.expected is not None:
            return False
        if (most is not None and len(effect.content) > most) or not self._can_exchange:
            return False
        found = self._parents.find(effect.path)
        if found is None:
            return False
        directory, name, old = found.directory, found.name, found.old
        try:
            draft = files.drafted(directory, name, effect.content, old, owner=found.owner)
        except OSError:
            return False
        try:
            renameat2(
                directory,
                draft,
                directory,
                name,
                RENAME_NOREPLACE if old is None else RENAME_EXCHANGE,
            )
        except OSError as error:
            os.unlink(draft, dir_fd=directory)
            self._can_exchange = error.errno in {errno.ENOENT, errno.EEXIST}
            return False
        if old is None:
            self._undo.append(
                partial(trees.remove_tree, directory, name, may_breathe=False, missing_ok=True)
            )
        else:
            self._undo.append(partial(_rename, directory, draft, name))
            self._forget.append(partial(_drop, directory, draft, name))
        return True

    def _append(self, effect: m.Append) -> None:
        place, path = self._place, effect.path
        try:
            changing.rewrite(place, "append", path, lambda old: (old + effect.content, 0))
        except OperationError:
            changing.append(place, effect)  # it is not there, or says itself why not

    def _move(self, effect: m.Move) -> None:
        self._keep(effect.target, follow=False)
        source = self._entry(effect.source, follow=False)
        moving.move(self._place, effect)
        target = self._entry(effect.target, follow=False)
        if source is not None and target is not None:
            (old, old_name), (new, new_name) = source, target
            self._undo.append(lambda: _put_back(new, new_name, old, old_name))

    # ------------------------------------------------------------ what is kept

    def _entry(self, path: str, *, follow: bool) -> tuple[int, str] | None:
        """The open directory and the name of an entry; None if there is none to keep.

        Then it or its directory is missing, or the path is a bad one, as the effect will say.
        """
        beneath = self._place.root.open(make=True)
        try:
            names = self._place.root.route("batch", path).names
            try:
                fd, name = beneath.target(names) if follow else beneath.parent(names)
            except FileNotFoundError:
                self._undo_parents(beneath, names)
                return None
        except (OSError, OperationError):
            return None
        self._stack.callback(os.close, fd)
        return fd, name

    def _undo_parents(self, beneath: Beneath, names: Names) -> None:
        """Undo what an effect will make below the deepest directory that is there."""
        for _ in range(MAX_LINKS):
            near, depth = beneath.nearest(names[:-1])
            if depth < len(names) - 1:
                self._stack.callback(os.close, near)
                self._undo.append(partial(_remove_made, near, names[depth:]))
                return
            # The directory is there: it is a link that leads to where none is.
            try:
                text = os.readlink(names[-1], dir_fd=near)
            finally:
                os.close(near)
            names = (*names[:-1], *(each for each in text.split("/") if each not in {"", "."}))

    def _tree(self, effect: m.Remove) -> tuple[int, str] | None:
        found = self._entry(effect.path, follow=False)
        if found is None:
            return None
        status = files.status_of(*found)
        return found if status is not None and stat.S_ISDIR(status.st_mode) else None

    def _put_aside(self, directory: int, name: str) -> None:
        aside = files.temporary_name()
        os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
        self._undo.append(lambda: _put_back(directory, aside, directory, name))
        self._forget.append(lambda: trees.remove_tree(directory, aside, may_breathe=False))

    def _keep(self, path: str, *, follow: bool) -> None:
        """Keep what stands at a path, or that nothing does."""
        found = self._entry(path, follow=follow)
        if found is None:
            return
        directory, name = found
        status = files.status_of(directory, name)
        if status is None:
            self._undo.append(lambda: trees.remove_tree(directory, name, missing_ok=True))
        elif stat.S_ISDIR(status.st_mode):
            self._undo.append(lambda: _directory_again(directory, name, status))
        else:
            kept = files.temporary_name()
            _link(directory, name, kept)
            self._undo.append(lambda: _as_before(directory, kept, name, status))
            self._forget.append(lambda: os.unlink(kept, dir_fd=directory))


def _rename(directory: int, name: str, new: str) -> None:
    os.rename(name, new, src_dir_fd=directory, dst_dir_fd=directory)


def _drop(directory: int, kept: str, name: str) -> None:
    """Remove what a file was exchanged for."""
    try:
        os.unlink(kept, dir_fd=directory)
    except IsADirectoryError:
        # Somebody else put a directory in the place of the file, right before the exchange: that
        # came after our effect then.
        renameat2(directory, kept, directory, name, RENAME_EXCHANGE)
        os.unlink(kept, dir_fd=directory)


def _put_back(directory: int, name: str, into: int, old: str) -> None:
    trees.rename(directory, name, into, old, overwrite=False)


def _link(directory: int, name: str, kept: str) -> None:
    """A second name for a file or a link; a copy where the system allows no link."""
    try:
        os.link(name, kept, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
    except PermissionError:  # somebody else's file: fs.protected_hardlinks
        trees.copy_entry(directory, name, directory, kept)


def _as_before(directory: int, kept: str, name: str, status: os.stat_result) -> None:
    os.rename(kept, name, src_dir_fd=directory, dst_dir_fd=directory)
    if os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino != status.st_ino:
        return  # a copy: its times are not those of the old one anyway
    with contextlib.suppress(FileNotFoundError):  # rename(2) of two names of one file does nothing
        os.unlink(kept, dir_fd=directory)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)
    if not stat.S_ISLNK(status.st_mode):
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=directory)


def _directory_again(directory: int, name: str, status: os.stat_result) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=directory)
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=directory)
    times = (status.st_atime_ns, status.st_mtime_ns)
    os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)


def _remove_made(near: int, names: Names) -> None:
    """Remove the last name, then the directories above it that are empty."""
    for depth in range(len(names) - 1, -1, -1):
        try:
            fd = near if depth == 0 else os.open("/".join(names[:depth]), DIRECTORY, dir_fd=near)
        except OSError:
            continue
        try:
            if depth == len(names) - 1:
                trees.remove_tree(fd, names[depth], may_breathe=False, missing_ok=True)
            else:
                os.rmdir(names[depth], dir_fd=fd)
        finally:
            if fd != near:
                os.close(fd)
