"""SIGKILL of the supervisor, whatever it is about: the next one finds all, and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from runner.agents.driver import Agent, ClaudeAgent, CodexAgent
from runner.runtime import open_runner
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.testing.model_server import Served
from runner.testing.scripted import ScriptedAgent

Until = Callable[..., Awaitable[None]]

SUPERVISOR = """
import json, sys, trio, runner
from runner.agents.driver import ClaudeAgent, CodexAgent
from runner.runtime import open_runner
from runner.testing.scripted import ScriptedAgent

state, work, kind, record, prompts, closing = sys.argv[1:]
fields = json.loads(record)
for name in ("args", "pass_env"):
    fields.pop(name, None)
agent = {"claude": ClaudeAgent, "codex": CodexAgent, "scripted": ScriptedAgent}[kind](**fields)

async def main():
    async with open_runner(state=state) as r, trio.open_nursery() as nursery:
        session = r.session(r.scope(work), agent, id="mine")
        *finished, last = json.loads(prompts)
        for prompt in finished:
            turn = await session.send(prompt)
            assert turn.ok, turn
        if last:
            nursery.start_soon(session.send, last)
        print("idle", flush=True)
        if closing:
            await trio.sleep(0.3)
            print("closing", flush=True)
            await session.aclose()
        await trio.sleep_forever()

trio.run(main)
"""


@attrs.define
class Killed:
    """A supervisor in a process of its own."""

    process: subprocess.Popen[bytes]
    state: Path
    run: str = ""

    def kill(self) -> None:
        (marker,) = [p.name for p in (self.state / "runs").iterdir() if self._is_its(p)]
        self.run = marker
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def _is_its(self, marker: Path) -> bool:
        """Whether that process has the file open."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        return any(os.path.realpath(fd) == str(marker) for fd in fds.iterdir())


@pytest.fixture(params=["scripted", "claude", "codex"])
def agent(request: pytest.FixtureRequest) -> Agent | ScriptedAgent:
    if request.param == "scripted":
        return ScriptedAgent()
    program = request.getfixturevalue(f"{request.param}_program")
    server: Served = request.getfixturevalue("model_server")
    if request.param == "claude":
        access = "danger-full-access"
        return ClaudeAgent(program=program, access=access, env=server.claude_env())
    config = server.codex_config(request_max_retries=2, stream_max_retries=3)
    access = "danger-full-access"
    return CodexAgent(program=program, access=access, env=server.codex_env(), config=config)


@pytest.fixture
def supervise(
    state: Path, work: Path, agent: Agent | ScriptedAgent
) -> Iterator[Callable[..., Killed]]:
    started = []

    def start(*prompts: str, closing: bool = False) -> Killed:
        fields = {} if isinstance(agent, ScriptedAgent) else attrs.asdict(agent)
        argv = (str(state), str(work), agent.kind, json.dumps(fields), json.dumps(prompts))
        process = subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, *argv, "closing" if closing else ""],
            stdout=subprocess.PIPE,
        )
        started.append(process)
        return Killed(process, state)

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tagged(run: str) -> list[str]:
    """The command lines of the living processes of a run."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"RUNNER_RUN={run}\0".encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(Path(f"/proc/{name}/cmdline").read_text())
        except OSError:
            pass
    return found


def known_processes(state: Path) -> int:
    ledger = SessionLedger(ledger_of(str(state)))
    return len(ledger.processes("mine")) if ledger.is_there else 0


def has_prompt(state: Path, word: str) -> bool:
    """Whether the program's own history has a prompt; claude says later that it has taken it."""
    private = state / "sessions" / "mine"
    files = (*(private / "home").rglob("*.jsonl"), *private.glob("scripted-*"))
    return any(word.encode() in each.read_bytes() for each in files)


@pytest.mark.real_agents
@pytest.mark.parametrize("is_open", [False, True], ids=["next", "beside"])
@pytest.mark.parametrize("phase", ["starting", "in turn", "in tool", "between turns", "closing"])
async def test_the_next_supervisor_finds_all_and_goes_on(
    supervise: Callable[..., Killed],
    agent: Agent | ScriptedAgent,
    state: Path,
    work: Path,
    until: Until,
    phase: str,
    is_open: bool,
) -> None:
    last = {
        "starting": "!say started",
        "in turn": "!sleep 300.75",
        "in tool": "!run touch in-tool; sleep 300.75",
        "between turns": "",
        "closing": "!sleep 300.75",
    }[phase]
    first = () if phase == "starting" else ("!say one",)
    with trio.fail_after(100):
        if is_open:  # another run on the same state, which is there before and after
            async with open_runner(state=state) as runner:
                await carry_on(runner, supervise, agent, work, until, phase, first, last)
        else:
            killed = await kill(supervise, state, work, until, phase, first, last)
            async with open_runner(state=state) as runner:
                await go_on(runner, killed, agent, work, phase)


async def carry_on(
    runner: object, supervise: object, agent: object, work: Path, until: Until, *rest: object
) -> None:
    killed = await kill(supervise, Path(runner.state), work, until, *rest)
    await go_on(runner, killed, agent, work, rest[0])


async def kill(
    supervise: Callable[..., Killed],
    state: Path,
    work: Path,
    until: Until,
    phase: str,
    first: tuple[str, ...],
    last: str,
) -> Killed:
    killed = supervise(*first, last, closing=phase == "closing")
    read = killed.process.stdout.readline
    if phase == "starting":
        await until(lambda: known_processes(state), within=60)
    else:
        assert b"idle\n" == await trio.to_thread.run_sync(read)
    if phase == "in turn":
        await until(lambda: has_prompt(state, "300.75"), within=60)
    elif phase == "in tool":
        await until((work / "in-tool").exists, within=60)
    elif phase == "closing":
        assert b"closing\n" == await trio.to_thread.run_sync(read)
    elif phase == "between turns":  # claude writes a turn 0.1 s after its end
        await trio.sleep(0.3)
    killed.kill()
    return killed


async def go_on(runner: object, killed: Killed, agent: object, work: Path, phase: str) -> None:
    session = runner.session(runner.scope(work), agent, id="mine")
    async with session:
        turn = await session.send("!recall")
        assert turn.ok, turn
        assert [] == tagged(killed.run)
        recalled = await session.send("!recall")
    ledger = SessionLedger(ledger_of(str(killed.state)))
    turns = {each.number: each for each in ledger.turns("mine")}

    assert [] == ledger.processes("mine")
    if phase != "starting":
        assert "!say one" in turn.final_message
    if phase in ("in turn", "in tool"):
        assert ("cut", 3) == (turns[2].state, turn.number)
        assert "300.75" in str(turns[2].prompt)
        assert "was cut off" in recalled.final_message
    if phase == "between turns":
        assert ("ok", 2) == (turns[1].state, turn.number)
        assert "was cut off" not in recalled.final_message


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
