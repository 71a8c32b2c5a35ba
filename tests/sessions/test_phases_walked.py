"""The real actor of a session, walked through its phases by what can happen to it from outside.

A walk is a list of acts, each of which makes sense in every phase, if only that nothing comes of
it. All changes of the phase are seen and compared with the table, and what of the table can be
reached is reached.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.actors.supervisor import open_supervisor
from runner.agents.driver import Rung
from runner.errors import RunnerError, SessionClosed
from runner.messages import Message
from runner.processes.host import ProcessHost
from runner.sessions.admission import Admission
from runner.sessions.approving import Approvals
from runner.sessions.lines import read_lines
from runner.sessions.making import Sessions
from runner.sessions.phases import OWN, TABLE, Do, Input, Phase
from runner.sessions.session import Session
from runner.sessions.state import SessionState

P, G = Phase, Input
Cell = tuple[Phase, Input]

# What of the table's own rows no outside act leads to, and why it stands there.
NOT_REACHED: dict[Cell, str] = {
    **dict.fromkeys(
        ((phase, each) for phase in (P.CLOSING, P.CLOSED) for each in (G.TURN, G.STEER, G.WARM)),
        "the handle and the actor say so before anything is asked of the table (SessionClosed)",
    ),
    **dict.fromkeys(
        ((phase, G.FRESH) for phase in (P.CLOSING, P.CLOSED)),
        "whoever closes cuts the turn that would begin a fresh conversation",
    ),
    **dict.fromkeys(
        ((P.BROKEN, each) for each in (G.TURN, G.STEER, G.WARM)),
        "the conversation is looked for first, and found or lost again (ConversationLost)",
    ),
    (
        P.IDLE,
        G.GONE,
    ): "only if its program is stuck in the kernel: it is ended, and said to be, first",
}
LADDER = (
    Rung(act="interrupt", wait=0.5),
    Rung(act="eof", wait=0.1),
    Rung(act="SIGTERM", wait=0.2),
)
UNSHRUNK = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
PHASES_WITH_A_PROGRAM = {P.IDLE, P.IN_TURN, P.APPROVING}
PHASES_WITHOUT_ONE = {P.ABSENT, P.REAPED, P.CLOSED}


class Seen:
    """What the phases of all sessions did."""

    def __init__(self) -> None:
        self.cells: set[Cell] = set()
        self.wrong: list[str] = []
        self._stepping = False

    @contextlib.contextmanager
    def all_changes(self) -> Iterator[None]:
        """See each step, and each change of a phase that is none."""
        take_step = SessionState.step

        def step(state: SessionState, given: Input) -> Do:
            before, self._stepping = state.phase, True
            try:
                do = take_step(state, given)
            finally:
                self._stepping = False
            self.cells.add((before, given))
            found = TABLE[before][given]
            if (do, state.phase) != (found.do, found.phase):
                self.wrong.append(f"{before} + {given} led to {state.phase}, not {found}")
            return do

        def set_attribute(state: SessionState, name: str, value: object) -> None:
            if name == "phase" and not self._stepping and value is not Phase.ABSENT:
                self.wrong.append(f"the phase was set to {value}")
            object.__setattr__(state, name, value)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(SessionState, "step", step)
            patch.setattr(SessionState, "__setattr__", set_attribute)
            yield


class Unknown(Message[None]):
    """What no session's actor knows: it crashes."""


class Walk:
    """A session, and what can be done to it."""

    def __init__(self, root: Path, driver: object, on_lost: str) -> None:
        self.root, self.driver, self.on_lost = root, driver, on_lost
        self.work = root / "work"
        self.work.mkdir(parents=True)
        self.private = root / "state" / "sessions" / "mine"
        self.hold_file = self.private / "hold"
        self.errors: list[Exception] = []
        self.running = 0
        self.has_crashed = False
        self.taken = 0  # prompts, before the last one
        self.done: list[str] = []

    async def take(self, acts: list[str]) -> None:
        """Do all of it, and then end it."""
        host = ProcessHost()
        with trio.fail_after(30):
            async with (
                open_supervisor(grace=0.5) as self.supervisor,
                trio.open_nursery() as self.nursery,
            ):
                admission = Admission(most=1, reserve=0)
                state = str(self.root / "state")
                self.sessions = Sessions(self.supervisor, host, state, admission=admission)
                self.open()
                for act in acts:
                    self.done.append(f"{act} ({self.phase})")
                    await ACTS[act](self)
                    self.check()
                await self.release()
                await self.close()
                await self.settle()
                self.check()
            self.sessions.ledger.close()
            await host.aclose()

    def check(self) -> None:
        """What a phase says of a program is so."""
        now = self.session.statistics()
        if now.phase in PHASES_WITH_A_PROGRAM:
            assert now.pid is not None, now
        elif now.phase in PHASES_WITHOUT_ONE:
            assert now.pid is None, now

    @property
    def phase(self) -> Phase:
        return self.session.statistics().phase

    @property
    def pid(self) -> int | None:
        return self.session.statistics().pid

    def open(self) -> None:
        self.session: Session = self.sessions.make_session(
            str(self.work),
            driver=self.driver,
            id="mine",
            approvals=Approvals(deadline=None),
            on_lost=self.on_lost,
        )

    # ------------------------------------------------------------ waiting

    async def until(self, fact: Callable[[], object]) -> None:
        """Wait for a fact, or until nothing is in flight that could bring it about."""
        while not fact() and self.running:
            await trio.sleep(0.001)

    async def settle(self) -> None:
        await self.until(lambda: False)

    def begin(self, prompt: str, **options: object) -> None:
        self.running += 1
        self.nursery.start_soon(self._send, self.session, prompt, options)

    async def _send(self, session: Session, prompt: str, options: dict[str, object]) -> None:
        try:
            await (session.send(prompt, **options) if prompt else session.prewarm())
        except RunnerError as exc:
            self.errors.append(exc)
        finally:
            self.running -= 1

    def is_free(self) -> bool:
        return self.running == 0 and not self.hold_file.exists()

    # ------------------------------------------------------------ acts

    async def turn(self, prompt: str, **options: object) -> None:
        """A turn from its beginning to its end, if there is none."""
        if self.phase is Phase.INTERRUPTING:
            await self.settle()
        if self.is_free():
            self.begin(prompt, **options)
            await self.settle()

    async def into(self, fact: Callable[[], object], prompt: str, **options: object) -> None:
        """A turn up to where it stays, if there is none."""
        if self.is_free():
            self.taken = self.count_taken()
            self.begin(prompt, **options)
            await self.until(fact)

    def is_taken(self) -> bool:
        """Whether the program says that it has taken the prompt."""
        return self.count_taken() > self.taken

    def count_taken(self) -> int:
        """How many prompts were, also those of a session that was closed since."""
        lines = read_lines(str(self.private / "transcript.jsonl"))
        return sum(each.value.get("event") == "TurnStarted" for each in lines)

    async def ask_later(self) -> None:
        """A question after the end of a turn."""
        if self.is_free() and self.phase is not Phase.CLOSED:
            await self.turn("later\nsay x")
            (self.work / "ask").touch()
            while self.phase is Phase.IDLE and not self.session.approvals():
                await trio.sleep(0.001)

    def is_parked(self) -> bool:
        return self.phase is Phase.PARKED

    async def beside(self, when_busy: str) -> None:
        """Another prompt, while a turn is in flight."""
        if self.running:
            self.begin("say beside", when_busy=when_busy)
            await trio.testing.wait_all_tasks_blocked()

    async def hold(self, prompt: str) -> None:
        """A program that does not get ready; unless there is one already."""
        if self.is_free() and self.pid is None and self.phase is not Phase.CLOSED:
            self.hold_file.parent.mkdir(parents=True, exist_ok=True)
            self.hold_file.touch()
            self.begin(prompt)
            await self.until(lambda: self.pid is not None)

    async def release(self) -> None:
        """It gets ready now."""
        if self.hold_file.exists():
            self.hold_file.unlink()
            await self.settle()

    async def decide(self) -> None:
        for each in self.session.approvals()[:1]:
            await self.session.decide(each.id, True)
            await trio.testing.wait_all_tasks_blocked()

    async def kill(self) -> None:
        if (pid := self.pid) is not None:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
            while self.pid == pid:
                await trio.sleep(0.001)

    async def lose(self) -> None:
        """Its program has no conversation any more, if none lives that would write it again."""
        if self.pid is None:
            for each in (self.root / "state").rglob("history-*"):
                each.unlink()

    async def room(self) -> None:
        """Its program's room is wanted for another one."""
        if self.phase is Phase.IDLE:
            other = self.sessions.make_session(str(self.work), driver=self.driver, durable=False)
            async with other:
                assert await other.prewarm()

    async def crash(self) -> None:
        if not self.has_crashed:
            self.has_crashed = True
            with contextlib.suppress(RunnerError):
                await self.supervisor.ask(self.session._way.spec, Unknown())
            await self.settle()

    async def interrupt(self) -> None:
        with contextlib.suppress(SessionClosed):
            await self.session.interrupt()

    async def finish(self) -> None:
        """The end of all that is in flight."""
        await self.release()
        while self.running:
            await self.interrupt()
            await trio.sleep(0.001)

    async def close(self) -> None:
        await self.session.aclose()
        self.hold_file.unlink(missing_ok=True)
        await self.settle()
        with pytest.raises(SessionClosed):
            await self.session.send("say closed")

    async def reopen(self) -> None:
        if self.phase is Phase.CLOSED:
            self.open()


ACTS: dict[str, Callable[[Walk], Awaitable[None]]] = {
    "say": lambda walk: walk.turn("say x"),
    "fail": lambda walk: walk.turn("fail overloaded"),
    "die": lambda walk: walk.turn("kill"),
    "silent": lambda walk: walk.turn("hush once\nsay on", silence=0.1),
    "limited": lambda walk: walk.turn("limit 0.01 once\nsay on", max_park=30),
    "limited-ending": lambda walk: walk.turn("limit 0.01 exit\nsay on", max_park=30),
    "limited-asking": lambda walk: walk.turn("pose a1\nlimit 0.01 once\nsay on", max_park=30),
    "say-asking": lambda walk: walk.turn("pose a1\nsay x"),
    "ask-later": Walk.ask_later,
    "warm": lambda walk: walk.turn(""),
    "wait": lambda walk: walk.into(walk.is_taken, "wait"),
    "drag": lambda walk: walk.into(walk.is_taken, "drag"),
    "ask": lambda walk: walk.into(
        lambda: len(walk.session.approvals()) >= 2, "pose a1\npose a2\nwait"
    ),
    "park": lambda walk: walk.into(walk.is_parked, "limit 600 once", max_park=1200),
    "hold": lambda walk: walk.hold("say held"),
    "hold-warming": lambda walk: walk.hold(""),
    "release": Walk.release,
    "steer": lambda walk: walk.beside("steer"),
    "queue": lambda walk: walk.beside("queue"),
    "take-over": lambda walk: walk.beside("interrupt"),
    "interrupt": Walk.interrupt,
    "finish": Walk.finish,
    "decide": Walk.decide,
    "kill": Walk.kill,
    "lose": Walk.lose,
    "room": Walk.room,
    "crash": Walk.crash,
    "close": Walk.close,
    "reopen": Walk.reopen,
}

# Walks that lead everywhere: what is known of the conversation, what is done if it is lost, acts.
KNOWN = (
    ("a file", "error", "close"),
    ("a file", "error", "hold close reopen hold interrupt finish hold kill finish say"),
    ("a file", "error", "hold kill finish say kill lose say lose say close"),
    ("a file", "fresh", "say kill lose say kill lose warm say close reopen lose say"),
    ("its word", "error", "warm say kill warm room warm close reopen say room close"),
    ("its word", "error", "say kill lose say close reopen say"),
    ("its word", "fresh", "say kill lose say kill lose warm say kill hold close"),
    ("a file", "error", "say kill hold interrupt finish say kill hold kill finish say"),
    (
        "a file",
        "error",
        "wait close reopen wait steer interrupt finish wait kill finish say ask-later kill",
    ),
    (
        "a file",
        "error",
        "ask steer decide decide finish ask kill finish ask interrupt finish ask close",
    ),
    ("a file", "error", "say-asking limited-asking limited limited-ending drag interrupt close"),
    ("a file", "error", "drag interrupt kill finish drag interrupt finish silent"),
    ("a file", "error", "park interrupt finish park steer close"),
    ("a file", "error", "wait crash say take-over queue die fail room"),
)


def test_what_can_be_reached_is_reached_and_goes_as_the_table_says(
    tmp_path: Path, fake: Callable[..., object], caplog: pytest.LogCaptureFixture
) -> None:
    seen = Seen()
    count = itertools.count()

    def walk(known_by: str, on_lost: str, acts: list[str]) -> None:
        driver = fake("living", keeps_history=known_by == "a file", ladder=LADDER)
        taken = Walk(tmp_path / str(next(count)), driver, on_lost)
        try:
            trio.run(taken.take, acts)
        except BaseException as exc:
            exc.add_note(f"the walk was {taken.done}")
            raise
        assert [] == seen.wrong, taken.done

    # A walk takes up to a second: one that fails is not made shorter by trying hundreds.
    @settings(max_examples=12, derandomize=True, deadline=None, database=None, phases=UNSHRUNK)
    @given(
        known_by=st.sampled_from(["a file", "its word"]),
        on_lost=st.sampled_from(["error", "fresh"]),
        acts=st.lists(st.sampled_from(sorted(ACTS)), min_size=3, max_size=9),
    )
    def walk_anywhere(known_by: str, on_lost: str, acts: list[str]) -> None:
        walk(known_by, on_lost, acts)

    caplog.set_level(logging.CRITICAL, "runner.actors")  # of the crashes that are asked for
    with seen.all_changes():
        for known_by, on_lost, acts in KNOWN:
            walk(known_by, on_lost, acts.split())
        walk_anywhere()
    own = {(phase, each) for phase, row in OWN.items() for each in row}

    assert set(NOT_REACHED) == own - seen.cells
