"""Following a session from a cursor: nothing is missed, nothing comes twice, whoever is slow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from runner.agents.events import Text, ToolResult, TurnEnded
from runner.errors import AgentError, ConfigError, SessionOwned
from runner.sessions.followers import Follower, Followers
from runner.sessions.making import Sessions
from runner.sessions.session import Session
from runner.sessions.transcript import Transcript
from runner.sessions.turn import SessionEvent

Make = Callable[..., Session]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(**options: object) -> Session:
        return sessions.make_session(str(work), driver=fake(), **{"id": "mine"} | options)

    return make


def said(events: list[SessionEvent]) -> list[str]:
    return [each.event.text for each in events if isinstance(each.event, Text)]


async def read(session: Session, since: int, ends: int) -> list[SessionEvent]:
    """The events since a cursor, until so many turns have ended."""
    found = []
    async with session.events(since=since) as events:
        while sum(isinstance(each.event, TurnEnded) for each in found) < ends:
            found.append(await events.receive())
    return found


async def test_a_session_is_replayed_from_its_start_in_another_process_and_goes_on_live(
    make: Make,
) -> None:
    async with make() as session:
        await session.send("part o\nsay one")
        await session.send("say two")
    async with make() as session, session.events(since=0) as events, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "part t\nsay three")
        found = []
        while sum(isinstance(each.event, TurnEnded) for each in found) < 3:
            found.append(await events.receive())

    # A partial text is live only.
    assert ["one", "two", "t", "three"] == said(found)
    cursors = [each.cursor for each in found if said([each]) != ["t"]]
    assert sorted(set(cursors)) == cursors


async def test_from_every_cursor_the_rest_comes_and_nothing_else(make: Make) -> None:
    async with make() as session:
        for word in ("one", "two", "three"):
            await session.send(f"say {word}\ntool done")
        everything = await read(session, 0, 3)
        for seen in range(len(everything) - 1):
            cursor = everything[seen].cursor
            ends = sum(isinstance(each.event, TurnEnded) for each in everything[seen + 1 :])
            assert everything[seen + 1 :] == await read(session, cursor, ends)


@pytest.mark.parametrize("attempt", range(10))
async def test_who_begins_to_follow_in_the_midst_of_a_turn_misses_nothing(
    make: Make, attempt: int
) -> None:
    prompt = "\n".join(f"say {number}" for number in range(50))
    async with make() as session:
        await session.send("say before")
        seen = [[] for _ in range(3)]
        async with trio.open_nursery() as nursery:

            async def follow(number: int) -> None:
                for _ in range((attempt + 1) * number):
                    await trio.lowlevel.checkpoint()
                seen[number] = await read(session, 0, 2)

            nursery.start_soon(session.send, prompt)
            for number in range(3):
                nursery.start_soon(follow, number)

    assert ["before", *map(str, range(50))] == said(seen[0])
    assert seen[0] == seen[1] == seen[2]


def a_result(number: int) -> ToolResult:
    return ToolResult(id=str(number), ok=True)


def publish(followers: Followers, transcript: Transcript, number: int) -> None:
    event = a_result(number)
    cursor = transcript.note(turn=1, event="ToolResult", data=event)
    followers.publish(SessionEvent(turn=1, event=event, cursor=cursor))


async def drained(follower: Follower, count: int) -> list[str]:
    with trio.fail_after(5):
        return [(await follower.receive()).event.id for _ in range(count)]


@pytest.mark.parametrize("pause", [0, 1, 2, 3, 5, 8])
async def test_who_is_too_slow_reads_on_in_the_transcript(tmp_path: Path, pause: int) -> None:
    transcript, followers = Transcript(str(tmp_path / "t")), Followers()
    follower = followers.add_from(0, transcript, 2)
    for number in range(10):
        publish(followers, transcript, number)
    got = await drained(follower, pause)
    for number in range(10, 20):
        publish(followers, transcript, number)
    followers.publish(SessionEvent(turn=1, event=Text(text="", partial=True), cursor=0))
    got += await drained(follower, 20 - pause)
    publish(followers, transcript, 20)
    got += await drained(follower, 1)
    followers.close()
    transcript.rest()

    assert list(map(str, range(21))) == got
    assert follower.dropped
    with pytest.raises(trio.EndOfChannel):
        await follower.receive()


async def test_what_was_dropped_at_the_very_end_still_comes(tmp_path: Path) -> None:
    transcript, followers = Transcript(str(tmp_path / "t")), Followers()
    follower = followers.add_from(0, transcript, 1)
    publish(followers, transcript, 0)
    assert ["0"] == await drained(follower, 1)
    for number in range(1, 5):
        publish(followers, transcript, number)
    followers.close()
    transcript.rest()

    assert ["1", "2", "3", "4"] == await drained(follower, 4)
    with pytest.raises(trio.EndOfChannel):
        await follower.receive()


@pytest.mark.parametrize("since", [-1, True, 1.5, "0"])
async def test_what_is_no_cursor_is_refused(make: Make, since: object) -> None:
    with pytest.raises(ConfigError, match="a cursor is a number of 0 or more"):
        async with make() as session, session.events(since=since):
            pass


async def test_a_cursor_beyond_the_end_is_one_of_another_session(make: Make) -> None:
    async with make() as session:
        turn_events = await read_turn(session, "say one")
        last = turn_events[-1].cursor
        end = session._state.store.transcript.cursor
        with pytest.raises(ConfigError, match=f"up to cursor {end} only; is it a cursor of anoth"):
            async with session.events(since=end + 1):
                pass
        async with session.events(since=end) as events:
            await session.send("say two")
            assert ["two"] == said([await events.receive() for _ in range(2)])

    assert 0 < last < end


async def read_turn(session: Session, prompt: str) -> list[SessionEvent]:
    await session.send(prompt)
    return await read(session, 0, 1)


@pytest.mark.parametrize("buffer", [-1, True, 1.5, "0", None])
@pytest.mark.parametrize("since", [None, 0])
async def test_what_is_no_buffer_is_refused(make: Make, buffer: object, since: int | None) -> None:
    with pytest.raises(ConfigError, match="a buffer is a number of events"):
        async with make() as session, session.events(since=since, buffer=buffer):
            pass


async def test_with_no_buffer_at_all_who_follows_from_a_cursor_still_misses_nothing(
    make: Make,
) -> None:
    async with make() as session:
        async with session.events(since=0, buffer=0) as events:
            await session.send("\n".join(f"say {number}" for number in range(20)))
            found = []
            with trio.fail_after(5):
                while not found or not isinstance(found[-1].event, TurnEnded):
                    found.append(await events.receive())

    assert list(map(str, range(20))) == said(found)


async def test_on_a_full_disk_who_follows_from_a_cursor_still_gets_what_happens(
    tmp_path: Path,
) -> None:
    transcript, followers = Transcript(str(tmp_path / "t")), Followers()
    publish(followers, transcript, 0)
    follower = followers.add_from(0, transcript)
    fill_up(transcript)
    for number in (1, 2):
        publish(followers, transcript, number)

    assert ["0", "1", "2"] == await drained(follower, 3)
    assert 2 == transcript.lost
    transcript.rest()


def fill_up(transcript: Transcript) -> None:
    """There is no more room for it, until it lets go of its file."""
    assert transcript._file is not None
    descriptor = os.open("/dev/full", os.O_WRONLY)
    os.dup2(descriptor, transcript._file.fileno())
    os.close(descriptor)


async def test_who_comes_later_is_told_how_much_a_full_disk_has_lost_and_where(
    tmp_path: Path,
) -> None:
    transcript, followers = Transcript(str(tmp_path / "t")), Followers()
    publish(followers, transcript, 0)
    fill_up(transcript)
    for number in (1, 2):
        publish(followers, transcript, number)
    in_the_gap = followers.add_from(0, transcript)
    publish(followers, transcript, 3)
    transcript.rest()
    publish(followers, transcript, 4)
    later = followers.add_from(0, transcript)
    publish(followers, transcript, 5)
    seen = [await in_the_gap.receive() for _ in range(4)]
    rest = [await later.receive() for _ in range(3)]

    assert [("0", 0), ("3", 2), ("4", 0), ("5", 0)] == [(each.event.id, each.lost) for each in seen]
    assert [("0", 0), ("4", 3), ("5", 0)] == [(each.event.id, each.lost) for each in rest]
    assert 4 == len({each.cursor for each in seen})
    # From the cursor of one that was lost, what follows it comes.
    again = followers.add_from(seen[1].cursor, transcript)
    assert ["4", "5"] == await drained(again, 2)
    transcript.rest()


async def test_a_transcript_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    follower = Followers().add_from(0, Transcript(str(tmp_path / "t")))

    with pytest.raises(AgentError, match="the transcript cannot be read"):
        await follower.receive()
    follower.close()


async def test_a_session_that_is_not_kept_has_no_past(make: Make) -> None:
    with pytest.raises(ConfigError, match="not kept"):
        async with make(durable=False) as session, session.events(since=0):
            pass


async def test_only_the_owner_follows_from_a_cursor(make: Make) -> None:
    async with make():
        with pytest.raises(SessionOwned):
            async with make().events(since=0):
                pass
