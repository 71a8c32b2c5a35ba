"""Two sessions at work in one directory say that they share it, also those of two processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trio

from runner.actors.supervisor import Supervisor
from runner.errors import LedgerError
from runner.processes.host import ProcessHost
from runner.sessions.ledger import SessionLedger
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.turn import Turn

Until = Callable[..., object]
Make = Callable[..., Session]


@pytest.fixture
def runners(
    supervisor: Supervisor, host: ProcessHost, state: Path, fake: Callable[..., object]
) -> Iterator[tuple[Make, Make]]:
    """Two that know nothing of each other but what is in the ledger."""
    both = [Sessions(supervisor, host, str(state)) for _ in range(2)]
    driver = fake()

    def maker(sessions: Sessions) -> Make:
        return lambda name, where: sessions.make_session(str(where), driver=driver, id=name)

    yield maker(both[0]), maker(both[1])
    for sessions in both:
        sessions.ledger.close()


async def beside(one: Session, other: Session, until: Until) -> list[Turn]:
    """A long turn of one, and two short ones of another while it goes on."""
    turns = []

    async def send() -> None:
        turns.append(await one.send("wait"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await until(lambda: one.statistics().phase == "in turn" and one.statistics().events > 2)
        turns += [await other.send("say two") for _ in range(2)]
        await one.interrupt()
    return turns


@pytest.mark.parametrize(
    ("here", "there", "shared"),
    [
        (".", ".", True),
        (".", "in", True),
        ("in/deep", ".", True),
        ("in", "inside", False),
        ("in", "on", False),
    ],
)
async def test_sessions_of_two_processes_in_one_directory_say_that_they_share_it(
    runners: tuple[Make, Make], work: Path, until: Until, here: str, there: str, shared: bool
) -> None:
    for name in (here, there):
        (work / name).mkdir(parents=True, exist_ok=True)
    async with runners[0]("one", work / here) as one, runners[1]("other", work / there) as other:
        together = await beside(one, other, until)
        alone = [await each.send("say three") for each in (one, other)]

    assert [shared] * 3 == [turn.shared for turn in together]
    assert [False] * 2 == [turn.shared for turn in alone]


async def test_a_turn_that_was_killed_with_its_owner_is_no_company(
    runners: tuple[Make, Make], work: Path, state: Path, sessions: Sessions
) -> None:
    async with runners[0]("one", work) as one:
        await one.send("say one")
    record = sessions.ledger.load("one")
    assert record is not None
    record.turns = record.in_flight = 2
    sessions.ledger.begin_turn(record, "lost", 0)
    async with runners[1]("other", work) as other:
        assert not (await other.send("say two")).shared


async def test_a_ledger_that_cannot_be_read_spoils_no_turn(
    runners: tuple[Make, Make], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerError("cannot be read")

    monkeypatch.setattr(SessionLedger, "neighbours", fail)
    async with runners[0]("one", work) as one:
        turn = await one.send("say one")

    assert (True, False) == (turn.ok, turn.shared)
