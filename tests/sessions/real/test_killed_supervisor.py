"""SIGKILL of the supervisor, whatever it is about: the next one finds all, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import attrs
import pytest
import trio

from runner.agents.driver import Agent
from runner.processes.sweep import SESSION_TAG
from runner.runner import Runner
from runner.runtime import open_runner
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.testing.scripted import ScriptedAgent

Until = Callable[..., Awaitable[None]]
HasKept = Callable[[Path, str], bool]

SUPERVISOR = """
import json, sys, trio
from functools import partial
from runner import RunnerConfig
from runner.agents.driver import ClaudeAgent, CodexAgent
from runner.agents.events import Text
from runner.runtime import open_runner
from runner.sessions.approving import Approvals
from runner.testing.scripted import ScriptedAgent

state, work, kind, record, prompts, moment = sys.argv[1:]
fields = json.loads(record)
for name in ("args", "pass_env"):
    fields.pop(name, None)
agent = {"claude": ClaudeAgent, "codex": CodexAgent, "scripted": ScriptedAgent}[kind](**fields)
options = {"approvals": Approvals()} if moment == "approving" else {}
idle_after = 0.1 if moment in ("reaped", "reviving") else 300.0

async def until(fact):
    while not fact():
        await trio.sleep(0.001)

async def main():
    config = RunnerConfig(idle_after_session=idle_after)
    async with open_runner(config, state=state) as r, trio.open_nursery() as nursery:
        session = r.session(r.scope(work), agent, id="mine", **options)
        now = session.statistics
        *finished, last = json.loads(prompts)
        for prompt in finished:
            turn = await session.send(prompt)
            assert turn.ok, turn
        if idle_after < 1:
            await until(lambda: now().phase == "reaped")
        async with session.events() as events:
            if last:
                nursery.start_soon(partial(session.send, last, max_park=7200.0))
            if moment in ("starting", "reviving"):
                await until(lambda: now().pid)
            elif moment == "streaming":
                while not isinstance((await events.receive()).event, Text):
                    pass
            elif moment == "approving":
                await until(session.approvals)
            elif moment == "parked":
                await until(lambda: now().phase == moment)
            print("there", flush=True)
            if moment in ("interrupting", "closing"):
                await trio.to_thread.run_sync(sys.stdin.readline)
                nursery.start_soon(session.interrupt if moment == "interrupting" else session.aclose)
                await until(lambda: now().phase == moment)
                print("there", flush=True)
            await trio.sleep_forever()

trio.run(main)
"""
PROMPTS = {
    "starting": "!say started",
    "between turns": "",
    "thinking": "!sleep 300.75",
    "streaming": "!say so far\n!sleep 300.75",
    "in tool": "!run touch in-tool; sleep 300.75",
    "approving": "",  # as the program wants it
    "interrupting": "!sleep 300.75",
    "parked": "!fail 429 resets=3600\n(300.75)",
    "reaped": "",
    "reviving": "!say revived",
    "closing": "!sleep 300.75",
}
# The turn in flight has reached the program.
IN_TURN = {"thinking", "streaming", "in tool", "approving", "interrupting", "parked", "closing"}
# Which program it is does not matter to another run.
BESIDE = {("scripted", "in tool"), ("scripted", "closing"), ("claude", "in tool")}
# Of each program, and whether another run has the same state open meanwhile.
CASES = [
    pytest.param(kind, moment, is_open, id=f"{kind}, {moment}, {'beside' if is_open else 'next'}")
    for kind in ("scripted", "claude", "codex")
    for moment in PROMPTS
    for is_open in ([False, True] if (kind, moment) in BESIDE else [False])
    if (kind, moment) != ("scripted", "approving")  # it asks for nothing
]


@attrs.define
class Killed:
    """A supervisor in a process of its own."""

    process: Any  # Forked, of tests/conftest.py
    given: BinaryIO
    said: BinaryIO
    state: Path
    run: str = ""

    def find_run(self) -> None:
        (marker,) = [p.name for p in (self.state / "runs").iterdir() if self._is_its(p)]
        self.run = marker

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    async def hear(self) -> None:
        """Wait until it is there."""
        assert b"there\n" == await trio.to_thread.run_sync(self.said.readline)

    async def go_on(self) -> None:
        """Let it do what it is to be killed in."""
        self.given.write(b"\n")
        await self.hear()

    def _is_its(self, marker: Path) -> bool:
        """Whether that process has the file open."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        return any(os.path.realpath(fd) == str(marker) for fd in fds.iterdir())


@pytest.fixture
def agent(kind: str, moment: str, real_agent: Callable[..., Agent]) -> Agent | ScriptedAgent:
    access = "workspace-write" if moment == "approving" else "danger-full-access"
    if kind == "scripted":
        return ScriptedAgent()
    return real_agent(kind, access=access, subscriber=moment == "parked")


@pytest.fixture
def supervise(
    state: Path, work: Path, agent: Agent | ScriptedAgent, template: Any
) -> Iterator[Callable[..., Killed]]:
    """Have a supervisor hold the session, in a process of its own."""
    with ExitStack() as stack:

        def start(*prompts: str, moment: str) -> Killed:
            fields = {} if isinstance(agent, ScriptedAgent) else attrs.asdict(agent)
            args = (str(state), str(work), agent.kind, json.dumps(fields), json.dumps(prompts))
            (its_in, our_in), (our_out, its_out) = os.pipe(), os.pipe()
            given = stack.enter_context(open(our_in, "wb", buffering=0))
            said = stack.enter_context(open(our_out, "rb"))
            streams = (its_in, its_out, 2)
            process = template.fork((*args, moment), SUPERVISOR, state.parent, os.environ, streams)
            os.close(its_in)
            os.close(its_out)
            killed = Killed(process, given, said, state)
            stack.callback(killed.kill)
            return killed

        yield start


def tagged(run: str, *tags: str) -> list[int]:
    """The living processes of a run, of those with more tags."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path(f"/proc/{name}/environ").read_text().split("\0")
            if {f"RUNNER_RUN={run}", *tags} <= set(environ):
                found.append(int(name))
        except OSError:
            pass
    return found


@pytest.mark.real_agents
@pytest.mark.parametrize(("kind", "moment", "is_open"), CASES)
async def test_the_next_supervisor_finds_all_and_goes_on(
    supervise: Callable[..., Killed],
    agent: Agent | ScriptedAgent,
    ask_leave: Callable[[Path], str],
    state: Path,
    work: Path,
    until: Until,
    has_kept: HasKept,
    moment: str,
    is_open: bool,
) -> None:
    last = ask_leave(work.parent / "300.75") if moment == "approving" else PROMPTS[moment]
    prompts = (last,) if moment == "starting" else ("!say one", last)
    with trio.fail_after(100):
        async with AsyncExitStack() as stack:
            enter = partial(stack.enter_async_context, open_runner(state=state))
            runner = await enter() if is_open else None
            killed = await kill(supervise, until, has_kept, work, prompts, moment)
            await go_on(runner or await enter(), killed, agent, work, moment)


async def kill(
    supervise: Callable[..., Killed],
    until: Until,
    has_kept: HasKept,
    work: Path,
    prompts: tuple[str, ...],
    moment: str,
) -> Killed:
    """Have a supervisor come to a moment, and kill it there."""
    killed = supervise(*prompts, moment=moment)
    await killed.hear()
    killed.find_run()
    private = killed.state / "sessions" / "mine"
    if moment in IN_TURN:
        await until(lambda: has_kept(private, "300.75"), within=60)
    if moment == "in tool":
        await until((work / "in-tool").exists, within=60)
    elif moment in ("interrupting", "closing"):  # which do not come to their end
        for pid in tagged(killed.run, f"{SESSION_TAG}=mine"):
            os.kill(pid, signal.SIGSTOP)
        await killed.go_on()
    elif moment in ("between turns", "reaped"):
        await until(lambda: has_kept(private, "!say one"), within=60)
    killed.kill()
    return killed


async def go_on(
    runner: Runner, killed: Killed, agent: Agent | ScriptedAgent, work: Path, moment: str
) -> None:
    """See that all is found, and that the conversation goes on."""
    session = runner.session(runner.scope(work), agent, id="mine")
    async with session:
        turn = await session.send("!recall")
        assert turn.ok, turn
        assert [] == tagged(killed.run)
        recalled = await session.send("!recall")
    ledger = SessionLedger(ledger_of(str(killed.state)))
    turns = {each.number: each for each in ledger.turns("mine")}

    assert [] == ledger.processes("mine")
    if moment != "starting":
        assert "!say one" in turn.final_message
    if moment in IN_TURN:
        assert ("cut", 3) == (turns[2].state, turn.number)
        assert "300.75" in str(turns[2].prompt)
        assert "300.75" in turn.final_message
        assert "was cut off" in recalled.final_message
    elif moment in ("between turns", "reaped"):
        assert ("ok", 2) == (turns[1].state, turn.number)
        assert "was cut off" not in recalled.final_message
    else:
        assert turns[turn.number - 1].state in ("cut", "ok")


@pytest.mark.parametrize("attempt", range(5))
async def test_what_outlived_its_keepers_is_ended_before_the_program_is_started_again(
    sessions: Sessions, work: Path, fake: Callable[..., object], attempt: int
) -> None:
    run, others = f"run-{os.getpid()}-{attempt}", []
    async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
        await session.send("say one")
    sessions.ledger.begin_process("mine", run)
    for name in ("mine", "another"):
        env = {"PATH": os.environ["PATH"], "RUNNER_RUN": run, "RUNNER_SESSION": name}
        others.append(subprocess.Popen(["sleep", "300"], env=env, start_new_session=True))
    try:
        async with sessions.make_session(str(work), driver=fake(), id="mine") as session:
            turn = await session.send("recall")
            assert "say one" == turn.final_message
            assert (-9, None) == (others[0].wait(5), others[1].poll())
        assert [] == sessions.ledger.processes("mine")
    finally:
        for process in others:
            process.kill()
            process.wait()
