from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agents.events import ErrorClass, Usage
from runner.jobs.outcome import (
    FOR_GOOD,
    INFRA_ERRORS,
    Outcome,
    delay_before_next,
    files_of,
    of_turns,
    touched,
)
from runner.jobs.spec import Retry
from runner.sessions.turn import Turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def turn(number=1, *, ok=True, error=None, **changes):
    files = {
        f"files_{kind}": tuple(PurePosixPath(path) for path in paths)
        for kind, paths in changes.items()
        if kind in {"created", "modified", "deleted"}
    }
    pairs = tuple((PurePosixPath(a), PurePosixPath(b)) for a, b in changes.get("renamed", ()))
    rest = {k: v for k, v in changes.items() if k in {"usage", "cost_usd", "resets_at"}}
    return Turn(number=number, ok=ok, error=error, files_renamed=pairs, **files, **rest)


def test_good_turns_decide_nothing():
    assert of_turns([]) is None
    assert of_turns([turn(), turn(2)]) is None


@pytest.mark.parametrize("error", list(ErrorClass))
def test_every_error_class_has_a_state(error):
    outcome = of_turns([turn(ok=False, error=error)])

    assert outcome.state == ("infra" if error in INFRA_ERRORS else "failed")
    assert outcome.error == error.value


def test_a_bad_turn_without_a_class_failed():
    assert of_turns([turn(ok=False)]).error == "failed"


@pytest.mark.parametrize("error", sorted(FOR_GOOD))
def test_some_failures_are_for_good(error):
    outcome = Outcome(state="failed", error=error)

    assert delay_before_next(Retry(agent=9), outcome, [], NOW) is None


@pytest.mark.parametrize(
    ("state", "allowed"), [("failed", 1), ("unverified", 2), ("infra", 3), ("ok", 0)]
)
def test_attempts_are_counted_by_cause(state, allowed):
    retry = Retry(agent=1, verify=2, infra=3)
    outcome = Outcome(state=state, error="failed")
    others = ["failed", "unverified", "infra"]

    for used in range(5):
        earlier = [each for each in others if each != state] * 3 + [state] * used
        delay = delay_before_next(retry, outcome, earlier, NOW)
        assert (delay is not None) == (used < allowed)


def test_infra_pauses_double_up_to_a_bound_and_the_others_are_none():
    retry = Retry(agent=9, infra=9, backoff=1.0, max_backoff=4.0)
    infra = Outcome(state="infra", error="network")
    delays = [delay_before_next(retry, infra, ["infra"] * used, NOW) for used in range(5)]

    for delay, least in zip(delays, [1, 2, 4, 4, 4], strict=True):
        assert least <= delay <= least * 1.25
    assert delay_before_next(retry, Outcome(state="failed", error="failed"), [], NOW) == 0.0


def test_a_providers_reset_time_is_waited_for_or_is_too_far():
    retry = Retry(infra=1, max_wait=3600.0)
    soon = Outcome(state="infra", error="rate_limited", resets_at=NOW + timedelta(minutes=30))
    late = Outcome(state="infra", error="rate_limited", resets_at=NOW + timedelta(hours=5))
    past = Outcome(state="infra", error="rate_limited", resets_at=NOW - timedelta(hours=5))

    assert 1800 <= delay_before_next(retry, soon, [], NOW) <= 1800 * 1.25
    assert delay_before_next(retry, late, [], NOW) is None
    assert 1 <= delay_before_next(retry, past, [], NOW) <= 1.25


def test_usage_and_cost_are_sums():
    outcome = Outcome(
        state="ok",
        turns=(
            turn(usage=Usage(input_tokens=1), cost_usd=0.5),
            turn(2, usage=Usage(input_tokens=2, output_tokens=3)),
        ),
    )

    assert outcome.usage == Usage(input_tokens=3, output_tokens=3)
    assert outcome.cost_usd == 0.5
    assert Outcome(state="ok", turns=(turn(),)).cost_usd is None


def test_files_of_several_turns_are_what_came_of_them():
    turns = [
        turn(created=["new", "passing"], modified=["old"], deleted=["gone", "back"]),
        turn(2, renamed=[("new", "newer"), ("old", "older"), ("x", "y")], deleted=["passing"]),
        turn(3, renamed=[("y", "z")], modified=["newer", "z"], created=["back"]),
    ]
    files = files_of(turns)

    assert files.created == ("newer",)
    assert files.modified == ("back", "older", "z")
    assert files.deleted == ("gone",)
    assert files.renamed == (("old", "older"), ("x", "z"))
    assert touched(turns) == {
        "new", "passing", "old", "gone", "back", "newer", "older", "x", "y", "z",
    }  # fmt: skip


def test_a_file_renamed_and_then_removed_is_its_first_name_removed():
    files = files_of([turn(renamed=[("a", "b")]), turn(2, deleted=["b"])])

    assert (files.deleted, files.renamed) == (("a",), ())
    assert files_of([turn(renamed=[("a", "b")]), turn(2, renamed=[("b", "a")])]).renamed == ()


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("crmd"), st.sampled_from("abc"), st.sampled_from("abc"))))
def test_files_of_any_turns_agree_with_a_model_of_the_directory(steps):
    before = {"a": "a0", "b": "b0"}
    now = dict(before)
    turns = []
    for number, (kind, one, other) in enumerate(steps):
        if kind == "c" and one not in now:
            now[one] = f"new{number}"
            turns.append(turn(number, created=[one]))
        elif kind == "m" and one in now:
            now[one] += "+"
            turns.append(turn(number, modified=[one]))
        elif kind == "d" and one in now:
            del now[one]
            turns.append(turn(number, deleted=[one]))
        elif kind == "r" and one in now and other not in now:
            now[other] = now.pop(one)
            turns.append(turn(number, renamed=[(one, other)]))
    files = files_of(turns)

    sources = {path: what.rstrip("+") for path, what in before.items()}
    moved = {now[new].rstrip("+"): new for _, new in files.renamed}
    there = {what.rstrip("+") for what in now.values()}
    assert {sources[old] for old, _ in files.renamed} == moved.keys()
    assert set(files.deleted) == {
        path for path, what in sources.items() if what not in there and path not in now
    }
    assert set(files.created) == {
        path
        for path, what in now.items()
        if what.startswith("new") and (path not in sources or sources[path] in there)
    }
    assert set(files.modified) == {
        path
        for path, what in now.items()
        if (what.endswith("+") and not what.startswith("new"))
        or (what.startswith("new") and path in sources and sources[path] not in there)
    }
