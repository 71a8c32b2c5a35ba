"""The restart window, as a value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.actors.restart import RestartWindow


def test_crashes_within_the_period_are_counted():
    window = RestartWindow(max_restarts=2, period=10, backoff=1)

    assert [window.crashed(now) for now in (0, 1, 2)] == [True, True, False]


def test_crashes_outside_of_the_period_are_forgotten():
    window = RestartWindow(max_restarts=1, period=10, backoff=1)

    assert [window.crashed(now) for now in (0, 10, 20, 29.9)] == [True, True, True, False]


def test_giving_up_lasts_a_period_from_the_last_crash_and_then_the_record_is_clean():
    window = RestartWindow(max_restarts=1, period=10, backoff=1)
    window.crashed(0)
    window.crashed(9)

    assert window.has_given_up(9)
    assert window.has_given_up(18.9)
    assert not window.is_clean(18.9)
    assert not window.has_given_up(19)
    assert window.is_clean(19)
    assert window.crashed(19)


def test_with_no_restarts_the_first_crash_is_too_much():
    window = RestartWindow(max_restarts=0, period=10, backoff=1)

    assert not window.crashed(0)


@pytest.mark.parametrize(
    ("crashes", "delay"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (5, 8), (6, 10), (7, 10), (3000, 10)]
)
def test_the_delay_doubles_and_is_no_longer_than_the_period(crashes, delay):
    window = RestartWindow(max_restarts=10_000, period=10, backoff=0.5)
    for _ in range(crashes):
        window.crashed(0)

    assert window.delay() == delay


@given(
    st.integers(0, 5),
    st.floats(0.1, 100),
    st.lists(st.floats(0, 50), min_size=1, max_size=50),
)
def test_never_more_than_the_allowed_restarts_in_any_period(max_restarts, period, gaps):
    window = RestartWindow(max_restarts, period, backoff=0)
    now, restarts = 0.0, []
    for gap in gaps:
        now += gap
        if not window.has_given_up(now) and window.crashed(now):
            restarts.append(now)

    for start in restarts:
        assert sum(0 <= each - start < period for each in restarts) <= max(max_restarts, 0)
