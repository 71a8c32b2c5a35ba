"""Effects on the content of local files, by descriptor; content is replaced whole or not at all.

Each function does the whole work, in whatever thread it is called: what is short is called in
trio's own (`NOW` decides, and says LATER for what may take long), the rest in a thread of ours.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from math import inf

from runner import messages as m
from runner.backends import files, records
from runner.backends.base import LATER, Later
from runner.backends.beneath import DIRECTORY, Names, fail
from runner.backends.editing import edited, edited_lines, require_mode, require_unchanged
from runner.backends.failures import failure, translate
from runner.backends.files import SMALL
from runner.backends.local.parents import Parents
from runner.backends.local.place import Place
from runner.backends.threads import here_first, is_over
from runner.errors import OperationError


def write(place: Place, message: m.Write) -> None:
    """Replace a file's content whole, or make the file and its parents."""
    with place.answers("write", message.path):
        directory, name, old = _file_to_write(place, "write", message.path)
        try:
            if message.expected is not None:
                require_unchanged("write", files.content_of(directory, name), message)
            files.put(directory, name, message.content, old, durable=message.durable)
        finally:
            os.close(directory)


def write_now(place: Place, message: m.Write) -> Later | None:
    """As `write`, if the content is small and need not be on the disk."""
    if message.durable or message.expected is not None or len(message.content) > SMALL:
        return LATER
    write(place, message)
    return None


def write_seen(
    place: Place,
    message: m.Write,
    see: Callable[[int, Names, os.stat_result | None], bool],
) -> Later | None:
    """As `write_now`, for who has to know what stands there before it is changed.

    Args:
        place: where.
        message: what to write.
        see: told of the open directory, the names, and the status of what stands there; whether
            to go on.

    Returns:
        LATER if nothing was done: `see` said so, a link is on the way, or no file can be there.
    """
    if message.durable or message.expected is not None or len(message.content) > SMALL:
        return LATER
    with place.answers("write", message.path):
        route = place.root.route("write", message.path)
        names = route.names
        if route.directory or not names or ".." in names:
            return LATER
        try:
            directory = place.root.open(make=True).open_names(names[:-1], DIRECTORY, follow=False)
        except OSError:
            return LATER
        try:
            old = files.status_of(directory, names[-1])
            if (old is not None and not files.is_regular(old)) or not see(directory, names, old):
                return LATER
            place.leftovers.sweep(directory)
            files.put(directory, names[-1], message.content, old)
        finally:
            os.close(directory)
    return None


def append(place: Place, message: m.Append) -> None:
    """Add to a file's end, or make the file and its parents."""
    with place.answers("append", message.path):
        directory, name = file_to_write(place, "append", message.path)
        try:
            files.append(directory, name, message.content)
        finally:
            os.close(directory)


def append_now(place: Place, message: m.Append) -> Later | None:
    """As `append`, if that is short."""
    if len(message.content) > SMALL:
        return LATER
    append(place, message)
    return None


def file_to_write(place: Place, op: str, path: str) -> tuple[int, str]:
    """The directory and the name of a file to write, through links; parents are made."""
    return _file_to_write(place, op, path)[:2]


def _file_to_write(place: Place, op: str, path: str) -> tuple[int, str, os.stat_result | None]:
    """The same, with the status of what stands there."""
    route = place.root.route(op, path)
    if route.directory:
        raise fail(errno.EISDIR)
    found = place.root.open(make=True).final(route.names, make=True)
    place.leftovers.sweep(found[0])
    return found


def edit(place: Place, message: m.Edit, most: int | None = None) -> int | Later:
    """Replace exact pieces of a file; how many were replaced. LATER if it has over `most` bytes."""
    return rewrite(place, "edit", message.path, lambda old: edited(old, message), most)


def edit_now(place: Place, message: m.Edit) -> int | Later:
    """As `edit`, if that is short."""
    return edit(place, message, SMALL - sum(len(each.new) for each in message.replacements))


def edit_lines(place: Place, message: m.EditLines, most: int | None = None) -> int | Later:
    """Replace lines that are named by number and hash; by how many lines the file has grown."""
    return rewrite(place, "edit_lines", message.path, lambda old: edited_lines(old, message), most)


def edit_lines_now(place: Place, message: m.EditLines) -> int | Later:
    """As `edit_lines`, if that is short."""
    return edit_lines(place, message, SMALL - sum(len(each.text) for each in message.changes))


def rewrite(
    place: Place,
    op: str,
    path: str,
    make: Callable[[bytes], tuple[bytes, int]],
    most: int | None = None,
) -> int | Later:
    """Replace a file's content by what is made of it; LATER if it has over `most` bytes."""
    with place.answers(op, path):
        route = place.root.route(op, path)
        if route.directory:
            raise fail(errno.EISDIR)
        directory, name = place.root.open(make=False).target(route.names)
        try:
            status = files.status_of(directory, name)
            if most is not None and status is not None and status.st_size > most:
                return LATER
            content, answer = make(files.read_entry(directory, name))
            files.replace(directory, name, content)
            return answer
        finally:
            os.close(directory)


def touch(place: Place, message: m.Touch) -> None:
    """Make an empty file, or say that it was modified now."""
    with place.answers("touch", message.path):
        directory, name = file_to_write(place, "touch", message.path)
        try:
            files.touch(directory, name, exist_ok=message.exist_ok)
        finally:
            os.close(directory)


def chmod(place: Place, message: m.Chmod) -> None:
    """Set the permission bits of a file or a directory, a link followed."""
    require_mode(message.path, message.mode, place.name)
    with place.answers("chmod", message.path):
        fd = place.root.open(make=False).open(place.root.route("chmod", message.path), os.O_PATH)
        try:
            os.chmod(f"/proc/self/fd/{fd}", message.mode)  # fchmod refuses an O_PATH descriptor
        finally:
            os.close(fd)


def mkdir(place: Place, message: m.Mkdir) -> None:
    """Make a directory and its parents."""
    with place.answers("mkdir", message.path):
        names = place.root.route("mkdir", message.path).names
        beneath = place.root.open(make=True)
        try:
            os.close(beneath.open_names(names, DIRECTORY))
        except FileNotFoundError:
            os.close(beneath.make(names))
        else:
            if not message.exist_ok:
                raise fail(errno.EEXIST)


async def upload(place: Place, message: m.Upload) -> tuple[m.Stored, ...]:
    """Write many files, each for itself."""
    stored: list[m.Stored] = []
    with Parents(place) as parents:

        def work(until: float) -> bool:
            for path, content in message.files[len(stored) :]:
                if is_over(until) or (len(content) > SMALL and until < inf):
                    return False
                stored.append(_stored(place, parents, path, content))
            return True

        await here_first(work)
    return tuple(stored)


def _stored(place: Place, parents: Parents, path: str, content: bytes) -> m.Stored:
    """Write a file, and say what became of that."""
    try:
        _upload(place, parents, path, content)
    except OSError as error:
        return m.Stored(path=path, error=failure(translate(error, "write", path, place.name)))
    except OperationError as error:
        return m.Stored(path=path, error=failure(error))
    return records.stored(path)


def _upload(place: Place, parents: Parents, path: str, content: bytes) -> None:
    found = parents.find(path)
    if found is not None:
        try:
            files.put(found.directory, found.name, content, found.old, owner=found.owner)
        except FileNotFoundError:  # the directory was removed meanwhile
            parents.forget()
        else:
            return
    write(place, m.Write(path=path, content=content))
