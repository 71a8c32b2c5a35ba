"""Lives of sessions, for the chaos tests: what is done to them, and what may come of it.

A `Life` is a conversation that is told a secret word in its first turn, and then has turns to which
something happens: a fault of the model server, a kill of its program, an interrupt, a caller that
goes away, a close. Each act knows which ends of its turns are right; whatever else comes is an
`AssertionError` that says what was done. A good turn recalls everything before it: what the model
server was sent (the scripted program: what it has kept).

As a program it is a supervisor of its own that holds some lives until somebody kills it:

    python life.py '{"state": …, "lives": [{…}, …]}'

It writes a line of JSON for each turn that has come to its end.
"""

from __future__ import annotations

import glob
import json
import os
import random
import signal
import sys
import zlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import attrs
import trio

from runner.agents.driver import ClaudeAgent, CodexAgent
from runner.agents.events import ErrorClass as E
from runner.agents.registry import make_driver
from runner.config import RunnerConfig
from runner.errors import SessionClosed
from runner.runner import Runner
from runner.runtime import open_runner
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.testing.scripted import ScriptedAgent

# Far more than anything here may take, on a machine that has other things to do.
PATIENCE = 60.0
# Long enough that no turn with it comes to its end by itself.
LONG = 300
# How long after its begin a turn is disturbed, at most: it may be anywhere from its start to its end.
DISTURBED_WITHIN = 0.6

SILENT = {E.TIMEOUT, E.NETWORK, E.STALLED}
# What a fault of the provider may come to, by the directive that asks for it; empty = a good end.
FAULTS: dict[str, set[E]] = {
    "!fail 529": {E.OVERLOADED},
    "!fail 529 times=1": set(),
    "!fail 500 times=1": set(),
    # It waits until its time is up; on a busy machine it may not have asked by then.
    "!fail 429 retry-after=300": {E.RATE_LIMITED, E.TIMEOUT},
    "!fail 401": {E.AUTH},
    "!fail 403": {E.AUTH},
    "!fail 400": {E.BAD_REQUEST},
    "!fail context_overflow": {E.CONTEXT_OVERFLOW},
    "!fail budget": {E.BUDGET},
    "!drop times=1": set(),
    "!drop": {E.NETWORK},
    "!reset times=1": set(),
    "!reset": {E.NETWORK},
    "!malformed times=1": set(),
    "!malformed": {E.NETWORK, E.PROTOCOL, E.FAILED},  # claude has no word for it
    "!hang": SILENT,
    "!stall": SILENT,
    "!think a while\n!sleep 0.4": set(),
    "!fill 300000": set(),
}
# The scripted program plays them itself, and asks nobody again.
SCRIPTED = {"!drop": {E.NETWORK}, "!reset": {E.NETWORK}, "!malformed": {E.PROTOCOL}}
SCRIPTED |= {"!fail 529": {E.OVERLOADED}, "!fail 500": {E.OVERLOADED}}
AGENTS = {"claude": ClaudeAgent, "codex": CodexAgent}


@attrs.define(eq=False, kw_only=True)
class Life:
    """A conversation.

    Attributes:
        name: of its session.
        kind: "claude", "codex" or "scripted".
        fields: of the agent's record.
        directory: where it works.
        word: the secret that it is told.
        seed: of what happens to it.
        acts: how many turns are still to come, about.
        ended: what is known of its turns: by number, "ok" or the class of the error.
        kept: texts of good turns that stand in the program's own history: not to be forgotten.
        left: the numbers of turns whose caller went away.
    """

    name: str
    kind: str
    fields: dict[str, object]
    directory: str
    word: str
    seed: int
    acts: int = 0
    ended: dict[int, str] = attrs.field(factory=dict)
    kept: list[str] = attrs.field(factory=list)
    left: list[int] = attrs.field(factory=list)
    report: Callable[..., object] = attrs.field(default=lambda **_: None, repr=False)
    _session: Session | None = None
    _runner: Runner | None = None
    _serial: int = 0
    _doing: str = ""

    random: random.Random = attrs.field(factory=random.Random, repr=False)
    agent: Any = attrs.field(init=False, repr=False)
    nap: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random.seed(self.seed)
        self.agent = AGENTS[self.kind](**self.fields) if self.kind in AGENTS else ScriptedAgent()
        # Of this life only, also beside other tests: by it the processes of a turn are found.
        self.nap = f"sleep {LONG}.{zlib.crc32(self.word.encode())}"
        self.ended = {int(number): end for number, end in self.ended.items()}

    @property
    def session(self) -> Session:
        assert self._session is not None
        return self._session

    # ------------------------------------------------------------ living

    async def live(self, runner: Runner) -> None:
        """Have all the turns that are to come."""
        self._runner = runner
        self._open()
        try:
            if not self.kept:
                await self.turn(f"The secret word is {self.word}.")
                assert self.kept
            for _ in range(self.acts):
                with trio.fail_after(PATIENCE):
                    await self._something()
        except BaseException as exc:
            exc.add_note(f"{self.name}, {self.seed=}, doing {self._doing}; {self.session!r}")
            raise
        await self.session.aclose()

    async def remember(self, runner: Runner) -> None:
        """Show that nothing is forgotten."""
        self._runner, self._doing = runner, "remember"
        self._open()
        turn = await self.turn("!recall")
        await self.session.aclose()
        assert self.word in turn.final_message, (self.name, turn)
        forgotten = [text for text in self.kept[:-1] if text not in turn.final_message]
        assert not forgotten, (self.name, forgotten, turn)

    def _open(self) -> None:
        assert self._runner is not None
        scope = self._runner.scope(self.directory)
        self._session = self._runner.session(scope, self.agent, id=self.name, timeout=PATIENCE)

    async def _something(self) -> None:
        acts: dict[Callable[[], Awaitable[None]], int] = {
            self._calm: 4,
            self._fault: 9,
            self._tool: 2,
            self._kill_between: 1,
            partial(self._disturbed, self._kill, {E.CRASHED}): 3,
            partial(self._disturbed, self._interrupt, {E.INTERRUPTED}): 2,
            partial(self._disturbed, self._make_way, {E.INTERRUPTED}): 1,
            partial(self._disturbed, self._close, {E.INTERRUPTED}): 2,
            self._cancel: 2,
            self._steer: 1 if self.kind != "scripted" else 0,
            self._fork: 1 if self.kind != "scripted" else 0,
        }
        (act,) = self.random.choices(list(acts), list(acts.values()))
        await act()

    # ------------------------------------------------------------ one turn

    def text(self, directives: str) -> str:
        """A prompt as no other, and what it is known by."""
        self._serial += 1
        return f"{directives}\n({self.name}-{self.seed}-{self._serial})"

    async def turn(
        self, directives: str, *right: E, timeout: float | None = None, when_busy: str = "queue"
    ) -> Turn:
        """A turn; what comes of it must be right: none given = a good end."""
        prompt = self.text(directives)
        self._doing = f"{directives!r}"
        turn = await self.session.send(prompt, timeout=timeout, when_busy=when_busy)
        self.note(turn, set(right), prompt)
        if turn.ok:
            await self.settle(prompt)
        return turn

    def note(self, turn: Turn, right: set[E | None], prompt: str) -> None:
        """See whether a turn's end is right."""
        what = f"{self.name}, turn {turn.number}: {prompt!r}"
        assert turn.number not in self.ended, f"{what} has two ends: {turn}"
        assert turn.ok == (turn.error is None), f"{what}: {turn}"
        assert turn.error in (right or {None}), f"{what} should be {right or 'ok'}: {turn}"
        assert bool(turn.error_text) != turn.ok, f"{what} has no sentence: {turn}"
        self.ended[turn.number] = "ok" if turn.error is None else turn.error.value
        self.report(number=turn.number, state=self.ended[turn.number])
        assert [] == running(self.nap), f"{what} left something running: {turn}"

    async def settle(self, prompt: str) -> None:
        """Wait until a turn stands in the program's own history: claude may write later than it says.

        Who kills before that cannot expect it to remember.
        """
        known = prompt.splitlines()[-1]
        conversation = self.session.statistics().conversation
        with trio.fail_after(10):
            while known.encode() not in self._known_to(self.name, conversation):
                await trio.sleep(0.01)
        self.kept.append(known)
        self.report(kept=known)

    def _known_to(self, session: str, conversation: str) -> bytes:
        """What stands in the program's own history."""
        driver = self.agent if self.kind == "scripted" else make_driver(self.agent)
        private = os.path.join(self._runner.state, "sessions", session)
        return b"\n".join(map(read, glob.glob(driver.history(private, conversation))))

    # ------------------------------------------------------------ acts

    async def _calm(self) -> None:
        turn = await self.turn("!recall")
        assert self.word in turn.final_message, f"{self.name} has forgotten its word: {turn}"

    async def _fault(self) -> None:
        fault = self.random.choice(list(FAULTS))
        right = FAULTS[fault]
        if self.kind == "scripted":
            right = SCRIPTED.get(fault.removesuffix(" times=1"), right)
        timeout = {"!hang": 2.5, "!stall": 2.5, "!fail 429 retry-after=300": 6.0}.get(fault)
        turn = await self.turn(f"{fault}\n!say well", *right, timeout=timeout)
        if turn.ok:
            assert turn.final_message.endswith("well"), (fault, turn)

    async def _tool(self) -> None:
        name = f"file-{self.seed}-{self._serial}"
        turn = await self.turn(f"!write {name}: x\n!run setsid {self.nap} &\n!say it")
        assert [name] == [str(path) for path in turn.files_created], turn

    async def _kill_between(self) -> None:
        self._kill()
        await self._calm()

    async def _steer(self) -> None:
        prompt = self.text("!run sleep 0.3\n!say one")
        more = self.text("!say steered")
        found: list[Turn] = []
        self._doing = "steer"

        async def send(prompt: str, when_busy: str) -> None:
            found.append(await self.session.send(prompt, when_busy=when_busy))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, prompt, "queue")
            await trio.sleep(self.random.uniform(0.05, DISTURBED_WITHIN))
            nursery.start_soon(send, more, "steer")
        for turn in {turn.number: turn for turn in found}.values():
            self.note(turn, set(), prompt)

    async def _fork(self) -> None:
        at = self.session.statistics().last_good
        if not at:  # not known yet by this handle; and what is told as text would be played again
            return
        self._doing = f"fork at {at}"
        async with await self.session.fork(at=at) as fork:
            turn = await fork.send("!recall")
        assert turn.ok, turn
        known = self._known_to(fork.id, turn.conversation)
        # What it is told as text is no prompt that it could recall.
        said = known.decode() if b"goes on from an earlier one" in known else turn.final_message
        assert self.word in said, f"{self.name}: a fork has forgotten: {turn}"

    async def _cancel(self) -> None:
        prompt, before = self.text(self._long()), self.session.statistics().turns
        self._doing = f"cancel of {prompt!r}"
        with trio.move_on_after(self.random.uniform(0, DISTURBED_WITHIN)):
            await self.session.send(prompt)
            raise AssertionError(f"{prompt!r} came to an end")
        number = self.session.statistics().turns
        if 0 < before < number:  # it had begun, and it is known which it is
            self.left.append(number)
            self.report(left=number)
        assert [] == running(self.nap)

    async def _disturbed(self, disturb: Callable[[], object], right: set[E]) -> None:
        """A long turn, in which something happens at any moment."""
        prompt = self.text(self._long())
        self._doing = f"{disturb.__name__} in {prompt!r}"
        found: list[Turn] = []

        async def send() -> None:
            try:
                found.append(await self.session.send(prompt))
            except SessionClosed:  # before it had begun
                assert disturb == self._close

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(self.random.uniform(0, DISTURBED_WITHIN))
            while True:
                await disturb() if disturb != self._kill else self._kill()
                with trio.move_on_after(0.5):
                    while not found and disturb != self._close:
                        await trio.sleep(0.01)
                    break
        for turn in found:
            self.note(turn, set(right), prompt)
        if disturb == self._close:
            self._open()

    def _long(self) -> str:
        sleep = f"!run {self.nap}"
        return self.random.choice([f"!sleep {LONG}", sleep, f"!say some\n{sleep}"])

    def _kill(self) -> None:
        pid = self.session.statistics().pid
        if pid is not None:
            with suppress(
                ProcessLookupError
            ):  # it is ending, and its keeper has just waited for it
                os.kill(pid, signal.SIGKILL)

    async def _interrupt(self) -> None:
        await self.session.interrupt()

    async def _make_way(self) -> None:
        await self.turn("!say first", when_busy="interrupt")

    async def _close(self) -> None:
        await self.session.aclose()


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def running(wanted: str) -> list[str]:
    """The command lines of living processes that have a text in them."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            line = read(f"/proc/{name}/cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if wanted in line:
            found.append(line)
    return found


async def live_all(state: str, lives: list[Life], idle_after: float) -> None:
    """Let all live at once."""
    config = RunnerConfig(idle_after_session=idle_after)
    async with open_runner(config, state=state) as runner, trio.open_nursery() as nursery:
        for life in lives:
            nursery.start_soon(life.live, runner)


def main() -> None:
    """Hold the lives until killed."""
    asked = json.loads(sys.argv[1])
    lives = [Life(**each) for each in asked["lives"]]
    for life in lives:
        life.report = partial(say, life.name)
    trio.run(live_all, asked["state"], lives, 2.0)


def say(name: str, **what: object) -> None:
    print(json.dumps({"name": name, **what}), flush=True)


if __name__ == "__main__":
    main()
