"""The status of things, and who is told."""

from __future__ import annotations

import gc
import itertools
import logging

from hypothesis import given
from hypothesis import strategies as st

from runner.operations.status import Life, Status


def test_watchers_are_told_of_each_change_until_they_unsubscribe():
    life, told = Life(status=Status.DISCONNECTED), []
    unsubscribe = life.on_change(told.append)
    life.on_change(lambda change: told.append(change.new))
    broken = OSError("it broke")
    life.become(Status.CONNECTING)
    life.become(Status.CONNECTING)
    life.become(Status.DISCONNECTED, broken)
    unsubscribe()
    unsubscribe()
    life.become(Status.CONNECTED)

    assert [(each.old, each.new, each.error) for each in told[::2][:2]] == [
        (Status.DISCONNECTED, Status.CONNECTING, None),
        (Status.CONNECTING, Status.DISCONNECTED, broken),
    ]
    assert told[1::2] == [Status.CONNECTING, Status.DISCONNECTED]
    assert told[4:] == [Status.CONNECTED]
    assert told[0].at.tzinfo is not None


def test_a_watcher_that_fails_keeps_nobody_from_being_told(caplog):
    life, told = Life(), []

    def fail(_):
        raise ValueError

    life.on_change(fail)
    life.on_change(told.append)
    with caplog.at_level(logging.ERROR, "runner.status"):
        assert life.become(Status.DISCONNECTED)

    assert len(told) == 1
    assert "a watcher of a status failed" in caplog.text


def test_destroyed_is_for_good_and_for_all_that_stands_in_it():
    outer = Life()
    inner = Life(outer)
    deep, told = Life(inner), []
    deep.on_change(told.append)
    outer.become(Status.DESTROYED)

    assert deep.is_over
    assert inner.is_over
    assert [each.new for each in told] == [Status.DESTROYED]
    assert not outer.become(Status.CONNECTED)
    assert Life(outer).is_over
    assert deep.on_change(told.append)() is None


def test_what_stands_in_something_is_not_kept_by_it():
    outer = Life()
    for _ in range(10):
        Life(outer)
    gc.collect()

    assert len(outer._inner) == 0


@given(st.lists(st.sampled_from(Status), max_size=10))
def test_told_are_exactly_the_changes(steps):
    life, told = Life(), []
    life.on_change(told.append)
    for each in steps:
        life.become(each)
    seen = [Status.CONNECTED, *(each.new for each in told)]

    assert all(one is not other for one, other in itertools.pairwise(seen))
    assert [each.old for each in told] == seen[:-1]
    assert life.status is seen[-1]
    assert (Status.DESTROYED in steps) == life.is_over
