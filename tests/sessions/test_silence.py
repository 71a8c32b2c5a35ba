"""Programs that fall silent in a turn, each in its own way, and what becomes of the turn."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trio

from runner.agents.events import ErrorClass, SilenceRung, Usage
from runner.errors import ConfigError
from runner.sessions.approving import Approvals
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.sessions.turning import AGAIN_NOTE

Make = Callable[..., Session]
Commands = Callable[[str], list[int]]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*options: str, driver: object = None, **kwargs: object) -> Session:
        return sessions.make_session(str(work), driver=driver or fake(*options), **kwargs)

    return make


def acts(turn: Turn) -> list[str]:
    return [rung.act for rung in turn.rungs]


async def test_one_that_heeds_the_interrupt_gets_the_prompt_again(make: Make) -> None:
    async with make() as session:
        await session.send("say one")
        turn = await session.send("usage 5\nhush 2\nsay on", silence=0.4)
        recalled = await session.send("recall")
        starts = session.statistics().starts

    assert (True, "on", 2) == (turn.ok, turn.final_message, turn.number)
    assert (["note", "interrupt"], 1) == (acts(turn), starts)
    assert (Usage(output_tokens=10), 0.5, "program") == (
        turn.usage,
        turn.cost_usd,
        turn.cost_source,
    )
    why = "it was interrupted, as nothing more came of it,"
    again = f"{AGAIN_NOTE.format(why)}usage 5\nhush 2\nsay on"
    assert f"say one | usage 5\nhush 2\nsay on | {again}" == recalled.final_message


async def test_one_that_does_not_is_ended_and_another_goes_on(
    make: Make, commands: Commands
) -> None:
    async with make() as session:
        await session.send("say one")
        turn = await session.send("deaf 2\nsay on", silence=0.4)
        recalled = await session.send("recall")
        assert 1 == len(commands("fake-agent"))

    assert (True, "on") == (turn.ok, turn.final_message)
    assert (["note", "interrupt", "revive"], 2) == (acts(turn), session.statistics().starts)
    assert "the program was ended, as nothing more came of it," in recalled.final_message


async def test_one_that_is_silent_after_that_as_well_makes_the_turn_fail_as_stalled(
    make: Make, commands: Commands
) -> None:
    async with make() as session:
        await session.send("say one")
        turn = await session.send("deaf 9", silence=0.4)
        assert [] == commands("fake-agent")
        assert 2 == session.statistics().starts
        recalled = await session.send("recall")

    assert (False, ErrorClass.STALLED) == (turn.ok, turn.error)
    assert ["note", "interrupt", "revive", "note", "fail"] == acts(turn)
    assert "nothing was heard" in turn.error_text
    assert recalled.ok


async def test_one_that_has_just_begun_its_conversation_is_revived_too(make: Make) -> None:
    async with make() as session:
        turn = await session.send("deaf 1\nsay on", silence=0.4)

    assert (True, ["note", "interrupt", "revive"]) == (turn.ok, acts(turn))


async def test_one_that_does_not_get_ready_again_has_stalled(
    make: Make, fake: Callable[..., object], tmp_path: Path
) -> None:
    driver = fake()
    async with make(driver=driver, ready=1.0) as session:
        await session.send("say one")
        program = tmp_path / "fake-agent.py"
        program.write_text("import time\ntime.sleep(60)\n")
        turn = await session.send("deaf 9", silence=0.4)

    assert (False, ErrorClass.STALLED) == (turn.ok, turn.error)
    assert ["note", "interrupt", "revive"] == acts(turn)


async def test_one_that_cannot_be_started_again_has_crashed_which_is_an_answer(
    make: Make, fake: Callable[..., object], tmp_path: Path
) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    template = fake()
    driver = type(template)(template.program.replace(sys.executable, str(link)))
    async with make(driver=driver) as session:
        await session.send("say one")
        link.unlink()
        turn = await session.send("deaf 9", silence=0.4)
        link.symlink_to(sys.executable)
        recalled = await session.send("recall")

    assert (False, ErrorClass.CRASHED, 2) == (turn.ok, turn.error, turn.number)
    assert "could not be gone on with" in turn.error_text
    assert (True, 3) == (recalled.ok, recalled.number)


async def test_one_that_burns_processor_time_without_a_word_is_met_later(make: Make) -> None:
    async with make() as session:
        turn = await session.send("spin 1\nsay on", silence=0.4)
    met = turn.rungs[1]

    assert (True, ["note", "interrupt", "revive"]) == (turn.ok, acts(turn))
    assert met.signs.unheard >= 2.0
    assert met.signs.still < met.signs.unheard
    assert (met.signs.cpu or 0) > 0.1
    assert met.signs.processes >= 1


async def test_one_that_makes_noise_without_a_word_is_met_later(make: Make) -> None:
    async with make() as session:
        turn = await session.send("noise 1\nsay on", silence=0.4)
    met = turn.rungs[1]

    assert (True, ["note", "interrupt", "revive"]) == (turn.ok, acts(turn))
    assert met.signs.unheard >= 2.0
    assert met.signs.output > 0


async def test_a_tool_at_work_is_not_disturbed_however_long_it_takes(make: Make) -> None:
    async with make() as session:
        turn = await session.send("work 2\nsay done", silence=0.2)

    assert (True, "done", 1) == (turn.ok, turn.final_message, session.statistics().starts)
    assert [] == [act for act in acts(turn) if act != "note"]


async def test_a_tool_that_does_nothing_is_met_later_and_ended_with_its_program(
    make: Make, commands: Commands
) -> None:
    async with make() as session:
        turn = await session.send("tool\nwait", silence=0.3)
        assert [] == commands("sleep 300")

    assert ErrorClass.STALLED is turn.error
    assert ["note", "interrupt", "revive", "note", "fail"] == acts(turn)
    assert ("Bash",) == turn.rungs[0].signs.tools
    assert turn.rungs[1].signs.unheard >= 1.5
    assert "Bash at work" in turn.error_text


async def test_who_waits_for_a_decision_is_not_silent(make: Make, until: Until) -> None:
    turns: list[Turn] = []
    async with make(approvals=Approvals()) as session, trio.open_nursery() as nursery:

        async def send() -> None:
            turns.append(await session.send("ask Bash ls\nsay done", silence=0.2))

        nursery.start_soon(send)
        await until(lambda: session.statistics().phase is Phase.APPROVING)
        since = trio.current_time()
        await until(lambda: trio.current_time() > since + 1.5)
        await session.decide("a1", True)
        await until(lambda: turns)

    assert (True, []) == (turns[0].ok, acts(turns[0]))


async def test_who_says_when_it_asks_again_is_not_silent_until_then(make: Make) -> None:
    async with make() as session:
        turn = await session.send("retry network 1.5\npause 1\nsay on", silence=0.4)

    assert (True, []) == (turn.ok, acts(turn))


async def test_rungs_are_events_and_are_kept(make: Make) -> None:
    async with make(silence=0.3) as session, session.events() as follower:
        turn = await session.send("hush 1\nsay on")
        async with session.events(since=0) as replayed:
            await session.aclose()
            told = [each async for each in follower]
            kept = [each async for each in replayed]

    for seen in (told, kept):
        rungs = [each.event for each in seen if isinstance(each.event, SilenceRung)]
        assert turn.rungs == tuple(rungs)


@pytest.mark.parametrize("word", ["hush", "deaf"])
async def test_a_turn_can_be_ended_on_every_rung(make: Make, until: Until, word: str) -> None:
    async with make() as session:
        for wanted in ("note", "interrupt", "revive", "fail"):
            turns: list[Turn] = []
            async with (
                session.events() as follower,
                trio.open_nursery() as nursery,
            ):

                async def send(turns: list[Turn] = turns) -> None:
                    turns.append(await session.send(f"{word} 99", silence=0.3))

                nursery.start_soon(send)
                async for each in follower:
                    if isinstance(each.event, SilenceRung) and each.event.act == wanted:
                        break
                is_cut = await session.interrupt()
                await until(lambda turns=turns: turns)

            assert turns[0].error in {ErrorClass.INTERRUPTED, ErrorClass.STALLED}
            assert not is_cut or wanted == "fail" or turns[0].error is ErrorClass.INTERRUPTED
            assert (await session.send("say on")).ok


async def test_a_program_for_one_turn_only_is_noted_and_failed(
    sessions: Sessions, work: Path, commands: Commands
) -> None:
    for durable in (True, False):
        async with sessions.make_session(str(work), durable=durable) as session:
            turn = await session.send("echo one; sleep 300", silence=0.4)
            good = await session.send("echo two", silence=5)

        assert (False, ErrorClass.STALLED, ["note", "fail"]) == (turn.ok, turn.error, acts(turn))
        assert (True, "two") == (good.ok, good.final_message)
        assert [] == commands("sleep 300")


@pytest.mark.parametrize("silence", [0, -1, float("nan"), float("inf"), "5", True])
async def test_what_is_no_time_is_refused_before_anything_is_started(
    make: Make, silence: object
) -> None:
    with pytest.raises(ConfigError, match="silence"):
        make(silence=silence)
    async with make() as session:
        with pytest.raises(ConfigError, match="silence"):
            await session.send("say one", silence=silence)
        assert 0 == session.statistics().starts
