"""Copy, move and remove in a composite.

Within one member, the member does it. From one to another, everything is copied to a temporary name
beside the target, renamed there (so that it appears whole, and the target's member decides what may
replace what), and for a move then removed at the source. If that fails or is cancelled before the
rename, nothing has happened; if removing the source fails, the copy stays and the error says so.

A route's own top, and what contains one, can be copied; it can be neither moved, removed nor
replaced. Links, pipes and the like cannot go from one member to another: refused, before anything
is changed.
"""

from __future__ import annotations

import contextlib
import errno
import posixpath
from collections.abc import Iterator

import attrs
import trio

from runner import messages as m
from runner.backends.beneath import Names
from runner.backends.composite.junction import Junction
from runner.backends.composite.listing import tree
from runner.backends.composite.parts import names_of, stands
from runner.backends.composite.routes import Route, Spot
from runner.backends.files import temporary_name
from runner.errors import InvalidPath, OperationError, WrongType
from runner.messages import AnswerT, Message
from runner.operations import Operations

SMALL = 1 << 20  # bytes of a file that are carried at once
CLOSING = 30.0  # seconds for taking back what was copied, or removing what was moved
EVERYTHING = 1 << 40  # entries


async def remove(place: Junction, message: m.Remove) -> None:
    """Remove a file, an empty directory, or a tree of one member."""
    spot = place.spot("remove", message.path)
    place.require_movable("remove", message.path, spot)
    inner = attrs.evolve(message, path=spot.path)
    await place.ask(spot.route, inner, {spot.path: message.path})


async def copy(place: Junction, message: m.Copy) -> None:
    """Copy a file or a tree to a new path."""
    source, target = _spots(place, "copy", message)
    if not _is_crossing(place, source, target):
        inner = attrs.evolve(message, source=source.path, target=target.path)
        await place.ask(source.route, inner, _written(message, source, target))
        return
    await _Transfer(place, "copy", message, source, target).run()


async def move(place: Junction, message: m.Move) -> None:
    """Rename a file or a tree; from one member to another, copy it and remove it."""
    source, target = _spots(place, "move", message)
    place.require_movable("move", message.source, source)
    if source.route is target.route:
        inner = attrs.evolve(message, source=source.path, target=target.path)
        await place.ask(source.route, inner, _written(message, source, target))
        return
    await _Transfer(place, "move", message, source, target).run()
    with trio.move_on_after(CLOSING, shield=True) as cancel_scope:
        await _remove_source(place, message, source)
    if cancel_scope.cancelled_caught:
        what = f"copied whole, but it was not removed within {CLOSING} seconds"
        hint = "remove it"
        raise OperationError("move", message.source, what, scope=place.name, hint=hint)


async def _remove_source(place: Junction, message: m.Move, source: Spot) -> None:
    inner = m.Remove(path=source.path, recursive=True)
    try:
        await place.ask(source.route, inner, {source.path: message.source})
    except OperationError as error:
        error.op = "move"
        error.reason = f"copied whole, but it could not be removed: {error.reason}"
        raise


def _spots(place: Junction, op: str, message: m.Copy | m.Move) -> tuple[Spot, Spot]:
    source, target = place.spot(op, message.source), place.spot(op, message.target)
    place.require_movable(op, message.target, target)
    return source, target


def _is_crossing(place: Junction, source: Spot, target: Spot) -> bool:
    return source.route is not target.route or place.routes.is_standing(source.names)


def _written(message: m.Copy | m.Move, source: Spot, target: Spot) -> dict[str, str]:
    return {target.path: message.target, source.path: message.source}


@attrs.frozen(eq=False)
class _Member(Operations):
    """A member, with the methods of all operations."""

    place: Junction
    route: Route

    @property
    def name(self) -> str:
        """What errors call it."""
        return self.place.name

    async def ask(self, message: Message[AnswerT], /) -> AnswerT:
        """Ask the member."""
        return await self.place.ask(self.route, message)


@attrs.frozen
class _Piece:
    """A file or a directory, by its names from the source."""

    names: Names
    mode: int


@attrs.frozen
class _Transfer:
    """A copy from one member to another."""

    place: Junction
    op: str
    message: m.Copy | m.Move
    source: Spot
    target: Spot

    async def run(self) -> None:
        """Copy to a temporary name beside the target, then rename that."""
        self._require_apart()
        with self._about(self.message.source):
            files, directories = await self._plan()
        with self._about(self.message.target):
            if not self.message.overwrite:
                await self._require_free()
            stage = posixpath.join(
                posixpath.dirname(self.target.path.rstrip("/")), temporary_name()
            )
            try:
                await self._fill(stage, files, directories)
                rename = m.Move(
                    source=stage, target=self.target.path, overwrite=self.message.overwrite
                )
                written = dict.fromkeys((stage, self.target.path), self.message.target)
                await self.place.ask(self.target.route, rename, written)
            except BaseException:
                with trio.move_on_after(CLOSING, shield=True):
                    await self._take_back(stage)
                raise

    def _require_apart(self) -> None:
        """Raise unless the target can be an entry, and lies outside the source."""
        source, target, path = self.source.names, self.target.names, self.message.target
        if not target:
            raise self.place.error(self.op, path, errno.EBUSY)
        last = posixpath.basename(self.target.path.rstrip("/"))
        if last == ".." or target[: len(source)] == source:
            raise self.place.error(self.op, path, errno.EINVAL)

    async def _plan(self) -> tuple[list[_Piece], list[_Piece]]:
        """Files and directories, by their names from the source (their own: none)."""
        path = self.message.source
        found = await self._found()
        top = _Piece((), found.mode)
        if not self.place.routes.is_standing(self.source.names) and await self._is_link():
            raise self._refused(path, "link")
        if found.type == "file":
            return [top], []
        if found.type != "directory":
            raise self._refused(path, found.type)
        drawn = await tree(self.place, m.Tree(path=path, depth=None, hidden=True, limit=EVERYTHING))
        for each in drawn.entries:
            if each.type not in {"file", "directory"}:
                raise self._refused(posixpath.join(path, each.name), each.type)
        pieces = {
            kind: [_Piece(names_of(e.name), e.mode) for e in drawn.entries if e.type == kind]
            for kind in ("file", "directory")
        }
        return pieces["file"], [top, *pieces["directory"]]

    async def _found(self) -> m.FileStat:
        path = self.message.source
        try:
            return await self.place.stat(self.source, m.Stat(path=path))
        except InvalidPath as error:  # a link where none is followed, or one that leads to itself
            failed = error
        if await stands(self.place, self.source.route, self.source.names):
            raise self._refused(path, "link")
        raise failed

    def _refused(self, path: str, kind: str) -> WrongType:
        what = "a link" if kind == "link" else "neither a regular file nor a directory"
        reason = f"{path!r} is {what}, and cannot go from one member to another"
        hint = "leave it out, or put a file in its place"
        return WrongType(self.op, self.message.source, reason, scope=self.place.name, hint=hint)

    async def _is_link(self) -> bool:
        head, tail = posixpath.split(self.source.path.rstrip("/"))
        if tail in {"", ".", ".."}:
            return False
        ask = self.place.ask
        above = await ask(self.source.route, m.Realpath(path=head or "."))
        real = await ask(self.source.route, m.Realpath(path=self.source.path))
        return names_of(real) != (*names_of(above), tail)

    async def _require_free(self) -> None:
        """Raise if the target is there: before anything is copied."""
        if await self.place.ask(self.target.route, m.Exists(path=self.target.path)):
            raise self.place.error(self.op, self.message.target, errno.EEXIST)

    async def _fill(self, stage: str, files: list[_Piece], directories: list[_Piece]) -> None:
        for each in directories:
            await self._ask(m.Mkdir(path=posixpath.join(stage, *each.names)))
        for each in files:
            await self._file(each.names, posixpath.join(stage, *each.names))
        for each in (*files, *reversed(directories)):  # a directory without rights is filled first
            await self._ask(m.Chmod(path=posixpath.join(stage, *each.names), mode=each.mode))

    async def _file(self, names: Names, target: str) -> None:
        path = posixpath.join(self.message.source, *names)
        spot = self.place.spot(self.op, path)
        read = m.Read(path=spot.path, limit=SMALL)
        with self._about(self.message.source):
            content = await self.place.ask(spot.route, read, {spot.path: path})
        if len(content) < SMALL:
            await self._ask(m.Write(path=target, content=content))
            return
        source, goal = _Member(self.place, spot.route), _Member(self.place, self.target.route)
        async with source.open_stream(spot.path) as old, goal.open_stream(target, "wb") as new:
            while piece := await old.receive(SMALL):
                await new.send(piece)

    async def _ask(self, message: Message[None]) -> None:
        await self.place.ask(self.target.route, message)

    async def _take_back(self, stage: str) -> None:
        with contextlib.suppress(OperationError):
            await self._ask(m.Remove(path=stage, recursive=True, missing_ok=True))

    @contextlib.contextmanager
    def _about(self, path: str) -> Iterator[None]:
        """Errors inside are those of this operation, about a path of the caller's."""
        try:
            yield
        except OperationError as error:
            if error.op != self.op:
                error.op, error.path = self.op, path
            raise
