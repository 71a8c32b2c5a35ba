"""Sessions whose program serves one turn: shell and command, kept and not kept."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path, PurePosixPath

import pytest
import trio

from runner.actors.supervisor import Supervisor
from runner.agents.driver import CommandAgent, ShellAgent
from runner.agents.events import ErrorClass, Text, TurnEnded
from runner.errors import (
    ActorCrashed,
    AgentError,
    AgentUnavailable,
    ConfigError,
    NotFound,
    SessionClosed,
)
from runner.sessions.changes import Scanner
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.state import KINDS

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]


@pytest.fixture(params=[True, False], ids=["kept", "passing"])
def make(request: pytest.FixtureRequest, sessions: Sessions, work: Path) -> Make:
    """Make a session whose events are of interest, or one of which only the answer is."""

    def make(agent: object = "shell", **options: object) -> Session:
        return sessions.make_session(str(work), agent, durable=request.param, **options)

    return make


async def test_a_turn_tells_what_it_said_and_what_it_did(make: Make, work: Path) -> None:
    (work / "old").write_text("x")
    async with make() as session:
        turn = await session.send(
            "echo one > two.txt; rm old; echo oops >&2; echo first; echo done"
        )

        assert turn.ok
        assert (1, 0, "done", None) == (turn.number, turn.exit_code, turn.final_message, turn.error)
        assert (PurePosixPath("two.txt"),) == turn.files_created
        assert (PurePosixPath("old"),) == turn.files_deleted
        assert ("first\ndone\n", "oops\n") == (turn.stdout_tail, turn.stderr_tail)
        assert session.id == turn.session_id
        assert turn.cmd[0] == "sh"
        assert turn.duration > 0
        assert 0 == turn.leftovers


async def test_turns_are_counted_and_see_what_the_ones_before_did(make: Make) -> None:
    async with make() as session:
        turns = [await session.send(f"echo {n} >> log; wc -l < log") for n in range(3)]

    assert [1, 2, 3] == [turn.number for turn in turns]
    assert ["1", "2", "3"] == [turn.final_message.strip() for turn in turns]
    assert [(PurePosixPath("log"),)] * 2 == [turn.files_modified for turn in turns[1:]]


async def test_turns_asked_for_at_once_run_one_after_the_other(make: Make, work: Path) -> None:
    seen = []
    async with make() as session, trio.open_nursery() as nursery:

        async def send(name: str) -> None:
            turn = await session.send(f"test ! -e lock && touch lock {name} && rm lock")
            seen.append((turn.ok, [str(path) for path in turn.files_created]))

        for n in range(5):
            nursery.start_soon(send, f"f{n}")

    assert sorted((True, [f"f{n}"]) for n in range(5)) == sorted(seen)


async def test_what_somebody_else_does_between_two_turns_is_on_nobodys_account(
    make: Make, work: Path
) -> None:
    async with make() as session:
        await session.send("touch first")
        (work / "mine").touch()
        turn = await session.send("touch second")

    assert (PurePosixPath("second"),) == turn.files_created
    assert () == turn.files_modified


async def test_a_bad_exit_code_is_an_answer(make: Make) -> None:
    async with make() as session:
        turn = await session.send("echo almost; echo why >&2; exit 3")

    assert not turn.ok
    assert (3, ErrorClass.FAILED, "exit 3") == (turn.exit_code, turn.error, turn.stop)
    assert "why" in turn.error_text


async def test_what_a_turn_leaves_running_is_ended_and_counted(
    make: Make, commands: Callable[[str], list[int]]
) -> None:
    async with make() as session:
        turn = await session.send("sleep 300 & setsid sleep 300 & sleep 0.1; echo ok")

        assert turn.ok
        assert 2 == turn.leftovers
        assert [] == commands("sleep 300")


async def test_time_is_up_politely_first(make: Make, work: Path) -> None:
    with trio.fail_after(10):
        async with make() as session:
            turn = await session.send(
                "trap 'echo bye > bye; exit 1' INT TERM; echo hi; sleep 300 & wait", timeout=0.3
            )

    assert not turn.ok
    assert ErrorClass.TIMEOUT is turn.error
    assert "0.3 s" in turn.error_text
    assert "hi\n" == turn.stdout_tail
    assert "bye\n" == (work / "bye").read_text()
    assert (PurePosixPath("bye"),) == turn.files_created


async def test_time_is_up_for_one_that_ignores_every_signal(make: Make) -> None:
    with trio.fail_after(15):
        async with make(timeout=0.2) as session:
            turn = await session.send("trap '' INT TERM; while :; do sleep 0.1; done")

    assert ErrorClass.TIMEOUT is turn.error
    assert -9 == turn.exit_code


async def test_an_interrupt_ends_the_turn_and_not_the_session(
    make: Make, commands: Callable[[str], list[int]], until: Callable[..., object]
) -> None:
    turns = []
    async with make() as session:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                turns.append(await session.send("touch here; sleep 300"))

            nursery.start_soon(send)
            await until(lambda: commands("sleep 300"))
            assert await session.interrupt()

        assert ErrorClass.INTERRUPTED is turns[0].error
        assert [] == commands("sleep 300")
        assert (await session.send("echo on")).final_message == "on"
        assert not await session.interrupt()


async def test_a_cancelled_turn_is_put_down_before_its_caller_leaves(
    make: Make, commands: Callable[[str], list[int]], until: Callable[..., object]
) -> None:
    async with make() as session:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.send, "sleep 300")
            await until(lambda: commands("sleep 300"))
            nursery.cancel_scope.cancel()

        assert [] == commands("sleep 300")
        turn = await session.send("echo on")

    assert (True, "on", 2) == (turn.ok, turn.final_message, turn.number)


async def test_closing_ends_the_turn_in_flight(
    make: Make, commands: Callable[[str], list[int]], until: Callable[..., object]
) -> None:
    turns = []
    session = make()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            turns.append(await session.send("sleep 300"))

        nursery.start_soon(send)
        await until(lambda: commands("sleep 300"))
        await session.aclose()
        await session.aclose()

    assert [ErrorClass.INTERRUPTED] == [turn.error for turn in turns]
    assert "closed" in repr(session)
    with pytest.raises(SessionClosed):
        await session.send("true")


async def test_turns_that_wait_when_the_session_is_closed_never_begin(
    make: Make, work: Path, commands: Callable[[str], list[int]], until: Callable[..., object]
) -> None:
    session = make()

    async def send_in_vain() -> None:
        with pytest.raises(SessionClosed):
            await session.send("touch never")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "sleep 300")
        await until(lambda: commands("sleep 300"))
        for _ in range(3):
            nursery.start_soon(send_in_vain)
        await trio.testing.wait_all_tasks_blocked()
        await session.aclose()

    assert not (work / "never").exists()


@pytest.mark.parametrize("attempt", range(10))
async def test_closing_beside_a_turn_that_is_about_to_begin_leaves_nothing(
    make: Make, work: Path, attempt: int, commands: Callable[[str], list[int]]
) -> None:
    session = make()
    await session.send("true")

    async def send() -> None:
        with contextlib.suppress(SessionClosed):
            assert not (await session.send("sleep 300")).ok

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            for _ in range(attempt):
                await trio.lowlevel.checkpoint()
            await session.aclose()

    assert [] == commands("sleep 300")


@pytest.mark.parametrize("prompt", ["", "  \n"])
async def test_an_empty_prompt_is_refused_before_anything_is_made(
    make: Make, state: Path, prompt: str
) -> None:
    session = make()

    with pytest.raises(ConfigError, match="empty"):
        await session.send(prompt)

    assert not state.exists()
    assert not await session.interrupt()
    await session.aclose()


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
async def test_a_timeout_that_is_none_is_refused(make: Make, timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        make(timeout=timeout)
    with pytest.raises(ConfigError, match="timeout"):
        await make().send("true", timeout=timeout)


async def test_a_program_that_is_not_there_is_no_turn(make: Make) -> None:
    async with make(ShellAgent(shell="/no/such/shell")) as session:
        with pytest.raises(AgentUnavailable, match="/no/such/shell"):
            await session.send("true")

        assert 0 == session.statistics().turns


async def test_a_directory_that_is_gone_is_no_turn_until_it_is_back(make: Make, work: Path) -> None:
    async with make() as session:
        work.rmdir()
        with pytest.raises(NotFound, match="directory is gone"):
            await session.send("true")
        work.mkdir()
        turn = await session.send("echo back")

    assert (1, "back") == (turn.number, turn.final_message)


async def test_a_private_directory_that_cannot_be_is_an_error_of_the_session(
    make: Make, state: Path
) -> None:
    state.write_text("a file")

    with pytest.raises(AgentError, match="cannot be used"):
        async with make() as session:
            await session.send('test -f "$0"')


async def test_variables_of_the_scope_and_of_the_agent_reach_the_program(make: Make) -> None:
    async with make(
        ShellAgent(env={"FROM": "agent", "ONLY": "agent"}), env={"FROM": "scope", "WHERE": "scope"}
    ) as session:
        turn = await session.send('echo "$FROM $ONLY $WHERE ${PYTEST_CURRENT_TEST-nothing}"')

    assert "agent agent scope nothing" == turn.final_message


async def test_any_program_is_an_agent(make: Make) -> None:
    agent = CommandAgent(argv=("cat",), output="json", message="said")
    async with make(agent) as session:
        turn = await session.send('{"said": "hello"}')
        broken = await session.send("no json")

    assert (True, "hello") == (turn.ok, turn.final_message)
    assert ErrorClass.PROTOCOL is broken.error


async def test_messages_that_nobody_has_taught_us_are_counted_by_kind(make: Make) -> None:
    agent = CommandAgent(argv=("cat",), output="jsonl", message="said")
    kinds = [*"abbccc", *map(str, range(2 * KINDS)), "a"]
    async with make(agent) as session:
        await session.send("\n".join(f'{{"type": "{kind}", "said": "x"}}' for kind in kinds))
        counts = session.statistics().untranslated

    assert {"a": 2, "b": 2, "c": 3, "0": 1} == {kind: counts[kind] for kind in "abc0"}
    assert KINDS + 1 == len(counts)
    assert KINDS + 3 == counts["others"]


async def test_much_output_passes_and_its_end_is_kept(make: Make) -> None:
    async with make() as session:
        turn = await session.send("seq 1 400000; seq 1 400000 >&2")

    assert "400000" == turn.final_message
    assert turn.stdout_tail.endswith("399999\n400000\n")
    assert turn.stderr_tail.endswith("399999\n400000\n")
    assert len(turn.stdout_tail) == 16 << 10


async def test_nothing_of_a_passing_session_is_left(
    sessions: Sessions, work: Path, state: Path
) -> None:
    for script in ("true", 'test -f "$0"', "true"):
        async with sessions.make_session(str(work), durable=False) as session:
            assert (await session.send(script)).ok

    (passing,) = (state / "sessions").iterdir()  # the one that is used again
    assert [] == list(passing.iterdir())
    assert 0o700 == passing.stat().st_mode & 0o777


async def test_passing_sessions_have_their_actor_one_after_the_other(
    sessions: Sessions, supervisor: Supervisor, work: Path
) -> None:
    turns = []
    for n in range(3):
        async with sessions.make_session(str(work), id=f"s{n}", durable=False) as session:
            turns.append(await session.send(f"echo {n} > made-{n}; echo {n}"))
            with pytest.raises(AgentUnavailable):
                async with sessions.make_session(
                    str(work), ShellAgent(shell="/no/such"), durable=False
                ) as other:
                    await other.send("true")

    assert ["0", "1", "2"] == [turn.final_message for turn in turns]
    assert ["s0", "s1", "s2"] == [turn.session_id for turn in turns]
    assert [1, 1, 1] == [turn.number for turn in turns]
    assert [f"made-{n}" for n in range(3)] == [str(turn.files_created[0]) for turn in turns]
    assert 2 == supervisor.statistics().started


async def test_a_passing_session_that_is_closed_within_a_turn_keeps_its_actor(
    sessions: Sessions, supervisor: Supervisor, work: Path, state: Path, until: Until
) -> None:
    session = sessions.make_session(str(work), durable=False)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            turn = await session.send(': "$0"; touch began; sleep 60')
            assert ErrorClass.INTERRUPTED == turn.error

        await until((work / "began").exists)
        await session.aclose()
        with pytest.raises(SessionClosed):
            await session.send("true")

    async with sessions.make_session(str(work), durable=False) as following:
        assert (await following.send("true")).ok
    assert 2 == supervisor.statistics().started
    assert [] == list((state / "sessions").iterdir())


async def test_a_passing_session_whose_actor_crashed_does_not_pass_it_on(
    sessions: Sessions, supervisor: Supervisor, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sessions.make_session(str(work), durable=False) as session:
        with monkeypatch.context() as patch:
            patch.setattr(Scanner, "start_walk", None)
            with pytest.raises(ActorCrashed):
                await session.send("true")
        assert (await session.send("true")).ok

    async with sessions.make_session(str(work), durable=False) as following:
        assert (await following.send("true")).ok
    assert 3 == supervisor.statistics().started


async def test_passing_sessions_at_the_same_time_do_not_share_anything(
    sessions: Sessions, work: Path
) -> None:
    said = []

    async def talk(n: int) -> None:
        async with sessions.make_session(str(work), durable=False) as session:
            said.append((await session.send(f"sleep 0.05; echo {n}")).final_message)

    async with trio.open_nursery() as nursery:
        for n in range(4):
            nursery.start_soon(talk, n)

    assert [str(n) for n in range(4)] == sorted(said)


async def test_a_follower_of_a_passing_session_sees_its_events_as_they_happen(
    sessions: Sessions, work: Path
) -> None:
    session = sessions.make_session(str(work), durable=False)
    async with session.events() as follower, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "echo now; while test ! -e go; do sleep 0.01; done")
        with trio.fail_after(10):
            async for happened in follower:
                if isinstance(happened.event, Text):
                    assert (1, "now\n") == (happened.turn, happened.event.text)
                    (work / "go").touch()
                elif isinstance(happened.event, TurnEnded):
                    break
    await session.aclose()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "a" * 101, "a\n", "é"])
async def test_an_id_must_be_fit_for_a_name(sessions: Sessions, work: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="session's id"):
        sessions.make_session(str(work), id=name)


async def test_a_session_tells_about_itself(sessions: Sessions, work: Path) -> None:
    async with sessions.make_session(str(work), id="mine") as session:
        assert "<Session 'mine' with shell, absent: 0 turns>" == repr(session)
        await session.send("true")
        await session.send("false")

        now = session.statistics()
        assert (2, 1, 2) == (now.turns, now.last_good, now.starts)
        assert now.pid is None
    assert "closed" == session.statistics().phase
