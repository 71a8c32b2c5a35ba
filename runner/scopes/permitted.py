"""A backend behind permissions: what the rules deny is not carried out, and is not seen.

Model. For each message:

1. every path in it is resolved: links followed, `..` gone (`Backend.resolve`);
2. the rules judge the names as written and the real ones (judging.py); denied is `Denied`;
   where they ask, exactly one question is asked of each who answers for some of the rules;
3. it is carried out on the resolved paths by the straight view of the files (`Backend.straight`),
   where no link is followed. A link that somebody put in the way meanwhile makes that fail; if the
   paths now lead elsewhere, all of it begins again, but nobody is asked twice: then it is denied.

So nothing is done at names that were not decided on, whatever races it. What `ls`, `tree`, `glob`,
`grep` and `list_keys` answer is sifted: denied entries, and links to such, are neither in it nor in
the count of what was left out.

What this does not do: hold programs. Rules for `execute` see the command and what it plainly names;
what a program then does is its own affair, and the sandbox is the boundary. Nor do rules see that a
file has a second name (a hard link), or what becomes of files while a tree is copied.
"""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, cast

import attrs

from runner import messages as m
from runner.backends.base import Backend, Later
from runner.backends.beneath import Names
from runner.backends.failures import failure
from runner.backends.straight import Resolved
from runner.errors import Denied, InvalidPath, NotFound, OperationError, WrongType
from runner.messages import AnswerT, Message
from runner.operations.op_names import op_name
from runner.operations.status import Status
from runner.scopes.concerns import MANY, SHOWS, Slot, slots_of, with_paths
from runner.scopes.deciding import Decider
from runner.scopes.judging import Bases, Judged, judge, judge_line, line_of
from runner.scopes.permissions import (
    Ask,
    Grant,
    Kind,
    Permissions,
    Record,
    Ruleset,
    Spot,
    may_hide,
)
from runner.scopes.presets import PresetName, permissions_of
from runner.scopes.sifting import ALL, Showing, Shown, Sieve

T = TypeVar("T")

AGAIN = 8  # times that a path may lead elsewhere while it is used


class PermittedBackend(Backend):
    """A backend behind permissions.

    Args:
        inner: where the files are; a local, memory or composite backend.
        rules: a ruleset, a preset's name, or permissions; or several grants, all of which must
            allow: those of an outer scope first.
        ask: answers where the rules ask (with `deadline`, `default` and `record`: `Permissions`).
        deadline: seconds for an answer; None = no limit.
        default: the answer when none comes.
        record: told every decision; a list's `append` will do.

    Raises:
        ConfigError: the inner backend has no straight view.
    """

    def __init__(
        self,
        inner: Backend,
        rules: Permissions | Ruleset | PresetName | Sequence[Grant],
        *,
        ask: Ask | None = None,
        deadline: float | None = 60.0,
        default: Literal["allow", "deny"] = "deny",
        record: Record | None = None,
    ) -> None:
        if isinstance(rules, Ruleset):
            rules = Permissions(
                rules=rules, ask=ask, deadline=deadline, default=default, record=record
            )
        if isinstance(rules, Permissions | str):
            rules = (Grant(permissions=permissions_of(rules)),)
        self._grants = tuple(rules)
        self._whole = inner
        self._inner = inner.straight()
        self._follows = True
        self._bases = Bases(self._grants, os.path.realpath)
        self._decider = Decider(self._grants, self.name)

    def __repr__(self) -> str:
        return f"<PermittedBackend on {self._whole!r}>"

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._whole.name

    def straight(self) -> PermittedBackend:
        """The same rules, behind which no link is followed: it fails where one is in the way."""
        other = copy.copy(self)
        other._follows = False  # noqa: SLF001 - of the same class
        return other

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads."""
        return self._inner.resolve(op, path, entry=entry)

    def holds(self) -> bool:
        """Whether programs run that were started here."""
        return self._inner.holds()

    async def aclose(self) -> None:
        """Let go of what the inner backend holds."""
        try:
            await self._inner.aclose()
        finally:
            if self._whole is not self._inner:
                await self._whole.aclose()

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message, if the rules allow it."""
        if self._whole.status is Status.DESTROYED:
            return await self._whole.carry_out(message)  # which refuses it
        op, slots = op_name(type(message)), slots_of(message)
        if slots is None:
            raise Denied(op, None, "the permissions do not know this operation", scope=self.name)
        if type(message) in MANY:
            return await self._many(op, message, slots)
        asked = False
        for _ in range(AGAIN):
            ways = self._resolve(op, slots)
            judged = await self._judge(message, slots, ways)
            asked = await self._decider.decide(op, message, judged, asked=asked)
            try:
                answer = await self._carry_out(
                    with_paths(message, tuple(each.path for each in ways))
                )
            except OperationError as error:
                if self._resolve(op, slots) != ways:
                    continue
                _tell(error, slots, ways)
                raise
            return await self._sifted(message, ways, answer)
        path = slots[0].path if slots else None
        raise Denied(op, path, "it leads elsewhere at every look", scope=self.name)

    async def _carry_out(self, message: Message[T]) -> T:
        answer = self._inner.answer_now(message)
        return await self._inner.carry_out(message) if isinstance(answer, Later) else answer

    def _resolve(self, op: str, slots: Sequence[Slot]) -> list[Resolved]:
        ways = [self._inner.resolve(op, each.path, entry=each.field.entry) for each in slots]
        if not self._follows:
            for slot, way in zip(slots, ways, strict=True):
                if way.names != way.given:
                    what = "a link is in the way, and whoever asks follows none"
                    raise InvalidPath(op, slot.path, what, scope=self.name)
        return ways

    # ---------------------------------------------------------------- judging

    async def _judge(
        self, message: Message[Any], slots: Sequence[Slot], ways: Sequence[Resolved]
    ) -> list[list[Judged]]:
        """What each grant says of each path, and of all that lies beneath where that counts."""
        found = [
            [
                Judged(slot.path, verdict)
                for slot, way in zip(slots, ways, strict=True)
                for kind in slot.field.kinds
                for verdict in judge(grant.permissions.rules, kind, self._bases.spots(grant, way))
            ]
            for grant in self._grants
        ]
        if isinstance(message, m.Exec | m.Start):
            self._judge_command(message, ways[0], found)
        placed: list[Names] = []  # in a batch: what those before will have put somewhere
        for number, (slot, way) in enumerate(zip(slots, ways, strict=True)):
            placed.append(way.names)
            if slot.field.whole:
                following = slots[number + 1 : number + 2]
                mirror = ways[number + 1] if following and following[0].field.mirrors else None
                below = await self._judge_beneath(slot, way, mirror, placed, found)
                if mirror is not None:
                    placed += [mirror.names + each for each in below]
        return found

    async def _judge_beneath(
        self,
        slot: Slot,
        way: Resolved,
        mirror: Resolved | None,
        placed: Sequence[Names],
        found: list[list[Judged]],
    ) -> list[Names]:
        """Judge what lies beneath a path, or will; the names of it, from there."""
        concerned = [(kind, way) for kind in slot.field.kinds]
        if mirror is not None:
            concerned.append(("write", mirror))
        kinds: set[Kind] = {"read", "write", "remove"}  # of whatever may follow in a batch
        if not any(
            grant.permissions.rules.may(kind, "deny", "ask")
            for grant in self._grants
            for kind in kinds
        ):
            return []
        depth = len(way.names)
        below = [each[depth:] for each in placed if len(each) > depth and each[:depth] == way.names]
        everything = m.Glob(pattern="**", path=way.path, hidden=True, limit=ALL)
        # Where there is no directory, nothing lies beneath.
        with contextlib.suppress(NotFound, WrongType, InvalidPath):
            paths = (await self._carry_out(everything)).paths
            below += [tuple(each.split("/")[depth:]) for each in paths]
        for names in below:
            for grant, judged in zip(self._grants, found, strict=True):
                for kind, where in concerned:
                    spots = self._bases.spots(grant, where, names)
                    verdicts = judge(grant.permissions.rules, kind, spots)
                    judged += [
                        Judged(slot.path, each) for each in verdicts if each.action != "allow"
                    ]
        return below

    def _judge_command(
        self, message: m.Exec | m.Start, cwd: Resolved, found: list[list[Judged]]
    ) -> None:
        line = line_of(message.command)
        for grant, judged in zip(self._grants, found, strict=True):

            def spots_of(word: str, grant: Grant = grant) -> tuple[Spot, ...] | None:
                path = word if word.startswith("/") else "/".join((*cwd.names, word))
                try:
                    way = self._inner.resolve("exec", path)
                except OperationError:  # nothing that is in here
                    return None
                return self._bases.spots(grant, way)

            verdicts = judge_line(grant.permissions.rules, line, spots_of)
            judged += [Judged(line.text, each) for each in verdicts]

    # ---------------------------------------------------------------- many at once

    async def _many(self, op: str, message: Message[AnswerT], slots: tuple[Slot, ...]) -> AnswerT:
        """Uploads and downloads: each item is judged for itself, and all that ask in one question.

        An item that leads elsewhere meanwhile fails, and may be tried again by the caller.
        """
        errors: dict[int, OperationError] = {}
        ways: dict[int, Resolved] = {}
        asking: dict[int, list[list[Judged]]] = {}
        for number, slot in enumerate(slots):
            try:
                [ways[number]] = self._resolve(op, (slot,))
                found = await self._judge(message, (slot,), (ways[number],))
                actions = {each.verdict.action for judged in found for each in judged}
                if "ask" in actions and "deny" not in actions:
                    asking[number] = found
                    continue
                await self._decider.decide(op, message, found, asked=False)
            except OperationError as error:
                errors[number] = error
        if asking:
            together = [
                [each for found in asking.values() for each in found[grant]]
                for grant in range(len(self._grants))
            ]
            try:
                await self._decider.decide(op, message, together, asked=False)
            except Denied as error:
                errors.update(dict.fromkeys(asking, error))
        kept = [number for number in range(len(slots)) if number not in errors]
        straight = with_paths(_only(message, kept), tuple(ways[each].path for each in kept))
        answers = iter(cast("tuple[Any, ...]", await self._carry_out(straight)))
        return cast(
            "AnswerT",
            tuple(
                _failed(message, slot, errors[number])
                if number in errors
                else _as_written(next(answers), slot)
                for number, slot in enumerate(slots)
            ),
        )

    # ---------------------------------------------------------------- what is seen

    async def _sifted(
        self, message: Message[AnswerT], ways: Sequence[Resolved], answer: AnswerT
    ) -> AnswerT:
        kind = SHOWS.get(type(message))
        if kind is None:
            return answer
        grants = [each for each in self._grants if may_hide(each.permissions.rules, kind)]
        sieve = Sieve(self._inner, grants, self._bases, kind, ways[0])
        # Only messages of the table come here, and each with its own answer.
        showing, shown = cast("Showing", message), cast("Shown", answer)
        again = cast("Callable[[Showing], Awaitable[Shown]]", self._carry_out)
        return cast("AnswerT", await sieve.sift(showing, shown, again))


def _tell(error: OperationError, slots: Sequence[Slot], ways: Sequence[Resolved]) -> None:
    """Say it in the caller's terms: the path as it was written."""
    for slot, way in zip(slots, ways, strict=True):
        if error.path == way.path:
            error.path = slot.path
            return


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
