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

import copy
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, cast

from runner.backends.base import Backend
from runner.backends.straight import Resolved
from runner.errors import ConfigError, Denied, OperationError
from runner.messages import AnswerT, Message
from runner.operations.op_names import op_name
from runner.operations.status import Status
from runner.scopes.concerns import MANY, SHOWS, Slot, slots_of, with_paths
from runner.scopes.deciding import Decider
from runner.scopes.examining import Examiner
from runner.scopes.leave import Foresee, Given, Leave
from runner.scopes.many import Many
from runner.scopes.permissions import Ask, Grant, Permissions, Record, Ruleset, may_hide
from runner.scopes.presets import PresetName, permissions_of
from runner.scopes.sifting import Showing, Shown, Sieve

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
        ConfigError: the inner backend has no straight view, there is no such preset, or `ask` is
            given beside permissions that have their own.
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
        if isinstance(rules, Ruleset | str):
            rules = Permissions(
                rules=permissions_of(rules).rules,
                ask=ask,
                deadline=deadline,
                default=default,
                record=record,
            )
        elif ask is not None or record is not None:
            raise ConfigError("ask and record are those of the Permissions: give them there")
        self._grants = _grants_of(rules)
        self._whole = inner
        self._examiner = Examiner(inner.straight(), self._grants)
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
        other._examiner = Examiner(  # noqa: SLF001 - of the same class
            self._examiner.inner, self._grants, follows=False
        )
        return other

    def resolve(self, op: str, path: str, *, entry: bool = False) -> Resolved:
        """Where a path leads."""
        return self._examiner.inner.resolve(op, path, entry=entry)

    def holds(self) -> bool:
        """Whether programs run that were started here."""
        return self._examiner.inner.holds()

    async def aclose(self) -> None:
        """Let go of what the inner backend holds."""
        try:
            await self._examiner.inner.aclose()
        finally:
            if self._whole is not self._examiner.inner:
                await self._whole.aclose()

    async def carry_out(self, message: Message[AnswerT], /) -> AnswerT:
        """Carry out a message, if the rules allow it."""
        asked = message.message if isinstance(message, Foresee | Given) else message
        if self._whole.status is Status.DESTROYED:
            return await self._whole.carry_out(asked)  # which refuses it
        if isinstance(message, Foresee):
            return cast("AnswerT", await self._foresee(asked))
        return await self._carry_out(asked, message.leave if isinstance(message, Given) else None)

    def _slots(self, op: str, message: Message[Any]) -> tuple[Slot, ...]:
        slots = slots_of(message)
        if slots is None:
            raise Denied(op, None, "the permissions do not know this operation", scope=self.name)
        return slots

    async def _foresee(self, message: Message[Any]) -> Leave | None:
        """Ask whatever is to be asked; of what is allowed without that, nothing is recorded yet."""
        op = op_name(type(message))
        slots = self._slots(op, message)
        if type(message) in MANY:
            return await Many(self._examiner, self._decider, op, message, slots).foresee()
        judged = await self._examiner.judge(message, slots, self._examiner.resolve(op, slots))
        actions = {each.verdict.action for found in judged for each in found}
        if actions <= {"allow"}:
            return None
        return await self._decider.decide(op, message, judged)

    async def _carry_out(self, message: Message[AnswerT], leave: Leave | None) -> AnswerT:
        op, examiner = op_name(type(message)), self._examiner
        slots = self._slots(op, message)
        if type(message) in MANY:
            many = Many(examiner, self._decider, op, message, slots)
            return cast("AnswerT", await many.carry_out(leave))
        for _ in range(AGAIN):
            ways = examiner.resolve(op, slots)
            judged = await examiner.judge(message, slots, ways)
            leave = await self._decider.decide(op, message, judged, leave)
            try:
                answer = await examiner.ask(with_paths(message, tuple(each.path for each in ways)))
            except OperationError as error:
                if examiner.resolve(op, slots) != ways:
                    continue
                _tell(error, slots, ways)
                raise
            return await self._sifted(message, ways, answer)
        path = slots[0].path if slots else None
        raise Denied(op, path, "it leads elsewhere at every look", scope=self.name)

    # ---------------------------------------------------------------- what is seen

    async def _sifted(
        self, message: Message[AnswerT], ways: Sequence[Resolved], answer: AnswerT
    ) -> AnswerT:
        kind = SHOWS.get(type(message))
        if kind is None:
            return answer
        grants = [each for each in self._grants if may_hide(each.permissions.rules, kind)]
        examiner = self._examiner
        sieve = Sieve(examiner.inner, grants, examiner.bases, kind, ways[0])
        # Only messages of the table come here, and each with its own answer.
        showing, shown = cast("Showing", message), cast("Shown", answer)
        again = cast("Callable[[Showing], Awaitable[Shown]]", examiner.ask)
        return cast("AnswerT", await sieve.sift(showing, shown, again))


def _grants_of(rules: Permissions | Sequence[Grant]) -> tuple[Grant, ...]:
    if isinstance(rules, list | tuple) and rules and all(isinstance(each, Grant) for each in rules):
        return tuple(rules)
    if isinstance(rules, list | tuple):
        raise ConfigError("permissions in a list are grants, one at least: none would allow all")
    return (Grant(permissions=permissions_of(cast("Permissions", rules))),)


def _tell(error: OperationError, slots: Sequence[Slot], ways: Sequence[Resolved]) -> None:
    """Say it in the caller's terms: the path as it was written."""
    for slot, way in zip(slots, ways, strict=True):
        if error.path == way.path:
            error.path = slot.path
            return
