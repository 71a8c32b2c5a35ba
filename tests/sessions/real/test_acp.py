"""The real gemini and opencode over the Agent Client Protocol, over many turns and through kills.

They ask a model server on this machine; what the model does is said by the prompts.
"""

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

from runner.agents.driver import AcpAgent
from runner.agents.events import ApprovalAsked, ErrorClass, FileChange, ToolCall, WriteAsked
from runner.errors import AgentUnavailable
from runner.runtime import open_runner
from runner.sessions.approving import Approvals
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.testing.model_server import Served

pytestmark = [pytest.mark.real_agents, pytest.mark.timeout(300)]

Make = Callable[..., Session]
Commands = Callable[[str], list[int]]
Until = Callable[..., Awaitable[None]]

# Of the ways to cut a turn: opencode takes seconds to start again after each.
TRIED = {"gemini": slice(0, 4), "opencode": slice(1, 3)}
CRASHED, INTERRUPTED = ErrorClass.CRASHED, ErrorClass.INTERRUPTED


@pytest.fixture(params=["gemini", "opencode"])
def kind(request: pytest.FixtureRequest) -> str:
    """Which program."""
    request.getfixturevalue(f"{request.param}_program")  # or skip
    return str(request.param)


@pytest.fixture
def make(kind: str, acp_agent: Callable[..., AcpAgent], sessions: Sessions, work: Path) -> Make:
    """Make a session with the real program, which may do everything unless it is said."""

    def make(access: str = "danger-full-access", **options: object) -> Session:
        options.setdefault("timeout", 60.0)
        return sessions.make_session(str(work), acp_agent(kind, access=access), **options)

    return make


async def test_a_conversation_goes_on_through_everything(
    kind: str,
    make: Make,
    work: Path,
    commands: Commands,
    until: Until,
    model_server: Served,
) -> None:
    """One conversation: tools, interrupts, kills in turns, a reopening, a reap, a fork.

    opencode is not reaped: that is the same as a reopening, and each of its starts takes seconds.
    """
    turns: list[Turn] = []

    def asked(word: str) -> bool:
        return word in str(model_server.requests)

    async with make(id="one") as session:

        async def send(prompt: str) -> None:
            turns.append(await session.send(prompt))

        async def cut(prompt: str, is_there: Callable[[], object], end: ErrorClass) -> None:
            with trio.fail_after(90):
                async with session.events() as events, trio.open_nursery() as nursery:
                    nursery.start_soon(send, prompt)
                    await until(is_there, within=80)
                    # Of what it has not said a word about, it is asked again if it dies.
                    while "!run" in prompt and not isinstance(
                        (await events.receive()).event, ToolCall
                    ):
                        pass
                    if end is INTERRUPTED:
                        assert await session.interrupt()
                    else:
                        os.kill(session.statistics().pid, signal.SIGKILL)
            assert (False, end) == (turns[-1].ok, turns[-1].error), turns[-1]
            assert [] == commands("sleep 300")
            if end is CRASHED:
                await until(lambda: session.statistics().pid is None)

        first = await session.send("!write one.txt: 1\n!run cat one.txt > two.txt\n!say made")
        assert (True, "made") == (first.ok, first.final_message), first
        assert ["one.txt", "two.txt"] == sorted(map(str, first.files_created))

        # The last one must start the program: one that was there, and dies before it has said a word
        # of the prompt, is not at fault, and the prompt is sent again.
        cuts = (
            ("!sleep 300.1\n!say never", lambda: asked("!sleep 300.1"), INTERRUPTED),
            ("!run sleep 300.2\n!say never", lambda: commands("sleep 300.2"), INTERRUPTED),
            ("!run sleep 300.3\n!say never", lambda: commands("sleep 300.3"), CRASHED),
            ("!sleep 300.4\n!say never", lambda: asked("!sleep 300.4"), CRASHED),
        )
        for each in cuts[TRIED[kind]]:
            await cut(*each)

    idle_after = 1.0 if kind == "gemini" else 60.0
    async with make(id="one", idle_after=idle_after) as session:  # as a later process would
        turn = await session.send("!recall")
        assert turn.ok, turn
        assert first.conversation == turn.conversation
        for each in ("!write one.txt: 1", "!run sleep 300.2", "!run sleep 300.3"):
            assert each in turn.final_message

        if kind == "gemini":
            await until(lambda: session.statistics().phase == "reaped", within=30)
            turn = await session.send("!recall 1")
            assert turn.ok, turn
            assert first.conversation == turn.conversation
        async with await session.fork(at=1) as fork:  # as text: nobody knows its program's files
            turn = await fork.send("!say forked")
            assert (True, "forked") == (turn.ok, turn.final_message), turn
            told = (await fork.send("!recall")).final_message
            assert "!write one.txt: 1\n> !run cat" in told, told
            assert turn.conversation != first.conversation
    assert [] == commands(work.name)


async def test_what_is_asked_for_is_decided_and_files_are_written_by_us_if_it_wants_that(
    kind: str, make: Make, work: Path
) -> None:
    asked: list[ApprovalAsked] = []

    def decide(what: ApprovalAsked) -> bool:
        asked.append(what)
        return "no" not in str(what.input)

    seen = []
    async with make("workspace-write", approvals=Approvals(ask=decide)) as session:
        async with session.events() as events:
            turn = await session.send("!write yes.txt: hello\n!run cat yes.txt > out.txt\n!say on")
            refused = await session.send("!write no.txt: x\n!run touch no.touched\n!say on")
            while not seen or (refused.conversation and len(seen) < session.statistics().events):
                seen.append((await events.receive()).event)

    assert (True, "on") == (turn.ok, turn.final_message), turn
    assert refused.ok, refused
    assert "hello\n" == (work / "out.txt").read_text()
    assert ["out.txt", "yes.txt"] == sorted(os.listdir(work))
    assert ["edit", "command"] == [each.kind for each in asked[:2]]
    decided = [(each.by, each.decision.allow) for each in (*turn.approvals, *refused.approvals)]
    assert [("callback", True)] * 2 == decided[:2]
    assert {("callback", False)} == set(decided[2:])
    written = [Path(each.path).name for each in seen if isinstance(each, WriteAsked)]
    assert ["yes.txt"] == written  # both have us write; opencode does so itself as well
    changed = [Path(each.path).name for each in seen if isinstance(each, FileChange)]
    assert ["yes.txt"] == changed


async def test_what_the_program_cannot_do_is_refused_before_anything_is_started(
    kind: str, make: Make, acp_agent: Callable[..., AcpAgent], sessions: Sessions, work: Path
) -> None:
    modeless = attrs.evolve(acp_agent(kind), modes={})
    async with sessions.make_session(str(work), modeless) as session:
        with pytest.raises(AgentUnavailable, match="cannot be held to an access"):
            await session.send("!say x", access="read-only")
        assert 0 == session.statistics().starts
    async with make(approvals=Approvals()) as session:
        assert not await session.interrupt()
        with pytest.raises(AgentUnavailable):
            await session.send("!say x", when_busy="steer")
        assert 0 == session.statistics().starts
    assert [] == os.listdir(work)


SUPERVISOR = """
import json, sys, trio
from runner.agents.driver import AcpAgent
from runner.runtime import open_runner

state, work, record, last = sys.argv[1:]
fields = json.loads(record)
for name in ("argv", "pass_env", "servers"):
    fields[name] = tuple(fields[name])

async def main():
    async with open_runner(state=state) as r, trio.open_nursery() as nursery:
        session = r.session(r.scope(work), AcpAgent(**fields), id="mine")
        turn = await session.send("!say one")
        assert turn.ok, turn
        nursery.start_soon(session.send, last)
        print("there", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture
def supervise(state: Path, work: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Have a supervisor of its own hold the session, with a turn in flight."""
    started = []

    def start(agent: AcpAgent, last: str) -> subprocess.Popen[bytes]:
        argv = (str(state), str(work), json.dumps(attrs.asdict(agent)), last)
        command = [sys.executable, "-c", SUPERVISOR, *argv]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def children_of(word: str) -> list[int]:
    """The living processes that have a word in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if word.encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(int(name))
        except OSError:
            pass
    return found


async def test_the_next_supervisor_ends_what_is_left_and_goes_on(
    kind: str,
    supervise: Callable[..., subprocess.Popen[bytes]],
    acp_agent: Callable[..., AcpAgent],
    state: Path,
    work: Path,
    until: Until,
) -> None:
    agent = acp_agent(kind)
    killed = supervise(agent, "!run touch in-tool; sleep 300.75\n!say never")
    with trio.fail_after(100):
        assert b"there\n" == await trio.to_thread.run_sync(killed.stdout.readline)
        await until((work / "in-tool").exists, within=60)
        (run,) = os.listdir(state / "runs")
        killed.send_signal(signal.SIGKILL)
        killed.wait(10)
        async with open_runner(state=state) as runner:
            session = runner.session(runner.scope(str(work)), agent, id="mine")
            async with session:
                turn = await session.send("!recall")
                assert turn.ok, turn
                assert [] == children_of(f"RUNNER_RUN={run}")
                recalled = await session.send("!recall 1")
        ledger = SessionLedger(ledger_of(str(state)))
        turns = {each.number: each for each in ledger.turns("mine")}

    assert ("cut", 3) == (turns[2].state, turn.number)
    assert "!say one" in turn.final_message
    assert "300.75" in turn.final_message
    assert "was cut off" in recalled.final_message
    assert [] == ledger.processes("mine")
