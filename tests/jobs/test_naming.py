from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.jobs.naming import attempt_of, names, tags
from runner.jobs.plan import ID
from runner.workspaces.names import check_name

JOBS = st.from_regex(ID, fullmatch=True)


@given(st.text(), JOBS, st.integers(1, 10**6), st.text("0123456789abcdef", min_size=8, max_size=8))
def test_every_name_can_be_had_and_each_is_another(batch, job, attempt, mark):
    found = list(names(batch, job, attempt, mark))

    assert found == [check_name(each) for each in found]
    assert len(set(found)) == len(found)
    assert found[0].endswith(f".{attempt}")
    assert attempt_of(tags(batch, job, attempt, mark), mark) == (job, attempt)


def test_long_ids_that_begin_alike_have_names_of_their_own():
    one, other = (next(names("b" * 99, "j" * 119 + end, 1, "")) for end in "xy")

    assert one != other
    assert one.startswith("b" * 24 + ".jjj")


def test_a_name_for_people_comes_first():
    assert list(names("Fix it!", "j1", 2, "abcd1234"))[:3] == [
        "Fix-it.j1.2",
        "Fix-it.j1.2-abcd1234",
        "Fix-it.j1.2-abcd1234-2",
    ]
    assert next(names("+++", "j1", 2, "abcd1234")) == "batch.j1.2"


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("output=m",),
        ("output=m", "job=a", "attempt=1", "job=b"),
        ("output=m", "job=a", "attempt=x"),
        ("output=other", "job=a", "attempt=1"),
    ],
)
def test_tags_of_others_say_nothing(given):
    assert attempt_of(given, "m") is None
