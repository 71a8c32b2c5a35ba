"""Sessions whose program lives from turn to turn, and what can happen to it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import attrs
import pytest
import trio

from runner.agents.driver import Rung
from runner.agents.events import ErrorClass, Retry, Text, Usage
from runner.errors import AgentUnavailable, NotFound
from runner.sessions import keeping, turning
from runner.sessions.making import Sessions
from runner.sessions.retries import RETRIES
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.sessions.turning import CUT_NOTE
from runner.watching import stamps

Make = Callable[..., Session]
Commands = Callable[[str], list[int]]
Until = Callable[..., object]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    """Make a session with our own live program, started with these options."""

    def make(*options: str, driver: object = None, **kwargs: object) -> Session:
        return sessions.make_session(str(work), driver=driver or fake(*options), **kwargs)

    return make


def kill(session: Session) -> None:
    """End a session's program as nobody else would."""
    pid = session.statistics().pid
    assert pid is not None  # and never 0: that would be ourselves
    os.kill(pid, signal.SIGKILL)


async def test_one_process_serves_many_turns(make: Make) -> None:
    pids = set()
    async with make() as session:
        for n in range(5):
            turn = await session.send(f"say {n}\nwrite f{n} x\nusage {n}")
            pids.add(session.statistics().pid)

            assert (True, n + 1, str(n), None) == (
                turn.ok,
                turn.number,
                turn.final_message,
                turn.exit_code,
            )
            assert (PurePosixPath(f"f{n}"),) == turn.files_created
            assert (Usage(output_tokens=n), 0.25, "program") == (
                turn.usage,
                turn.cost_usd,
                turn.cost_source,
            )
        recalled = await session.send("recall")
        now = session.statistics()

    assert 1 == len(pids)
    assert 5 == recalled.final_message.count("say")
    assert (6, 6, 1, "idle", "fake") == (now.turns, now.last_good, now.starts, now.phase, now.agent)
    assert (Usage(output_tokens=10), 1.5) == (now.usage, now.cost_usd)


@pytest.mark.parametrize("attempt", range(5))
async def test_a_program_killed_between_turns_is_brought_back_unnoticed(
    make: Make, attempt: int
) -> None:
    async with make() as session:
        await session.send("say one")
        kill(session)
        if attempt % 2:
            await trio.sleep(0.05)  # half of the time its end has been seen by now
        turn = await session.send("recall")

    assert (True, "say one", 2) == (turn.ok, turn.final_message, turn.number)
    assert 2 == session.statistics().starts


async def test_a_program_that_dies_in_a_turn_makes_that_turn_fail_and_no_other(make: Make) -> None:
    async with make() as session:
        await session.send("say one")
        crashed = await session.send("write half x\nstderr oh dear\nkill")
        turn = await session.send("recall")

    assert (False, ErrorClass.CRASHED, -9) == (crashed.ok, crashed.error, crashed.exit_code)
    assert "oh dear" in crashed.stderr_tail
    assert (PurePosixPath("half"),) == crashed.files_created
    assert turn.ok
    assert "say one | write half x\nstderr oh dear\nkill" == turn.final_message


async def test_the_turn_after_one_that_was_cut_off_is_told_so_once(make: Make) -> None:
    async with make() as session:
        await session.send("say one")
        await session.send("kill")
        await session.send("say two")
        turn = await session.send("recall")

    assert f"say one | kill | {CUT_NOTE}say two" == turn.final_message


async def test_a_turn_that_failed_by_itself_was_not_cut_off(make: Make) -> None:
    async with make() as session:
        failed = await session.send("fail overloaded")
        turn = await session.send("recall")

    assert (False, ErrorClass.OVERLOADED) == (failed.ok, failed.error)
    assert "fail overloaded" == turn.final_message


async def test_a_program_that_dies_of_every_prompt_is_not_started_for_ever(make: Make) -> None:
    async with make() as session:
        first = await session.send("dead on arrival")
        await session.send("say alive")
        second = await session.send("dead on arrival")

    assert [ErrorClass.CRASHED] * 2 == [first.error, second.error]
    # The second time it might have died before that prompt, so it got one more chance.
    assert 3 == session.statistics().starts


@pytest.mark.parametrize(("code", "error"), [(0, ErrorClass.CRASHED), (7, ErrorClass.CRASHED)])
async def test_an_exit_without_a_result_is_a_crash_whatever_its_code(
    make: Make, code: int, error: ErrorClass
) -> None:
    async with make() as session:
        turn = await session.send(f"exit {code}")

    assert (False, error, code) == (turn.ok, turn.error, turn.exit_code)


async def test_a_result_counts_although_the_program_ends_with_it(make: Make) -> None:
    async with make() as session:
        turns = [await session.send("last") for _ in range(3)]

    assert [(True, "last words")] * 3 == [(turn.ok, turn.final_message) for turn in turns]


async def test_an_interrupt_ends_the_turn_and_keeps_the_program(make: Make, until: Until) -> None:
    turns: list[Turn] = []
    async with make() as session:
        await session.send("say ready")
        pid = session.statistics().pid
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                turns.append(await session.send("wait"))

            nursery.start_soon(send)
            await until(lambda: session.statistics().phase == "in turn")
            assert await session.interrupt()

        assert (False, ErrorClass.INTERRUPTED, None) == (
            turns[0].ok,
            turns[0].error,
            turns[0].exit_code,
        )
        assert (await session.send("recall")).ok
        assert pid == session.statistics().pid
        assert not await session.interrupt()


async def test_an_interrupted_turn_with_a_tool_at_work_takes_the_program_with_it(
    make: Make, commands: Commands, until: Until
) -> None:
    turns: list[Turn] = []
    async with make() as session:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                turns.append(await session.send("tool\nwait"))

            nursery.start_soon(send)
            await until(lambda: commands("sleep 300"))
            await session.interrupt()

        assert [] == commands("sleep 300")
        assert ErrorClass.INTERRUPTED is turns[0].error
        turn = await session.send("tool done\nrecall")

    assert (True, "tool\nwait") == (turn.ok, turn.final_message)
    assert 2 == session.statistics().starts


async def test_a_tool_whose_call_crosses_the_interrupt_is_ended_with_the_turn(
    make: Make, commands: Commands, until: Until
) -> None:
    turns: list[Turn] = []
    async with make() as session:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                turns.append(await session.send("say one\ncross"))

            nursery.start_soon(send)
            await until(lambda: session.statistics().phase == "in turn")
            await session.interrupt()

        assert [] == commands("sleep 300")
        assert ErrorClass.INTERRUPTED is turns[0].error
        assert (await session.send("recall")).ok


@pytest.mark.parametrize("attempt", range(5))
async def test_what_a_killed_program_has_handed_its_input_to_gets_no_prompt(
    sessions: Sessions,
    work: Path,
    fake: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    attempt: int,
) -> None:
    plain = fake()
    wrapper = work.parent / "wrapper"
    wrapper.write_text(f'#!/bin/sh\n{plain.program} "$@"\nexit $?\n')
    wrapper.chmod(0o755)
    driver = attrs.evolve(plain, program=str(wrapper))
    async with sessions.make_session(str(work), driver=driver) as session:
        await session.send("say one")
        usable = turning.Turner._usable

        async def kill_before(*args: object) -> object:
            kill(session)  # the program itself lives on, until somebody notices: not yet
            return await usable(*args)

        monkeypatch.setattr(turning.Turner, "_usable", kill_before)
        turn = await session.send("recall")

    assert (True, "say one", 2) == (turn.ok, turn.final_message, turn.number)


async def test_waiting_for_an_interrupted_turn_takes_no_time_from_ending_its_program(
    sessions: Sessions,
    work: Path,
    fake: Callable[..., object],
    monkeypatch: pytest.MonkeyPatch,
    commands: Commands,
) -> None:
    monkeypatch.setattr(keeping, "FORCE", 1.2)
    driver = fake(ladder=(Rung(act="interrupt", wait=1.5),))
    async with sessions.make_session(str(work), driver=driver) as session:
        turn = await session.send("unheard", timeout=0.4)

        assert ErrorClass.TIMEOUT is turn.error
        assert [] == commands("fake-agent.py")


@pytest.mark.parametrize("prompt", ["wait", "tool\nwait", "unheard", "stubborn"])
async def test_time_is_up_whatever_the_program_does(
    make: Make, prompt: str, commands: Commands
) -> None:
    with trio.fail_after(10):
        async with make() as session:
            turn = await session.send(prompt, timeout=0.4)

            assert (False, ErrorClass.TIMEOUT) == (turn.ok, turn.error)
            assert "0.4 s" in turn.error_text
            assert turn.duration < 3
            assert [] == commands("sleep 300")
            assert (await session.send("say on")).final_message == "on"


@pytest.mark.parametrize("prompt", ["wait", "tool\nwait", "unheard", "stubborn", "mute"])
async def test_a_cancelled_turn_is_put_down_and_the_conversation_goes_on(
    make: Make, prompt: str, commands: Commands, until: Until
) -> None:
    with trio.fail_after(15):
        async with make() as session:
            await session.send("say one")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(session.send, prompt)
                await until(lambda: session.statistics().events >= 6)
                nursery.cancel_scope.cancel()

            assert [] == commands("sleep 300")
            assert session.statistics().phase in {"idle", "reaped"}
            turn = await session.send("recall")

    assert (True, f"say one | {prompt}") == (turn.ok, turn.final_message)


async def test_a_provider_that_refuses_the_credentials_ends_the_turn_at_once(make: Make) -> None:
    with trio.fail_after(10):
        async with make() as session:
            turn = await session.send("retry auth\nwait")

    assert (False, ErrorClass.AUTH) == (turn.ok, turn.error)
    assert "401" in turn.error_text


async def test_a_retry_that_would_come_too_late_ends_the_turn_at_once(make: Make) -> None:
    with trio.fail_after(10):
        async with make() as session:
            turn = await session.send("limited\nretry rate_limited 300\nwait", timeout=60)

    assert (False, ErrorClass.RATE_LIMITED) == (turn.ok, turn.error)
    assert turn.duration < 5


async def test_a_program_that_asks_its_provider_without_end_is_ended(make: Make) -> None:
    async with make() as session:
        often = "\n".join(["retry network"] * RETRIES)
        turn = await session.send(f"{often}\nretry network\nwait")
        assert (False, ErrorClass.NETWORK) == (turn.ok, turn.error)
        assert "about to ask its provider again" in turn.error_text

        turn = await session.send(f"{often}\nsay once\n{often}\ntool done\n{often}\nsay twice")
        assert (True, "twice") == (turn.ok, turn.final_message)


async def test_time_that_is_up_in_retries_is_what_the_retries_were_about(make: Make) -> None:
    async with make() as session:
        await session.send("say it runs")  # which may take as long as it likes
        turn = await session.send("retry overloaded 0.01\nwait", timeout=1.5)

    assert (False, ErrorClass.OVERLOADED) == (turn.ok, turn.error)
    assert "1.5 s" in turn.error_text


async def test_a_good_turn_keeps_the_program_also_if_a_tools_end_was_not_told(make: Make) -> None:
    async with make() as session:
        turns = [await session.send("tool\nsay done"), await session.send("recall")]

    assert [True, True] == [turn.ok for turn in turns]
    assert 1 == session.statistics().starts


async def test_what_comes_between_two_turns_in_a_large_tree_does_not_count(
    make: Make, work: Path, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setattr("runner.sessions.trees.SMALL_TREE", -1)
    created = []
    async with make() as session:

        async def send(name: str) -> None:
            turn = await session.send(f"write {name} x")
            created.append([str(path) for path in turn.files_created])

        async with trio.open_nursery() as nursery:
            for name in "abc":  # the later ones follow directly
                nursery.start_soon(send, name)
        (work / "mine").write_text("x")
        written = time.time_ns()
        await until(lambda: stamps.now().stamp > written)  # which stamps are sharp enough to tell
        await send("d")

    assert [["a"], ["b"], ["c"], ["d"]] == sorted(created)


async def test_what_a_tool_left_behind_is_ended_when_the_turn_is_over(
    make: Make, commands: Commands
) -> None:
    async with make() as session:
        first = await session.send("orphan\norphan\nsay done")
        assert [] == commands("sleep 300")
        second = await session.send("say clean")

    assert (True, 2) == (first.ok, first.leftovers)
    assert (True, 0) == (second.ok, second.leftovers)


async def test_an_idle_program_ends_and_comes_back(
    make: Make, commands: Commands, until: Until
) -> None:
    async with make(idle_after=0.05) as session:
        await session.send("say one")
        await until(lambda: session.statistics().phase == "reaped")
        assert session.statistics().pid is None
        assert [] == commands("fake-agent")
        turn = await session.send("recall")

    assert (True, "say one") == (turn.ok, turn.final_message)
    assert 2 == session.statistics().starts


@pytest.mark.parametrize("attempt", range(10))
async def test_a_turn_that_comes_when_the_program_is_being_reaped_is_not_lost(
    make: Make, attempt: int
) -> None:
    async with make(idle_after=0.02) as session:
        for n in range(4):
            await trio.sleep(0.02)
            assert (await session.send(f"say {n}")).final_message == str(n)


async def test_a_program_that_is_not_there_is_said_before_anything_is_started(
    make: Make, fake: Callable[..., object]
) -> None:
    driver = type(fake())("/no/such/program")
    async with make(driver=driver) as session:
        with pytest.raises(AgentUnavailable, match="/no/such/program"):
            await session.send("say one")

        assert (0, 0) == (session.statistics().turns, session.statistics().starts)


async def test_a_program_that_ends_before_a_turn_can_be_sent(make: Make) -> None:
    async with make("dies") as session:
        turn = await session.send("say one")

    assert (False, ErrorClass.CRASHED, 1) == (turn.ok, turn.error, turn.exit_code)
    assert "no such option: dies" in turn.error_text


async def test_a_program_that_does_not_get_ready(make: Make, commands: Commands) -> None:
    with trio.fail_after(10):
        async with make("slow", ready=0.3) as session:
            turn = await session.send("say one")

            assert [] == commands("fake-agent")

    assert (False, ErrorClass.STALLED) == (turn.ok, turn.error)
    assert "0.3 s" in turn.error_text


async def test_time_and_interrupts_count_while_a_program_starts(make: Make, until: Until) -> None:
    with trio.fail_after(10):
        async with make("slow") as session:
            late = await session.send("say one", timeout=0.2)
            turns: list[Turn] = []
            async with trio.open_nursery() as nursery:

                async def send() -> None:
                    turns.append(await session.send("say two"))

                nursery.start_soon(send)
                await until(lambda: session.statistics().phase in {"starting", "reviving"})
                assert await session.interrupt()

    assert [ErrorClass.TIMEOUT, ErrorClass.INTERRUPTED] == [late.error, turns[0].error]


async def test_waiting_for_others_to_start_is_not_of_the_turns_time(
    make: Make, sessions: Sessions, until: Until
) -> None:
    turns: list[Turn] = []
    async with make() as session, trio.open_nursery() as nursery:

        async def send() -> None:
            turns.append(await session.send("say on", timeout=5))

        for n in range(int(sessions.admission.slots.total_tokens)):
            sessions.admission.slots.acquire_on_behalf_of_nowait(n)
        nursery.start_soon(send)
        await until(lambda: session.statistics().phase == "starting")
        interrupted = await session.interrupt()
        await until(lambda: turns)
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked(0.01)
        for n in range(int(sessions.admission.slots.total_tokens)):
            sessions.admission.slots.release_on_behalf_of(n)

    assert interrupted
    assert [ErrorClass.INTERRUPTED, None] == [turn.error for turn in turns]
    assert () == turns[0].cmd


async def test_a_program_that_resumes_another_conversation_is_not_believed(
    make: Make, fake: Callable[..., object]
) -> None:
    driver = fake()
    async with make(driver=driver, id="one") as session:
        await session.send("say one")
    async with make("stranger", id="one") as session:
        turn = await session.send("say two")

    assert (False, ErrorClass.PROTOCOL) == (turn.ok, turn.error)
    assert "'another'" in turn.error_text


async def test_followers_see_every_event_with_its_turn(make: Make) -> None:
    async with make() as session, session.events() as follower, session.events() as other:
        await other.aclose()
        await session.send("part a\nsay a")
        await session.send("retry network 0.01\nsay b")
        assert "2 dropped" not in repr(follower)
        await session.aclose()
        happened = [each async for each in follower]

    assert [(1, "a"), (1, "a"), (2, "b")] == [
        (each.turn, each.event.text) for each in happened if isinstance(each.event, Text)
    ]
    assert [2] == [each.turn for each in happened if isinstance(each.event, Retry)]


async def test_a_directory_that_is_gone_is_said_and_can_come_back(make: Make, work: Path) -> None:
    async with make() as session:
        await session.send("say one")
        work.rmdir()
        with pytest.raises(NotFound, match="directory is gone"):
            await session.send("say two")
        work.mkdir()
        kill(session)
        assert "say one" == (await session.send("recall")).final_message


async def test_a_live_session_that_is_not_kept_leaves_nothing(make: Make, state: Path) -> None:
    async with make(durable=False) as session:
        await session.send("say one")
        assert [] != list((state / "sessions").iterdir())

    assert [] == list((state / "sessions").iterdir())


async def test_what_the_program_finds_is_its_owners_only(make: Make, state: Path) -> None:
    async with make(id="mine") as session:
        await session.send("say one")

    private = state / "sessions" / "mine"
    modes = {
        str(path.relative_to(private)): path.stat().st_mode & 0o777
        for path in (private, *private.rglob("*"))
        if not path.name.startswith("history")
    }
    assert {
        ".": 0o700,
        "config": 0o700,
        "config/deep": 0o700,
        "config/deep/fake.toml": 0o600,
        "home": 0o700,
        "owner": 0o600,
        "transcript.jsonl": 0o600,
    } == modes


async def test_a_program_that_stays_after_its_only_turn_is_ended(
    make: Make, fake: Callable[..., object], monkeypatch: pytest.MonkeyPatch, commands: Commands
) -> None:
    class OneTurn(type(fake())):  # says its result, and stays
        def conversation(self, setting: object) -> object:
            conversation = super().conversation(setting)
            conversation.ready = True
            return conversation

    monkeypatch.setattr(turning, "LINGER", 0.1)
    template = fake()
    driver = OneTurn(template.program, process_per_turn=True, ladder=(Rung(act="eof", wait=0.3),))
    async with make(driver=driver) as session:
        turn = await session.send("say once")

        assert (True, "once") == (turn.ok, turn.final_message)
        assert [] == commands("fake-agent")


async def test_many_sessions_at_once_do_not_mix(make: Make) -> None:
    said: list[tuple[int, str]] = []

    async def talk(n: int) -> None:
        async with make() as session:
            for m in range(3):
                turn = await session.send(f"say {n}-{m}")
                said.append((n, turn.final_message))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for n in range(6):
                nursery.start_soon(talk, n)

    assert sorted((n, f"{n}-{m}") for n in range(6) for m in range(3)) == sorted(said)
