"""Uploads and downloads behind permissions: each item is judged for itself.

All items about which somebody must be asked are in one question. An item that leads elsewhere
meanwhile fails, and may be tried again by the caller.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import attrs

from runner import messages as m
from runner.backends.failures import failure
from runner.backends.straight import Resolved
from runner.errors import Denied, OperationError
from runner.messages import Message
from runner.scopes.concerns import Slot, with_paths
from runner.scopes.deciding import Decider
from runner.scopes.examining import Examiner
from runner.scopes.judging import Judged
from runner.scopes.leave import Leave

Found: TypeAlias = list[list[Judged]]


@attrs.define
class _Items:
    """The items of a message, by their number: where they lead, or why they fail."""

    ways: dict[int, Resolved] = attrs.field(factory=dict)
    errors: dict[int, OperationError] = attrs.field(factory=dict)
    plain: dict[int, Found] = attrs.field(factory=dict)
    asking: dict[int, Found] = attrs.field(factory=dict)

    def together(self) -> Found:
        """What each grant says of all items that have to be asked about."""
        by_grant = zip(*self.asking.values(), strict=True)
        return [list(itertools.chain.from_iterable(each)) for each in by_grant]


@attrs.frozen
class Many:
    """A message with items, before a backend's permissions."""

    examiner: Examiner
    decider: Decider
    op: str
    message: Message[Any]
    slots: Sequence[Slot]

    async def foresee(self) -> Leave | None:
        """Ask about the items about which somebody must be asked."""
        items = await self._examined()
        if not items.asking:
            return None
        try:
            return await self.decider.decide(self.op, self.message, items.together())
        except Denied as error:
            return Leave(refused=error)

    async def carry_out(self, leave: Leave | None) -> object:
        """Carry out what is allowed; an answer for each item."""
        items = await self._examined()
        await self._decide(items, leave)
        kept = [number for number in range(len(self.slots)) if number not in items.errors]
        paths = tuple(items.ways[each].path for each in kept)
        answers = await self.examiner.ask(with_paths(_only(self.message, kept), paths))
        found = iter(answers)
        return tuple(
            _failed(self.message, slot, items.errors[number])
            if number in items.errors
            else _as_written(next(found), slot)
            for number, slot in enumerate(self.slots)
        )

    async def _examined(self) -> _Items:
        items = _Items()
        for number, slot in enumerate(self.slots):
            try:
                [way] = self.examiner.resolve(self.op, (slot,))
                found = await self.examiner.judge(self.message, (slot,), (way,))
            except OperationError as error:
                items.errors[number] = error
                continue
            items.ways[number] = way
            actions = {each.verdict.action for judged in found for each in judged}
            asks = "ask" in actions and "deny" not in actions
            (items.asking if asks else items.plain)[number] = found
        return items

    async def _decide(self, items: _Items, leave: Leave | None) -> None:
        """Put among the errors what is denied."""
        for number, found in items.plain.items():
            try:
                await self.decider.decide(self.op, self.message, found)
            except Denied as error:
                items.errors[number] = error
        if leave is None and items.asking:
            try:
                leave = await self.decider.decide(self.op, self.message, items.together())
            except Denied as error:
                leave = Leave(refused=error)
        for number, found in items.asking.items():
            assert leave is not None
            try:
                if leave.refused is not None:
                    raise leave.refused
                await self.decider.decide(self.op, self.message, found, leave)
            except Denied as error:
                items.errors[number] = error


def _only(message: Message[Any], kept: Sequence[int]) -> Message[Any]:
    if isinstance(message, m.Download):
        return attrs.evolve(message, paths=tuple(message.paths[each] for each in kept))
    assert isinstance(message, m.Upload)
    return attrs.evolve(message, files=tuple(message.files[each] for each in kept))


def _as_written(item: Any, slot: Slot) -> m.Downloaded | m.Stored:
    told: m.Downloaded | m.Stored = attrs.evolve(item, path=slot.path)
    return told


def _failed(message: Message[Any], slot: Slot, error: OperationError) -> m.Downloaded | m.Stored:
    if isinstance(message, m.Download):
        return m.Downloaded(path=slot.path, error=failure(error))
    return m.Stored(path=slot.path, error=failure(error))
