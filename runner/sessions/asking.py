"""What the program of a session asks for, brought to who decides it, and the decision to it.

    leave ──► the approver ──► decided ──► told to the program
                     └──► closed: the program does not wait for it any more
    a file ──► free by the scope's rules, or decided ──► our hands

All that was decided is noted in the turn in flight; what is open when that ends is closed with it,
and noted as such. What is not here: who decides (approving.py), and what is done (hands.py).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import attrs
import trio

from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    ApprovalDecided,
    Decision,
    Event,
    FileAsked,
)
from runner.sessions.hands import Hands, approval_of
from runner.sessions.phases import Input
from runner.sessions.program import Program
from runner.sessions.state import SessionState


@attrs.define(eq=False, kw_only=True)
class Asker:
    """Who brings it there, for one session.

    Attributes:
        happened: notes what the session itself says, in the turn in flight.
    """

    state: SessionState
    happened: Callable[[Event], None]
    _hands: Hands = attrs.field(init=False)
    _nursery: trio.Nursery | None = None

    def __attrs_post_init__(self) -> None:
        self._hands = Hands(self.state.directory, self.happened)

    def move_in(self, nursery: trio.Nursery) -> None:
        """Have a nursery from now on: an incarnation of the actor begins."""
        self._nursery = nursery
        self._hands.move_in(nursery)

    def move_to(self, directory: str) -> None:
        """Have our hands reach the files there from now on."""
        self._hands.directory = directory

    def take(self, event: Event, program: Program) -> None:
        """Take what a program has said, if it asks for anything."""
        match event:
            case ApprovalAsked():
                self._ask(event, partial(_decide, program, event.id))
            case ApprovalClosed():
                self.state.approver.close(event.id)
            case _ if isinstance(event, FileAsked):
                self._hand(event, program)
            case _:
                pass

    def close_all(self) -> None:
        """Nobody waits for any of it any more."""
        self.state.approver.close_all()

    async def put_down(self) -> None:
        """Nothing of what our hands do goes on after this."""
        await self._hands.put_down()

    def _ask(self, asked: ApprovalAsked, heed: Callable[[Decision], None]) -> None:
        """Have it decided, and the decision heeded."""
        assert self._nursery is not None

        def tell(decided: ApprovalDecided) -> None:
            if decided.by != "closed":
                heed(decided.decision)
            self.happened(decided)
            if not self.state.approver.open:
                self.state.step(Input.DECIDED)

        if self.state.approver.take(asked, self._nursery, tell):
            self.state.step(Input.ASKED)

    def _hand(self, asked: FileAsked, program: Program) -> None:
        """Have a file read or written for the program, if it may be."""
        approval, take = approval_of(asked), partial(self._hands.take, asked, program)
        if self.state.approver.is_free(approval):
            take()
        else:
            self._ask(approval, take)


def _decide(program: Program, asked: str, decision: Decision) -> None:
    program.conversation.decide(asked, decision)
    program.flush()
