"""What an agent asks for in a turn, from the question to the decision.

    asked ──► the rules of the scope ──► the callback ──► a person ──► the default, at the deadline

1. What the scope's permissions allow or deny is decided by them, at once (ruling.py). So is all of
   it in a session that nobody attends (`Approvals` not given): by a refusal.
2. A callback may decide, or leave it to a person (None).
3. A person sees what is open in `Session.approvals`, and decides by `Session.decide`.
4. Nothing waits for longer than the deadline: then the default is decided, which the agent is told.

Each is decided once. What the program does not wait for any more is closed: nobody has decided it.
What is not here: how the program is told (asking.py), and what is noted of it (notes.py).
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import attrs
import trio

from runner.agents.driver import UNATTENDED
from runner.agents.events import ApprovalAsked, ApprovalDecided, Decider, Decision
from runner.errors import AgentUnavailable, ConfigError
from runner.sessions.ruling import Ruling

log = logging.getLogger("runner.sessions")

Answer: TypeAlias = Decision | bool | None
Callback: TypeAlias = Callable[[ApprovalAsked], Answer | Awaitable[Answer]]

UNANSWERED = (
    "Refused: nobody has answered in time. Do not try this again; go on without it, or say at the"
    " end what could not be done."
)
NO_REWRITE = "Refused: it was allowed with another input only, which this program cannot take."
REFUSED = "Refused by the owner of this session."
NOBODY = Decision(allow=False, message=UNANSWERED)
CLOSED = Decision(allow=False, message="Not decided: the program did not wait for it any longer.")


@attrs.frozen(kw_only=True)
class Approvals:
    """Who decides what an agent asks for, where the scope's permissions do not.

    Attributes:
        ask: decides: True, False, a `Decision` (another input, a message, answers), or None: a
            person may (`Session.approvals`, `Session.decide`). May be async. If it fails, or gives
            anything else, that is a refusal.
        deadline: seconds for all of it; None = as long as the turn lasts.
        default: what is decided when nobody has by then; the agent is told its message.

    Raises:
        ConfigError: the deadline is none.
    """

    ask: Callback | None = attrs.field(default=None, eq=id)
    deadline: float | None = 300.0
    default: Decision = NOBODY

    def __attrs_post_init__(self) -> None:
        if self.deadline is not None and not (0.0 < self.deadline < math.inf):
            raise ConfigError(
                f"a deadline of {self.deadline} s: it must be a number above 0, or None"
            )


@attrs.define(eq=False)
class _Open:
    asked: ApprovalAsked
    tell: Callable[[ApprovalDecided], None]
    cancel_scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)


@attrs.define(eq=False, kw_only=True)
class Approver:
    """Has what is asked for in one session decided.

    Attributes:
        ruling: what the scope's permissions say.
        approvals: who decides else; None = nobody is there.
        can_rewrite: the program takes another input than it asked for.
    """

    ruling: Ruling | None = None
    approvals: Approvals | None = None
    can_rewrite: bool = False
    _open: dict[str, _Open] = attrs.field(factory=dict)

    @property
    def is_attended(self) -> bool:
        """Whether something else than a refusal can come of a question."""
        return self.approvals is not None or self.ruling is not None

    @property
    def open(self) -> tuple[ApprovalAsked, ...]:
        """What waits for a decision, the oldest first."""
        return tuple(each.asked for each in self._open.values())

    def is_free(self, asked: ApprovalAsked) -> bool:
        """Whether the rules have nothing against it, or there are none."""
        ruled = None if self.ruling is None else self.ruling.rule_on(asked)
        return self.ruling is None or (ruled is not None and ruled.allow)

    def take(
        self,
        asked: ApprovalAsked,
        nursery: trio.Nursery,
        tell: Callable[[ApprovalDecided], None],
    ) -> bool:
        """Something is asked for; whether it waits now. `tell` is called once it is decided."""
        ruled = None if self.ruling is None else self.ruling.rule_on(asked)
        if ruled is not None:
            tell(ApprovalDecided(asked=asked, decision=ruled, by="policy"))
            return False
        if self.approvals is None:
            refusal = Decision(allow=False, message=UNATTENDED)
            tell(ApprovalDecided(asked=asked, decision=refusal))
            return False
        self._open[asked.id] = each = _Open(asked, tell)
        nursery.start_soon(self._wait, each, self.approvals)
        return True

    def decide(self, approval: str, decision: Decision, by: Decider = "person") -> bool:
        """Decide; whether it still waited for that.

        Raises:
            AgentUnavailable: the program cannot take another input than it asked for.
        """
        if decision.allow and decision.input is not None and not self.can_rewrite:
            if by == "person":
                raise AgentUnavailable(
                    "this agent's program takes no other input than it asked for"
                )
            decision = Decision(allow=False, message=NO_REWRITE)
        each = self._open.pop(approval, None)
        if each is None:
            return False
        each.cancel_scope.cancel(reason="it has been decided")
        each.tell(ApprovalDecided(asked=each.asked, decision=decision, by=by))
        return True

    def close(self, approval: str) -> None:
        """The program does not wait for it any more."""
        each = self._open.pop(approval, None)
        if each is not None:
            each.cancel_scope.cancel(reason="nobody waits for the decision any more")
            each.tell(ApprovalDecided(asked=each.asked, decision=CLOSED, by="closed"))

    def close_all(self) -> None:
        """Nobody waits for any of it any more."""
        for each in list(self._open):
            self.close(each)

    async def _wait(self, each: _Open, approvals: Approvals) -> None:
        seconds = math.inf if approvals.deadline is None else approvals.deadline
        each.cancel_scope.deadline = trio.current_time() + seconds
        with each.cancel_scope:
            decision = await _answer(each.asked, approvals.ask)
            if decision is None:
                await trio.sleep_forever()  # a person may decide
            else:
                self.decide(each.asked.id, decision, "callback")
        if self._open.get(each.asked.id) is each:
            self.decide(each.asked.id, approvals.default, "default")


async def _answer(asked: ApprovalAsked, ask: Callback | None) -> Decision | None:
    """What a callback says; None = nothing."""
    if ask is None:
        return None
    answer: object
    try:
        answer = ask(asked)
        if inspect.isawaitable(answer):
            answer = await answer
    except Exception as error:
        log.exception("a session's callback for approvals failed")
        return Decision(allow=False, message=f"Refused: asking for it failed ({error!r}).")
    if answer is None or isinstance(answer, Decision):
        return answer
    decided: object = answer
    if not isinstance(decided, bool):  # "no" is true for Python, and no leave
        log.error("a session's callback for approvals gave %r, which decides nothing", answer)
    return Decision(allow=answer is True, message="" if answer is True else REFUSED)
