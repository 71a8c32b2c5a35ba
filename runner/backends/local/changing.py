"""Effects on the content of local files, by descriptor; content is replaced whole or not at all."""

from __future__ import annotations

import errno
import os

from runner import messages as m
from runner.backends import files
from runner.backends.base import LATER, Later
from runner.backends.beneath import DIRECTORY, fail
from runner.backends.editing import edited
from runner.backends.files import SMALL
from runner.backends.local.place import Place
from runner.backends.threads import in_thread


def write_now(place: Place, message: m.Write) -> Later | None:
    """Replace a file's content, if that is small and need not be on the disk."""
    if message.durable or len(message.content) > SMALL:
        return LATER
    with place.answers("write", message.path):
        directory, name = _file(place, "write", message.path)
        try:
            files.replace(directory, name, message.content)
        finally:
            os.close(directory)
    return None


async def write(place: Place, message: m.Write) -> None:
    """Replace a file's content whole, or make the file and its parents."""
    with place.answers("write", message.path):
        directory, name = _file(place, "write", message.path)
        try:
            await in_thread(
                lambda: files.replace(directory, name, message.content, durable=message.durable)
            )
        finally:
            os.close(directory)


async def append(place: Place, message: m.Append) -> None:
    """Add to a file's end, or make the file and its parents."""
    with place.answers("append", message.path):
        directory, name = _file(place, "append", message.path)
        try:
            if len(message.content) <= SMALL:
                files.append(directory, name, message.content)
            else:
                await in_thread(lambda: files.append(directory, name, message.content))
        finally:
            os.close(directory)


def _file(place: Place, op: str, path: str) -> tuple[int, str]:
    """The directory and the name of a file to write, through links; parents are made."""
    route = place.root.route(op, path)
    if route.directory:
        raise fail(errno.EISDIR)
    return place.root.open(make=True).target(route.names, make=True)


async def mkdir(place: Place, message: m.Mkdir) -> None:
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


async def edit(place: Place, message: m.Edit) -> int:
    """Replace an exact piece of a file; how many times it was replaced."""
    with place.answers("edit", message.path):
        route = place.root.route("edit", message.path)
        if route.directory:
            raise fail(errno.EISDIR)
        directory, name = place.root.open(make=False).target(route.names)
        try:

            def work() -> int:
                old = files.read_entry(directory, name)
                content, count = edited(old, message, scope=place.name)
                files.replace(directory, name, content)
                return count

            status = files.status_of(directory, name)
            if status is None or status.st_size + len(message.new) <= SMALL:
                return work()
            return await in_thread(work)
        finally:
            os.close(directory)
