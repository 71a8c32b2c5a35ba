"""A conversation that the agent's program does not have any more."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.agents.events import BegunAnew, ErrorClass
from runner.errors import ConfigError, ConversationLost
from runner.runtime import open_runner
from runner.sessions.lines import read_lines
from runner.sessions.making import Sessions
from runner.sessions.parking import LIMITED
from runner.sessions.phases import Phase
from runner.sessions.session import Session
from runner.sessions.turn import Turn
from runner.sessions.turning import AGAIN_NOTE
from runner.testing.scripted import ScriptedAgent

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*options: str, keeps_history: bool = True, **kwargs: object) -> Session:
        driver = fake(*options, keeps_history=keeps_history)
        return sessions.make_session(str(work), driver=driver, **{"id": "mine", **kwargs})

    return make


@pytest.fixture
def lose(tmp_path: Path) -> Callable[[], None]:
    """Have the program lose all of its conversations."""

    def lose() -> None:
        for each in tmp_path.rglob("history-*"):
            each.unlink()

    return lose


async def told(session: Session) -> list[tuple[int, BegunAnew]]:
    """What was said of conversations that were begun anew, with its turns."""
    async with session.events(since=0) as events:
        await session.aclose()
        every = [each async for each in events]
    return [(each.turn, each.event) for each in every if isinstance(each.event, BegunAnew)]


async def test_it_is_said_before_anything_is_started_until_it_is_back(
    make: Make, tmp_path: Path
) -> None:
    async with make() as session:
        await session.send("say one")
    (history,) = tmp_path.rglob("history-*")
    kept = history.rename(tmp_path / "kept")
    async with make() as session:
        for _ in range(2):
            with pytest.raises(ConversationLost, match="history-.*bring it back"):
                await session.send("say two")
        with pytest.raises(ConversationLost):
            await session.prewarm()
        now = session.statistics()
        assert (Phase.BROKEN, 0, 1) == (now.phase, now.starts, now.turns)

        kept.rename(history)
        turn = await session.send("recall")

    assert (True, 2, "say one") == (turn.ok, turn.number, turn.final_message)


async def test_another_is_begun_if_nothing_good_was_in_it(
    make: Make, lose: Callable[[], None]
) -> None:
    async with make() as session:
        await session.send("fail overloaded")
    lose()
    async with make() as session:
        turn = await session.send("recall")

    assert (True, "") == (turn.ok, turn.final_message)


# ---------------------------------------------------------------- a program that says it itself


@pytest.mark.parametrize("how", ["forgets", "forgets living"])
async def test_what_the_program_itself_says_is_an_error_and_no_turn(
    make: Make,
    lose: Callable[[], None],
    commands: Callable[[str], list[int]],
    state: Path,
    how: str,
) -> None:
    async with make(keeps_history=False) as session:
        await session.send("say one")
    lose()
    async with make(*how.split(), keeps_history=False) as session:
        for _ in range(2):
            with pytest.raises(ConversationLost, match="no conversation.*bring it back"):
                await session.send("say two")
        with pytest.raises(ConversationLost):
            await session.prewarm()
        now = session.statistics()

        assert (Phase.BROKEN, 3, 1) == (now.phase, now.starts, now.turns)
        assert [] == commands("fake-agent")
    (path,) = state.rglob("transcript.jsonl")
    said = [[*line.value][2] for line in read_lines(str(path)) if line.turn == 2]
    assert ["prompt", "never_began"] * 2 == [each for each in said if each != "event"]


@pytest.mark.parametrize("how", ["forgets", "forgets living"])
@pytest.mark.parametrize("warm", [False, True])
async def test_a_fresh_one_is_begun_where_that_was_asked_for(
    make: Make, lose: Callable[[], None], how: str, warm: bool
) -> None:
    async with make(keeps_history=False) as session:
        await session.send("say one")
    lose()
    async with make(*how.split(), keeps_history=False, on_lost="fresh") as session:
        if warm:
            assert await session.prewarm()
        turn = await session.send("say two")
        recalled = await session.send("recall")

        assert (True, 2, 2) == (turn.ok, turn.number, session.statistics().starts)
        assert "> User: say one\n> \n> Agent: one\n</earlier>\n\nsay two" in recalled.final_message
        ((number, said),) = await told(session)

    assert (0 if warm else 2, True) == (number, said.is_told)
    assert "no conversation" in said.reason


# ---------------------------------------------------------------- a fresh one


async def test_a_fresh_one_is_told_all_turns_so_far_once(
    make: Make, lose: Callable[[], None], tmp_path: Path
) -> None:
    def prompts() -> list[str]:
        (history,) = tmp_path.rglob("history-*")
        return json.loads(history.read_text())

    async with make() as session:
        first = await session.send("say one")
        await session.send("fail overloaded")
    lose()
    async with make(on_lost="fresh") as session:
        second = await session.send("say two")
        ((_, said),) = await told(session)
    assert said.lost == first.conversation
    assert "there is no file" in said.reason
    assert first.conversation != second.conversation
    (prompt,) = prompts()
    assert 1 == prompt.count("> User: say one\n> \n> Agent: one")
    assert "did not come to a good end" in prompt
    lose()
    async with make(on_lost="fresh") as session:
        await session.send("say three")
        await session.send("say four")
    third, fourth = prompts()

    assert "say four" == fourth
    assert 1 == third.count("> User: say one\n> \n> Agent: one")
    assert 1 == third.count("> User: say two\n> \n> Agent: two\n</earlier>\n\nsay three")


async def test_without_a_transcript_it_is_begun_and_told_nothing(
    make: Make, lose: Callable[[], None], until: Callable[..., object]
) -> None:
    options = {"id": None, "durable": False, "on_lost": "fresh", "idle_after": 0.05}
    async with make(**options) as session:
        await session.send("say one")
        await until(lambda: session.statistics().phase is Phase.REAPED)
        lose()
        turn = await session.send("say two")
        recalled = await session.send("recall")

    assert (True, "two", "say two") == (turn.ok, turn.final_message, recalled.final_message)


async def test_one_whose_transcript_is_gone_as_well_is_told_nothing(
    make: Make, lose: Callable[[], None], state: Path
) -> None:
    async with make() as session:
        await session.send("say one")
    lose()
    (transcript,) = state.rglob("transcript.jsonl")
    transcript.unlink()
    async with make(on_lost="fresh") as session:
        await session.send("say two")
        recalled = await session.send("recall")

    assert "say two" == recalled.final_message


async def test_a_turn_that_goes_on_in_a_fresh_one_is_told_both(
    make: Make, lose: Callable[[], None], until: Callable[..., object]
) -> None:
    async with make(on_lost="fresh") as session:
        await session.send("say one")
        turn = await send_and_lose(session, lose, until)
        recalled = await session.send("recall")

        assert (True, "two") == (turn.ok, turn.final_message)
        note = AGAIN_NOTE.format(LIMITED)
        assert f"Agent: one\n</earlier>\n\n{note}limit 0.3 old\nsay two" in recalled.final_message
        assert [2] == [number for number, _ in await told(session)]


async def test_a_turn_that_cannot_go_on_without_it_has_crashed_which_is_an_answer(
    make: Make, lose: Callable[[], None], until: Callable[..., object]
) -> None:
    async with make() as session:
        await session.send("say one")
        turn = await send_and_lose(session, lose, until)

    assert (False, ErrorClass.CRASHED, 2) == (turn.ok, turn.error, turn.number)
    assert "does not have the conversation" in turn.error_text


async def send_and_lose(
    session: Session, lose: Callable[[], None], until: Callable[..., object]
) -> Turn:
    """Send a turn whose conversation is lost while it waits for its provider."""
    turns: list[Turn] = []

    async def send() -> None:
        turns.append(await session.send("limit 0.3 old\nsay two", max_park=30))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await until(lambda: session.statistics().phase is Phase.PARKED)
        lose()
    return turns[0]


async def test_a_fork_of_a_session_with_a_fresh_one_is_told_each_turn_once(
    make: Make, lose: Callable[[], None]
) -> None:
    async with make() as session:
        await session.send("say one")
    lose()
    async with make(on_lost="fresh") as session:
        await session.send("say two")
        fork = await session.fork(id="fork")
        async with fork:
            await fork.send("say three")
            recalled = await fork.send("recall")
            lose()
    text = recalled.final_message

    assert [1, 1, 1] == [text.count(each) for each in ("say one", "say two", "say three")]


async def test_a_fork_of_a_turn_that_was_cut_is_told_the_turns_before_it(make: Make) -> None:
    async with make() as session:
        await session.send("say one")
        await session.send("wait", timeout=0.3)
        async with await session.fork(id="fork") as fork:
            await fork.send("say three")
            recalled = await fork.send("recall")

    assert "User: say one" in recalled.final_message
    assert "did not come to a good end" in recalled.final_message


async def test_another_agent_says_it_too(work: Path, state: Path) -> None:
    async with open_runner(state=str(state)) as runner:
        scope = runner.scope(work)
        async with runner.session(scope, ScriptedAgent(), id="mine") as session:
            await session.send("!say one")
        for each in state.rglob("scripted-*"):
            each.unlink()
        async with runner.session(scope, ScriptedAgent(), id="mine") as session:
            with pytest.raises(ConversationLost):
                await session.send("!say two")
        fresh = runner.session(scope, ScriptedAgent(), id="mine", on_lost="fresh")
        async with fresh as session:
            turn = await session.send("!recall")
            recalled = await session.send("!recall")

    assert (True, 2) == (turn.ok, turn.number)
    assert "!say one" in recalled.final_message


async def test_what_is_to_be_done_is_one_of_two(make: Make) -> None:
    with pytest.raises(ConfigError, match="'error' or 'fresh'"):
        make(on_lost="new")


class TestInAnOddPlace:
    """A state directory whose name would mean something in a pattern."""

    @pytest.fixture
    def state(self, tmp_path: Path) -> Path:
        return tmp_path / "st[a]te*"

    async def test_a_conversation_is_found_wherever_it_is_kept(self, make: Make) -> None:
        async with make() as session:
            await session.send("say one")
        async with make() as session:
            assert "say one" == (await session.send("recall")).final_message
