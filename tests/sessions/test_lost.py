"""A conversation that the agent's program does not have any more."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from runner.errors import ConversationLost
from runner.sessions.making import Sessions
from runner.sessions.phases import Phase
from runner.sessions.session import Session

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make() -> Session:
        return sessions.make_session(str(work), driver=fake(keeps_history=True), id="mine")

    return make


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


async def test_another_is_begun_if_nothing_good_was_in_it(make: Make, tmp_path: Path) -> None:
    async with make() as session:
        await session.send("fail overloaded")
    for each in tmp_path.rglob("history-*"):
        each.unlink()
    async with make() as session:
        turn = await session.send("recall")

    assert (True, "") == (turn.ok, turn.final_message)


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
