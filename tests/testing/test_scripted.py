"""ScriptedAgent: its program is a real process, so most tests speak with that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
import trio

import runner
from runner.agents.driver import Driver, Setting
from runner.agents.events import (
    ConversationStarted,
    ErrorClass,
    Event,
    Raw,
    Ready,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    Usage,
    UsageChanged,
)
from runner.errors import LocalProtocolError
from runner.testing.model.steps import Exit, Fail, Say, Step, Write
from runner.testing.scripted import ScriptedAgent, ScriptedConversation


@attrs.define(eq=False)
class Talk:
    """A conversation and its process, joined as simply as can be."""

    process: trio.Process
    conversation: ScriptedConversation
    events: list[Event] = attrs.field(factory=list)

    async def wait(self, enough: Callable[[list[Event]], bool]) -> list[Event]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with trio.fail_after(20):
            while not enough(self.events):
                await self.process.stdin.send_all(self.conversation.data_to_send())
                data = await self.process.stdout.receive_some()
                if data:
                    self.events += self.conversation.receive(data)
                else:
                    code = await self.process.wait()
                    assert self.process.stderr is not None
                    text = await self.process.stderr.receive_some()
                    self.events += self.conversation.receive_end(code, bytes(text))
        events, self.events = self.events, []
        return events

    async def begin(self, prompt: str) -> None:
        self.conversation.send_turn("t", prompt)
        assert self.process.stdin is not None
        await self.process.stdin.send_all(self.conversation.data_to_send())

    async def end(self) -> tuple[TurnEnded, list[Event]]:
        events = await self.wait(lambda seen: any(isinstance(e, TurnEnded) for e in seen))
        last = events.pop()
        assert isinstance(last, TurnEnded)
        return last, events

    async def turn(self, prompt: str) -> tuple[TurnEnded, list[Event]]:
        await self.begin(prompt)
        return await self.end()


@asynccontextmanager
async def talk_to(
    agent: ScriptedAgent, tmp_path: Path, *, resume: bool = False, conversation: str = "c/1"
) -> AsyncIterator[Talk]:
    (tmp_path / "private").mkdir(exist_ok=True)
    (tmp_path / "work").mkdir(exist_ok=True)
    setting = Setting(
        cwd=str(tmp_path / "work"),
        private=str(tmp_path / "private"),
        conversation=conversation,
        resume=resume,
    )
    launch = agent.launch(setting)
    argv, env = launch.argv, dict(launch.env)
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
    if measured:  # what is isolated cannot be measured
        argv = (argv[0], *argv[3:])
    process = await trio.lowlevel.open_process(
        argv,
        cwd=setting.cwd,
        env=env | measured,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield Talk(process, agent.conversation(setting))
        assert process.stdin is not None
        await process.stdin.aclose()
        with trio.move_on_after(5):
            await process.wait()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await stream.aclose()


@asynccontextmanager
async def ready_talk(
    tmp_path: Path, *turns: str | tuple[Step, ...], resume: bool = False
) -> AsyncIterator[Talk]:
    async with talk_to(ScriptedAgent(turns=turns), tmp_path, resume=resume) as talk:
        await talk.wait(lambda seen: len(seen) == 2)
        yield talk


def test_it_is_a_driver() -> None:
    driver: Driver = ScriptedAgent()

    assert (driver.name, driver.process_per_turn) == ("scripted", False)
    assert [rung.act for rung in driver.ladder] == ["interrupt", "eof", "SIGTERM"]


async def test_it_says_which_conversation_it_is_and_is_ready(tmp_path: Path) -> None:
    async with talk_to(ScriptedAgent(), tmp_path) as talk:
        assert not talk.conversation.ready
        with pytest.raises(LocalProtocolError):
            talk.conversation.send_turn("t", "too early")
        events = await talk.wait(lambda seen: len(seen) == 2)

        assert events == [Ready(), ConversationStarted(conversation="c/1")]
        assert talk.conversation.ready


async def test_a_conversation_without_a_name_gets_one(tmp_path: Path) -> None:
    async with talk_to(ScriptedAgent(), tmp_path, conversation="") as talk:
        events = await talk.wait(lambda seen: len(seen) == 2)

        assert events[1] == ConversationStarted(conversation="scripted")


async def test_a_turn_is_played_in_its_order(tmp_path: Path) -> None:
    prompt = (
        "!think so\n!say first\n!write a/b.txt: hi\n!run cat a/b.txt; echo err >&2; exit 3\n"
        '!tool Odd {"x": 1}\n!usage input=3 output=2\n!cost 0.5\n!stop odd\n!say one\n!say two'
    )
    async with ready_talk(tmp_path) as talk:
        ended, events = await talk.turn(prompt)

    assert events == [
        TurnStarted(turn="t"),
        Thinking(text="so"),
        Text(text="first"),
        ToolCall(id="call-1-1", name="write", input={"path": "a/b.txt", "content": "hi\n"}),
        ToolResult(id="call-1-1", ok=True),
        ToolCall(id="call-1-2", name="run", input={"command": "cat a/b.txt; echo err >&2; exit 3"}),
        ToolResult(id="call-1-2", ok=False, text="hi\nerr\n"),
        ToolCall(id="call-1-3", name="Odd", input={"x": 1}),
        ToolResult(id="call-1-3", ok=True),
        UsageChanged(usage=Usage(input_tokens=3, output_tokens=2)),
        Text(text="one"),
        Text(text="two"),
    ]
    assert attrs.evolve(ended, raw={}) == TurnEnded(
        turn="t",
        ok=True,
        message="one\ntwo",
        stop="odd",
        usage=Usage(input_tokens=3, output_tokens=2),
        cost_usd=0.5,
        cost_source="program",
    )
    assert (tmp_path / "work/a/b.txt").read_text() == "hi\n"


async def test_without_directives_the_answer_is_a_plain_sentence(tmp_path: Path) -> None:
    async with ready_talk(tmp_path) as talk:
        ended, _ = await talk.turn("hello")

    assert ended.ok
    assert ended.message == "I have read the prompt; no directive in it is for me."
    assert ended.usage == Usage(input_tokens=100, output_tokens=10)
    assert (ended.cost_usd, ended.cost_source) == (None, "none")


async def test_scripts_decide_the_first_turns_and_prompts_the_later_ones(tmp_path: Path) -> None:
    async with ready_talk(tmp_path, "!say one", (Say(text="two"),)) as talk:
        said = [(await talk.turn(prompt))[0].message for prompt in ("a", "!say x", "!recall")]

    assert said == ["one", "two", "a\n!say x"]


async def test_a_file_that_cannot_be_written_is_a_failed_call(tmp_path: Path) -> None:
    async with ready_talk(tmp_path, (Write(path="/dev/null/x/y", content=""),)) as talk:
        ended, events = await talk.turn("go")

    assert ended.ok
    result = events[-1]
    assert isinstance(result, ToolResult)
    assert not result.ok
    assert "Not a directory" in result.text


async def test_a_killed_conversation_is_resumed_with_what_it_knows(tmp_path: Path) -> None:
    agent = ScriptedAgent(turns=("!say one", "!exit -9", "!say three"))
    async with talk_to(agent, tmp_path) as talk:
        await talk.wait(lambda seen: len(seen) == 2)
        await talk.turn("first")
        crashed, _ = await talk.turn("second")
        assert talk.process.returncode == -signal.SIGKILL
    async with talk_to(agent, tmp_path, resume=True) as talk:
        await talk.wait(lambda seen: len(seen) == 2)
        third, _ = await talk.turn("third")
        fourth, _ = await talk.turn("!recall")

    assert (crashed.ok, crashed.error) == (False, ErrorClass.CRASHED)
    assert "it ended (SIGKILL)" in crashed.error_text
    assert third.message == "three"
    assert fourth.message == "first\nsecond\nthird"


async def test_an_unknown_conversation_cannot_be_resumed(tmp_path: Path) -> None:
    async with talk_to(ScriptedAgent(), tmp_path, resume=True) as talk:
        assert await talk.process.wait() == 1
        assert talk.process.stderr is not None
        said = bytes(await talk.process.stderr.receive_some())

        assert said == b"No conversation found: c/1\n"
        assert talk.conversation.receive_end(1, said) == []


async def test_a_crash_says_what_was_on_standard_error(tmp_path: Path) -> None:
    async with ready_talk(tmp_path, "!stderr it is broken\n!exit 3") as talk:
        ended, _ = await talk.turn("go")

    assert (ended.error, ended.error_text) == (
        ErrorClass.CRASHED,
        "it ended (exit 3) in the turn: it is broken",
    )


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("!fail 429 retry-after=60", ErrorClass.RATE_LIMITED),
        ("!fail 429 resets=60", ErrorClass.RATE_LIMITED),
        ("!fail refused", ErrorClass.REFUSED),
        ("!fail budget", ErrorClass.BUDGET),
        ("!drop", ErrorClass.NETWORK),
        ("!reset", ErrorClass.NETWORK),
        ("!malformed", ErrorClass.PROTOCOL),
        ("!misspelt", ErrorClass.BAD_REQUEST),
    ],
)
async def test_a_failed_turn_has_its_class_and_the_next_one_works(
    tmp_path: Path, script: str, error: ErrorClass
) -> None:
    before = datetime.now(UTC)
    async with ready_talk(tmp_path, script) as talk:
        ended, _ = await talk.turn("go")
        after, _ = await talk.turn("!say well")

    assert (ended.ok, ended.error, ended.stop) == (False, error, "failed")
    assert ended.error_text
    if error is ErrorClass.RATE_LIMITED:
        assert ended.resets_at is not None
        assert 59 < (ended.resets_at - before).total_seconds() < 90
    else:
        assert ended.resets_at is None
    assert after.message == "well"


async def test_times_are_counted_over_all_sessions_of_the_agent(tmp_path: Path) -> None:
    agent = ScriptedAgent(turns=((Fail(status=529, error=ErrorClass.OVERLOADED, times=1),),))
    said = []
    for name in ("one", "two"):
        async with talk_to(agent, tmp_path, conversation=name) as talk:
            await talk.wait(lambda seen: len(seen) == 2)
            said.append((await talk.turn("go"))[0].ok)

    assert said == [False, True]


@pytest.mark.parametrize("step", ["!stall", "!hang", "!sleep 60", "!run sleep 60 & sleep 60"])
@pytest.mark.parametrize("early", [False, True])
async def test_an_interrupt_ends_the_turn_at_once(
    tmp_path: Path, step: str, *, early: bool
) -> None:
    async with ready_talk(tmp_path) as talk:
        talk.conversation.interrupt()  # nothing to interrupt
        await talk.begin(f"!say begun\n{step}")
        with pytest.raises(LocalProtocolError):
            talk.conversation.send_turn("u", "in flight")
        if not early:
            await talk.wait(lambda seen: len(seen) >= 2)
        talk.conversation.interrupt()
        ended, _ = await talk.end()
        after, _ = await talk.turn("!say well")

    assert (ended.ok, ended.stop, ended.error) == (False, "interrupted", ErrorClass.INTERRUPTED)
    assert after.message == "well"


@pytest.mark.parametrize("attempt", range(20))
async def test_an_interrupt_that_comes_too_late_does_nothing(tmp_path: Path, attempt: int) -> None:
    async with ready_talk(tmp_path) as talk:
        await talk.begin("!say short")
        talk.conversation.interrupt()
        ended, _ = await talk.end()
        after, _ = await talk.turn(f"!say well {attempt}")

    assert ended.stop in {"completed", "interrupted"}
    assert after.message == f"well {attempt}"


async def test_lines_that_are_no_messages_are_kept_as_they_are(tmp_path: Path) -> None:
    script = '!line {half\n!line {"event": "odd"}\n!line plain\n!say x'
    async with ready_talk(tmp_path, script) as talk:
        _, events = await talk.turn("go")

    assert events[1:4] == [
        Raw(kind="partial", data=b"{half"),
        Raw(kind="odd", data=b'{"event": "odd"}'),
        Raw(kind="garbage", data=b"plain"),
    ]


def test_the_rest_of_a_line_is_kept_when_the_program_ends() -> None:
    conversation = ScriptedConversation(agent=ScriptedAgent())

    assert conversation.receive(b'{"event": "te') == []
    assert conversation.receive_end(-9, b"") == [Raw(kind="partial", data=b'{"event": "te')]


async def test_at_the_end_of_its_input_it_finishes_the_turn_and_ends(tmp_path: Path) -> None:
    async with ready_talk(tmp_path) as talk:
        await talk.begin("!run cat > /dev/null; sleep 0.1; echo ran\n!say finished")
        assert talk.process.stdin is not None
        await talk.process.stdin.aclose()
        output = b""
        assert talk.process.stdout is not None
        with trio.fail_after(20):
            async for data in talk.process.stdout:
                output += data

        assert b'"message": "finished"' in output
        assert await talk.process.wait() == 0


async def test_what_it_leaves_behind_lives_on_in_its_own_session(tmp_path: Path) -> None:
    async with ready_talk(tmp_path) as talk:
        ended, _ = await talk.turn("!spawn echo $$ > pid; exec sleep 60\n!say left")
        found = tmp_path / "work/pid"
        with trio.fail_after(20):
            while not (found.exists() and found.read_text().endswith("\n")):
                await trio.sleep(0.001)
        pid = int(found.read_text())
    try:
        assert ended.message == "left"
        assert os.getsid(pid) == pid
    finally:
        os.kill(pid, signal.SIGKILL)


async def test_long_texts_and_outputs_come_whole(tmp_path: Path) -> None:
    async with ready_talk(tmp_path) as talk:
        await talk.begin("!run head -c 2000000 /dev/zero | tr '\\0' y\n!fill 3000000")
        ended, events = await talk.end()

    result = next(event for event in events if isinstance(event, ToolResult))
    assert len(ended.message) == 3_000_000
    assert len(result.text) == 1 << 20  # bounded


async def test_it_can_be_used_wherever_an_agent_can(tmp_path: Path) -> None:
    agent = ScriptedAgent(turns=("!write new.txt: hi\n!say done", (Exit(code=7),), "!recall"))
    async with runner.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "work")
        await scope.write("old.txt", "old")
        async with r.session(scope, agent=agent) as session:
            first = await session.send("one")
            second = await session.send("two")
            third = await session.send("three")

    assert first.ok
    assert first.final_message == "done"
    assert [str(path) for path in first.files_created] == ["new.txt"]
    assert first.usage == Usage(input_tokens=100, output_tokens=10)
    assert (second.ok, second.error) == (False, ErrorClass.CRASHED)
    assert third.final_message == "one\ntwo"


def test_it_starts_in_little_time(tmp_path: Path) -> None:
    program = ScriptedAgent().launch(
        Setting(cwd="/", private=str(tmp_path), conversation="c", resume=False)
    )
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run(program.argv, stdin=subprocess.DEVNULL, check=True, capture_output=True)
        times.append(time.perf_counter() - started)

    assert program.argv[:3] == (sys.executable, "-I", "-S")
    assert min(times) < 1.0  # 0.016 s on an idle machine
