"""Decisions: what comes of the verdicts on a message, whom it is asked of, what is recorded.

Rules: denied by any is denied, and nobody is asked. If some ask, each who answers for them is asked
one question about all of it; the first "no" ends it. No answer within the deadline is the default,
and asking that fails is a "no": also asking by who is being asked, whose answer would have to wait
for itself. Nobody is asked twice about one message. Every decision is recorded once.
"""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Sequence
from typing import Any, Literal

import trio

from runner.errors import Denied
from runner.messages import Message
from runner.scopes.judging import Judged
from runner.scopes.leave import Leave
from runner.scopes.permissions import (
    Ask,
    Decision,
    Grant,
    Permissions,
    Question,
    Record,
    Verdict,
    allowed_patterns,
    strictest,
)

_By = Literal["rule", "default", "answer", "deadline", "nobody", "failure"]

# Those whose answer is waited for, in whose asking we are.
_being_asked: contextvars.ContextVar[tuple[Ask, ...]] = contextvars.ContextVar(
    "runner_being_asked", default=()
)


class Decider:
    """Decides by the verdicts of several grants."""

    def __init__(self, grants: Sequence[Grant], name: str) -> None:
        """Decide for these, an outer scope's first; `name` is what errors call the place."""
        self._grants = tuple(grants)
        self._name = name

    async def decide(
        self,
        op: str,
        message: Message[Any],
        found: list[list[Judged]],
        leave: Leave | None = None,
    ) -> Leave:
        """Decide; the leave that it now has.

        Args:
            op: the operation.
            message: the message.
            found: for each grant, its verdicts.
            leave: from what was decided before: earlier, or before it led elsewhere.

        Raises:
            Denied: it is not to be carried out.
        """
        verdicts = [each.verdict for judged in found for each in judged]
        if not verdicts:
            return leave or Leave()
        for judged in found:
            for each in judged:
                if each.verdict.action == "deny":
                    by: _By = "default" if each.verdict.rule is None else "rule"
                    self._record(op, verdicts, by, each.verdict, allowed=False)
                    raise self._denied(op, each, each.verdict.reason)
        asks = [each for judged in found for each in judged if each.verdict.action == "ask"]
        if not asks:
            if leave is None:
                decisive = strictest(verdicts)
                by = "default" if decisive.rule is None else "rule"
                self._record(op, verdicts, by, decisive, allowed=True)
            return leave or Leave()
        asking = asks[0]
        # Also what was allowed without asking: where a path leads is a part of the question.
        targets = frozenset((each.kind, each.target) for each in verdicts)
        if leave is not None:
            if targets <= leave.targets:
                return leave
            self._record(op, verdicts, "rule", asking.verdict, allowed=False)
            raise self._denied(op, asking, "it led elsewhere after it was asked about")
        by, why = await self._ask(op, message, found)
        self._record(op, verdicts, by, asking.verdict, allowed=not why)
        if why:
            raise self._denied(op, asking, f"{asking.verdict.reason}; {why}")
        return Leave(targets=targets)

    async def _ask(
        self, op: str, message: Message[Any], found: list[list[Judged]]
    ) -> tuple[_By, str]:
        """Ask each who answers for rules that ask; why not, or an empty text."""
        questions: dict[Ask | None, tuple[Permissions, list[Verdict]]] = {}
        asker: Permissions | None = None
        for grant, judged in zip(self._grants, found, strict=True):
            # An inner scope without an answerer of its own has the outer one's.
            if asker is None or grant.permissions.ask is not None:
                asker = grant.permissions
            asks = [each.verdict for each in judged if each.verdict.action == "ask"]
            if asks:
                questions.setdefault(asker.ask, (asker, []))[1].extend(asks)
        by: _By = "answer"
        for permissions, verdicts in questions.values():
            targets = tuple(dict.fromkeys((each.kind, each.target) for each in verdicts))
            first = verdicts[0]
            question = Question(
                op=op, targets=targets, rule=first.rule, reason=first.reason, message=message
            )
            allowed, by, why = await _answer(permissions, question)
            if not allowed:
                return by, why
        return by, ""

    def _record(
        self, op: str, verdicts: list[Verdict], by: _By, decisive: Verdict, *, allowed: bool
    ) -> None:
        targets = tuple(dict.fromkeys((each.kind, each.target) for each in verdicts))
        decision = Decision(op=op, targets=targets, allowed=allowed, by=by, rule=decisive.rule)
        told: list[Record] = []
        for grant in self._grants:
            record = grant.permissions.record
            if record is not None and record not in told:
                told.append(record)
                record(decision)

    def _denied(self, op: str, judged: Judged, reason: str) -> Denied:
        verdict = judged.verdict
        patterns = [
            each
            for grant in self._grants
            for each in allowed_patterns(grant.permissions.rules, verdict.kind)
        ]
        shown = ", ".join(repr(each) for each in dict.fromkeys(patterns[:8]))
        hint = f"allowed for {verdict.kind}: {shown}" if shown else "use other paths or operations"
        rule = None if verdict.rule is None else verdict.rule.pattern
        return Denied(op, judged.path, reason, scope=self._name, hint=hint, rule=rule)


async def _answer(permissions: Permissions, question: Question) -> tuple[bool, _By, str]:
    """Ask; whether it is allowed, what decided, and why not."""
    default = permissions.default == "allow"
    if permissions.ask is None:
        return default, "nobody", "nobody is there to be asked: give ask=, or a rule that allows it"
    asking = _being_asked.get()
    if permissions.ask in asking:
        return False, "failure", "it is asked for by who would have to be asked about it"
    limit = float("inf") if permissions.deadline is None else permissions.deadline
    with trio.move_on_after(limit):
        token = _being_asked.set((*asking, permissions.ask))
        try:
            answer = permissions.ask(question)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001 - whatever went wrong: nobody has allowed it
            return False, "failure", f"asking failed: {error!r}"
        finally:
            _being_asked.reset(token)
        return bool(answer), "answer", "the answer was no"
    return default, "deadline", f"no answer came within {limit:g} s"
