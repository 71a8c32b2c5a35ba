"""In every phase of a session: its program is killed, its turn interrupted, its caller goes away.

One conversation for each of the three goes through all phases. Which phase it is in is told by
facts: its state, what the model server was asked, what the program said and has in its own file,
which processes there are. Where the program must not go on meanwhile, it is stopped (SIGSTOP).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
import pytest
import trio

from runner.agents.events import ErrorClass, Text
from runner.errors import SessionClosed
from runner.sessions.approving import Approvals
from runner.sessions.followers import Follower
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.testing.model_server import Served

pytestmark = [pytest.mark.real_agents, pytest.mark.timeout(240)]

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]
Kill = Callable[[Session, str], Awaitable[None]]
Act: TypeAlias = Literal["kill", "interrupt", "caller goes"]

CRASHED, INTERRUPTED = ErrorClass.CRASHED, ErrorClass.INTERRUPTED
# The moments at which something happens, and what the session may be about after that.
AFTER = {
    "starting": {"absent", "reaped"},
    "thinking": {"idle"},
    "streaming": {"idle"},
    "in tool": {"idle", "reaped"},
    "approving": {"idle", "reaped"},
    "interrupting": {"idle"},
    "parked": {"reaped"},
    "reviving": {"reaped"},
    "closing": {"closed"},
}
PROMPTS = {
    "thinking": "!sleep 300.5",
    "streaming": "!say so far\n!sleep 300.625",
    "in tool": "!run sleep 300.125",
    "interrupting": "!sleep 300.25",
    "parked": "!fail 429 resets=3600",
    "closing": "!sleep 300.75",
}


@attrs.define(eq=False, kw_only=True)
class Life:
    """A conversation, and what is done to it.

    Attributes:
        known: what it must not forget.
        ends: how its turns should have ended, in their order.
    """

    session: Session
    act: Act
    server: Served
    ask_leave: str
    tree: Callable[[], dict[int, str]]
    until: Until
    settled: Callable[[Session, str], Awaitable[None]]
    kill: Kill
    known: list[str] = attrs.field(factory=list)
    ends: list[str] = attrs.field(factory=list)
    found: list[Turn] = attrs.field(factory=list)

    def phase(self) -> str:
        return self.session.statistics().phase

    async def recall(self) -> None:
        """See that the conversation goes on, and has forgotten nothing."""
        turn = await self.session.send(f"!recall\n(recall {len(self.ends)})")
        self.ends.append("ok")
        assert turn.ok, turn
        assert [] == [each for each in self.known if each not in turn.final_message], turn
        self.known.append(f"(recall {len(self.ends) - 1})")

    async def rest(self) -> None:
        """Have nothing in flight, and see that then there is nothing to cut."""
        turns, phase = self.session.statistics().turns, self.phase()
        if self.act == "interrupt":
            assert not await self.session.interrupt()
        elif self.act == "caller goes":
            with trio.CancelScope() as scope:
                scope.cancel()
                await self.session.send("!say never")
            assert scope.cancelled_caught
        assert (turns, phase) == (self.session.statistics().turns, self.phase())

    async def go_through(self, moment: str) -> None:
        """Be disturbed in a turn, at a moment."""
        heading = self.ask_leave if moment == "approving" else PROMPTS.get(moment, "!say early")
        prompt = f"{heading}\n!say never\n({moment})"
        sending, closing = trio.CancelScope(), trio.CancelScope()
        self.found.clear()

        async def send() -> None:
            with sending:
                self.found.append(await self.session.send(prompt, max_park=7200.0))

        async def close() -> None:
            with closing:
                await self.session.aclose()

        with trio.fail_after(60):
            async with self.session.events() as follower, trio.open_nursery() as nursery:
                nursery.start_soon(send)
                await self.come_to(moment, follower)
                if moment == "closing":
                    nursery.start_soon(close)
                    await self.until(lambda: self.phase() == "closing")
                await self.disturb(moment, closing if moment == "closing" else sending)
        self.see(moment, is_gone=sending.cancelled_caught)

    async def come_to(self, moment: str, follower: Follower) -> None:
        """Wait until the turn is there."""
        if moment in ("starting", "reviving"):
            await self.until(
                lambda: self.phase() == moment and self.session.statistics().pid, within=30
            )
            return
        if moment == "streaming":
            await self.hear_text(follower)
        elif moment == "in tool":
            await self.until(lambda: "sleep 300" in str(self.tree()), within=30)
        elif moment == "parked":
            await self.until(lambda: self.phase() == moment, within=30)
            await self.until(lambda: not self.tree(), within=30)
        elif moment == "approving":
            await self.until(self.session.approvals, within=30)
            assert self.phase() == "approving"
        else:
            await self.until(lambda: self.is_asked(moment), within=30)
        await self.settled(self.session, f"({moment})")
        self.known.append(f"({moment})")
        if moment in ("interrupting", "closing"):
            self.signal_all(signal.SIGSTOP)
        if moment == "interrupting":
            assert await self.session.interrupt()
            assert self.phase() == "interrupting"

    async def hear_text(self, follower: Follower) -> None:
        async for each in follower:
            if isinstance(each.event, Text) and each.event.partial:
                return

    def is_asked(self, moment: str, times: int = 1) -> bool:
        """Whether the model thinks about the turn's prompt, and has begun to do so so often."""
        asked = [each for each in self.server.requests if each.prompt.endswith(f"({moment})")]
        return len(asked) >= times and asked[-1].outcome == "open"

    async def disturb(self, moment: str, scope: trio.CancelScope) -> None:
        """Do what is to be done."""
        match self.act:
            case "kill":
                self.kill_program()
                if moment == "thinking":
                    # If it had not said yet that it took the prompt, that goes to another one.
                    await self.until(lambda: self.found or self.is_asked(moment, 2), within=30)
                    if not self.found:
                        self.kill_program()
            case "caller goes":
                scope.cancel()
            case "interrupt" if moment == "closing":
                with pytest.raises(SessionClosed):
                    await self.session.interrupt()
            case "interrupt":
                assert await self.session.interrupt() is (moment != "interrupting")
        if moment in ("interrupting", "closing"):
            self.signal_all(signal.SIGCONT if self.act != "kill" else signal.SIGKILL)

    def kill_program(self) -> None:
        pid = self.session.statistics().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def signal_all(self, number: int) -> None:
        for pid in self.tree():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def see(self, moment: str, *, is_gone: bool) -> None:
        """Look at what has come of it."""
        was_cut = self.act != "kill" or moment in ("interrupting", "closing")
        right = INTERRUPTED if was_cut else CRASHED
        if self.act == "caller goes" and moment != "closing":
            assert (is_gone, []) == (True, self.found)
        else:
            assert [(False, right)] == [(turn.ok, turn.error) for turn in self.found], self.found
            assert self.found[0].error_text
        self.ends.append(right.value)
        may_be = AFTER[moment]
        if self.act == "kill" and moment not in ("starting", "closing"):
            may_be = {"reaped"}
        assert self.phase() in may_be
        assert () == self.session.approvals()
        if may_be <= {"absent", "reaped", "closed"}:
            assert {} == self.tree()
        assert "sleep 300" not in str(self.tree())


@pytest.mark.parametrize("act", ["kill", "interrupt", "caller goes"])
async def test_a_conversation_goes_on_whatever_happens_in_whichever_phase(
    make: Make,
    act: Act,
    model_server: Served,
    ask_leave: Callable[[Path], str],
    tree: Callable[[], dict[int, str]],
    until: Until,
    settled: Callable[[Session, str], Awaitable[None]],
    kill: Kill,
    sessions: Sessions,
    tmp_path: Path,
) -> None:
    options = {"id": "one", "approvals": Approvals(), "agent": {"subscriber": True}}
    life = Life(
        session=make("workspace-write", **options),
        act=act,
        server=model_server,
        ask_leave=ask_leave(tmp_path / "outside.txt"),
        tree=tree,
        until=until,
        settled=settled,
        kill=kill,
    )
    doing = "absent"
    try:
        async with life.session:
            await life.rest()
            for doing in AFTER:
                if (act, doing) == ("kill", "parked"):
                    continue  # there is nothing to kill
                if doing == "reviving":  # the program is killed between two turns before that
                    await kill(life.session, life.known[-1])
                    await until(lambda: life.phase() == "reaped")
                    assert {} == tree()
                    await life.rest()
                await life.go_through(doing)
                if doing != "closing":
                    await life.recall()
                    await life.rest()
        doing = "opened again"
        async with make("workspace-write", **options) as life.session:
            await life.recall()
    except BaseException as exc:
        exc.add_note(f"{act}, {doing}: {life.session!r}")
        raise
    states = [each.state for each in sessions.ledger.turns("one")]

    assert life.ends == states
    assert [] == sessions.ledger.processes("one")
    assert {} == tree()
    assert not (tmp_path / "outside.txt").exists()
