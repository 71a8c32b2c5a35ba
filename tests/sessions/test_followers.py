"""Who follows a session's events."""

from __future__ import annotations

import pytest
import trio

from runner.agents.events import Text
from runner.sessions.followers import Followers
from runner.sessions.turn import SessionEvent


def event(n: int) -> SessionEvent:
    return SessionEvent(turn=n, event=Text(text=str(n)))


async def test_a_slow_follower_misses_events_and_knows_how_many() -> None:
    followers = Followers()
    slow, quick = followers.add(2), followers.add()
    for n in range(5):
        followers.publish(event(n))
    followers.close()

    assert [0, 1] == [each.turn async for each in slow]
    assert [0, 1, 2, 3, 4] == [each.turn async for each in quick]
    assert (3, 0) == (slow.dropped, quick.dropped)
    assert "3 dropped" in repr(slow)


async def test_a_follower_that_leaves_is_forgotten() -> None:
    followers = Followers()
    leaving, removed, staying = (followers.add() for _ in range(3))
    assert followers
    assert 3 == len(followers)
    await leaving.aclose()
    followers.remove(removed)
    followers.publish(event(1))

    assert 1 == len(followers)
    assert 1 == (await staying.receive()).turn
    with pytest.raises(trio.ClosedResourceError):
        await removed.receive()
    staying.close()


async def test_who_comes_after_the_end_sees_the_end() -> None:
    followers = Followers()
    followers.close()
    late = followers.add()

    with pytest.raises(trio.EndOfChannel):
        await late.receive()
    late.close()
