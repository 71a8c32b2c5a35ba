"""A program whose own file lacks what came last: a full disk, or a kill as a turn ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.sessions.forgetting import last_kept
from runner.sessions.making import Sessions
from runner.sessions.markers import find_marker, is_known, stands
from runner.sessions.session import Session

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*options: str, **kwargs: object) -> Session:
        driver = fake(*(options or ("marks",)), keeps_history=True)
        return sessions.make_session(str(work), driver=driver, id="mine", **kwargs)

    return make


async def three_turns(make: Make, tmp_path: Path, *, kept: int) -> None:
    """Three turns of which the program's file has only some."""
    async with make() as session:
        for prompt in ("say one\nsay 1", "say two", "say three"):
            await session.send(prompt)
    (history,) = tmp_path.rglob("history-*")
    history.write_text(json.dumps(json.loads(history.read_text())[:kept]))


async def test_it_is_told_what_it_has_lost_once(make: Make, tmp_path: Path) -> None:
    await three_turns(make, tmp_path, kept=1)
    async with make() as session:
        assert "say one\nsay 1" == (await session.send("recall")).final_message
        told = (await session.send("recall")).final_message
        assert (await session.send("recall")).final_message.endswith("| recall")

    assert told.startswith("say one\nsay 1 | (Note: your own record of this conversation lacks")
    assert "> User: say two\n> \n> Agent: two\n> \n> User: say three" in told
    assert "> User: say one" not in told


async def test_it_is_told_all_if_it_has_nothing_of_it(make: Make, tmp_path: Path) -> None:
    await three_turns(make, tmp_path, kept=0)
    async with make() as session:
        assert await session.prewarm()
        await session.send("say four")
        told = (await session.send("recall")).final_message

    assert "> User: say one\n> say 1\n" in told
    assert told.endswith("\n\nsay four")


async def test_a_file_that_has_it_all_needs_no_note(make: Make, tmp_path: Path) -> None:
    await three_turns(make, tmp_path, kept=3)
    async with make() as session:
        assert "Note" not in (await session.send("recall")).final_message
        assert "Note" not in (await session.send("recall")).final_message


def test_a_file_that_cannot_be_looked_through_says_nothing(tmp_path: Path) -> None:
    assert None is last_kept(str(tmp_path), {1: "marker"}, stands)


def test_a_turn_is_known_if_a_file_that_is_there_has_it(
    tmp_path: Path, fake: Callable[..., object]
) -> None:
    path, pattern = tmp_path / "history-1", str(tmp_path / "history-*")
    path.write_text("a\nthe marker\n")
    (tmp_path / "history-0").mkdir()  # what cannot be read has none

    assert str(path) == find_marker(pattern, "marker")
    assert None is find_marker(pattern, "another")
    assert is_known(fake(), str(path), "marker")
    path.unlink()  # since it was found
    assert not is_known(fake(), str(path), "marker")
