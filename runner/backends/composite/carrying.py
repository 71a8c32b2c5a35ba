"""Operations that carry many: each member is asked once for all that is its own.

The answers stand in the caller's order. A batch is all or none, and no two members can promise that
together: effects on more than one are refused, before anything is changed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import attrs

from runner import messages as m
from runner.backends.composite.junction import Junction
from runner.backends.composite.routes import Route, Spot
from runner.backends.failures import failure
from runner.errors import OperationError
from runner.messages import FileEffect
from runner.operations.op_names import op_name

ItemT = TypeVar("ItemT")
AnswerT = TypeVar("AnswerT")


@attrs.frozen
class _Group(Generic[ItemT]):
    """What goes to one member: places in the caller's order, and items with its own paths."""

    route: Route
    numbers: list[int] = attrs.field(factory=list)
    items: list[ItemT] = attrs.field(factory=list)
    written: dict[str, str] = attrs.field(factory=dict)


class _Sorting(Generic[ItemT, AnswerT]):
    """Sorts items by members, and their answers back into the caller's order."""

    def __init__(
        self, place: Junction, op: str, failed: Callable[[str, OperationError], AnswerT]
    ) -> None:
        self._place = place
        self._op = op
        self._failed = failed
        self.groups: dict[int, _Group[ItemT]] = {}
        self._answers: dict[int, AnswerT] = {}

    def take(self, paths: Sequence[str], item: Callable[[int, str], ItemT]) -> None:
        """Put each path into its member's group; what leads nowhere is answered at once."""
        for number, path in enumerate(paths):
            try:
                spot = self._place.spot(self._op, path)
                if self._place.routes.is_standing(spot.names):
                    raise self._place.error(self._op, path, errno.EISDIR)
            except OperationError as error:
                self._answers[number] = self._failed(path, error)
                continue
            group = self.groups.setdefault(id(spot.route.member), _Group(spot.route))
            group.numbers.append(number)
            group.items.append(item(number, spot.path))
            group.written[spot.path] = path

    def answer(self, group: _Group[ItemT], answers: Sequence[AnswerT]) -> None:
        """Take a group's answers."""
        self._answers.update(zip(group.numbers, answers, strict=True))

    def in_order(self) -> tuple[AnswerT, ...]:
        """All answers."""
        return tuple([self._answers[number] for number in sorted(self._answers)])


async def download(place: Junction, message: m.Download) -> tuple[m.Downloaded, ...]:
    """The contents of many files."""
    paths = message.paths
    sorting = _Sorting[str, m.Downloaded](
        place, "download", lambda path, error: m.Downloaded(path=path, error=failure(error))
    )
    sorting.take(paths, lambda _, inner: inner)
    for group in sorting.groups.values():
        inner = m.Download(paths=tuple(group.items))
        found = await place.ask(group.route, inner, group.written)
        answers = [
            attrs.evolve(each, path=paths[number])
            for number, each in zip(group.numbers, found, strict=True)
        ]
        sorting.answer(group, answers)
    return sorting.in_order()


async def upload(place: Junction, message: m.Upload) -> tuple[m.Stored, ...]:
    """Write many files, each for itself."""
    files = message.files
    sorting = _Sorting[tuple[str, bytes], m.Stored](
        place, "upload", lambda path, error: m.Stored(path=path, error=failure(error))
    )
    sorting.take([path for path, _ in files], lambda number, inner: (inner, files[number][1]))
    for group in sorting.groups.values():
        inner = m.Upload(files=tuple(group.items))
        found = await place.ask(group.route, inner, group.written)
        answers = [
            attrs.evolve(each, path=files[number][0])
            for number, each in zip(group.numbers, found, strict=True)
        ]
        sorting.answer(group, answers)
    return sorting.in_order()


# ---------------------------------------------------------------- batch


async def batch(place: Junction, message: m.Batch) -> tuple[object, ...]:
    """Effects of one member, all or none."""
    routes: list[Route] = []
    effects: list[FileEffect] = []
    written: dict[str, str] = {}
    for number, effect in enumerate(message.effects, 1):
        route, inner = _inner(place, effect, written, number)
        routes.append(route)
        effects.append(inner)
        if route.member is not routes[0].member:
            raise _two_members(place, effect, number)
    if not routes:
        return ()
    return await place.ask(routes[0], m.Batch(effects=tuple(effects)), written)


def _inner(
    place: Junction, effect: FileEffect, written: dict[str, str], number: int
) -> tuple[Route, FileEffect]:
    """Whose an effect is, and the effect in its member's terms."""
    op = op_name(type(effect))
    if isinstance(effect, m.Copy | m.Move):
        source, target = place.spot(op, effect.source), place.spot(op, effect.target)
        _require_own(place, op, effect.source, source)
        _require_own(place, op, effect.target, target)
        if source.route is not target.route:
            raise _two_members(place, effect, number)
        written.update({source.path: effect.source, target.path: effect.target})
        return source.route, attrs.evolve(effect, source=source.path, target=target.path)
    spot = place.spot(op, effect.path)
    _require_own(place, op, effect.path, spot)
    written[spot.path] = effect.path
    return spot.route, attrs.evolve(effect, path=spot.path)


def _require_own(place: Junction, op: str, path: str, spot: Spot) -> None:
    """Raise for what is no member's alone."""
    place.require_movable(op, path, spot)


def _two_members(place: Junction, effect: FileEffect, number: int) -> OperationError:
    path = effect.source if isinstance(effect, m.Copy | m.Move) else effect.path
    what = f"effect {number} of a batch is on another member than those before, or on two"
    hint = "nothing has been changed; a batch is all or none within one member only"
    return OperationError("batch", path, what, scope=place.name, hint=hint)
