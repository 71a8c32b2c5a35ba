from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.workspaces.chain import (
    GENESIS,
    MOST_PROBLEMS,
    RETENTION,
    Head,
    canonical,
    cut,
    hash_of,
    sealed,
    verify,
)
from runner.workspaces.records import AuditRecord


def record(number: int = 0, **fields: Any) -> AuditRecord:
    values = {"time_ns": 1_000 + number, "workspace": "w", "operation": "write", "path": "a.txt"}
    return AuditRecord(**{**values, **fields})


def chain(count: int) -> tuple[list[AuditRecord], Head]:
    return sealed(Head(), [record(number, size_after=number) for number in range(count)])


def retained(keep_from: int, count: int) -> tuple[list[AuditRecord], Head]:
    """A chain whose rows before that one were taken away, as retention does it."""
    rows, head = chain(count)
    last = rows[keep_from - 2]
    head = cut(head, last)
    more, head = sealed(
        head, [record(operation=RETENTION, details={"last": last.seq, "hash": last.hash})]
    )
    return rows[keep_from - 1 :] + more, head


TEXTS = st.text(st.characters(exclude_categories=()), max_size=12)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "seq": st.integers(-3, 40),
    "time_ns": st.integers(),
    "workspace": TEXTS,
    "operation": TEXTS,
    "path": TEXTS,
    "size_before": st.none() | st.integers(),
    "size_after": st.none() | st.integers(),
    "sha_before": TEXTS,
    "sha_after": TEXTS,
    "session": TEXTS,
    "job": TEXTS,
    "agent": TEXTS,
    "ok": st.none() | st.booleans(),
    "details": st.dictionaries(TEXTS, TEXTS | st.integers(), max_size=3),
    "previous": st.text("0123456789abcdef", min_size=64, max_size=64),
    "hash": st.text("0123456789abcdef", min_size=64, max_size=64),
}
EDITS = st.sampled_from(sorted(VALUES)).flatmap(lambda name: st.tuples(st.just(name), VALUES[name]))


def test_every_field_of_a_row_can_be_edited_by_the_tests():
    assert set(VALUES) == {each.name for each in attrs.fields(AuditRecord)}


@given(st.integers(1, 12), st.data())
def test_any_edit_of_any_row_is_found(count, data):
    rows, head = chain(count)
    at = data.draw(st.integers(0, count - 1))
    name, value = data.draw(EDITS)
    edited = attrs.evolve(rows[at], **{name: value})
    rows[at], before = edited, rows[at]

    assert verify(rows, head).ok is (edited == before)


@given(st.integers(2, 12), st.data())
def test_a_row_that_was_edited_and_hashed_anew_is_found_as_well(count, data):
    rows, head = chain(count)
    at = data.draw(st.integers(0, count - 1))
    edited = attrs.evolve(rows[at], operation="read")
    rows[at] = attrs.evolve(edited, hash=hash_of(edited.previous, edited))

    assert not verify(rows, head).ok


@given(st.integers(1, 12), st.data())
def test_any_row_that_is_missing_is_found(count, data):
    rows, head = chain(count)
    del rows[data.draw(st.integers(0, count - 1))]

    assert not verify(rows, head).ok


@given(st.integers(2, 12), st.data())
def test_any_two_rows_that_changed_places_are_found(count, data):
    rows, head = chain(count)
    one, other = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=2, max_size=2)))
    first, second = rows[one], rows[other]
    rows[one] = attrs.evolve(second, seq=first.seq)
    rows[other] = attrs.evolve(first, seq=second.seq)

    assert not verify(rows, head).ok


@given(st.integers(1, 12), st.data(), st.booleans())
def test_a_row_that_was_put_in_is_found(count, data, is_numbered):
    rows, head = chain(count)
    at = data.draw(st.integers(0, count))
    before = rows[at - 1] if at else None
    previous = before.hash if before else GENESIS
    put = record(99, seq=at + 1, previous=previous)
    rows.insert(at, attrs.evolve(put, hash=hash_of(previous, put)))
    if is_numbered:
        rows = [attrs.evolve(each, seq=number) for number, each in enumerate(rows, 1)]

    assert not verify(rows, head).ok


@given(st.integers(1, 12), st.integers(1, 12))
def test_an_end_that_was_cut_off_is_found(count, less):
    rows, head = chain(count)

    found = verify(rows[: max(count - less, 0)], head)

    assert not found.ok
    assert "the end was cut off" in found.problems[-1]


def test_a_chain_that_is_as_it_was_written_is_fine():
    rows, head = chain(5)

    found = verify(rows, head)

    assert (found.ok, found.rows, found.problems) == (True, 5, ())
    assert verify([], Head()).ok


def test_what_is_wrong_is_said_in_a_sentence():
    rows, head = chain(4)
    rows[1] = attrs.evolve(rows[1], operation="read")

    assert verify(rows, head).problems == ("row 2 was edited: it does not have its hash",)
    assert verify([rows[0], *rows[2:]], head).problems == ("rows 2 to 2 are missing before row 3",)


def test_of_very_many_problems_some_are_told():
    rows, head = chain(300)

    found = verify([attrs.evolve(each, operation="read") for each in rows], head)

    assert not found.ok
    assert MOST_PROBLEMS <= len(found.problems) <= MOST_PROBLEMS + 5


def test_what_retention_leaves_can_still_be_verified():
    rows, head = retained(4, 6)

    assert verify(rows, head).ok
    assert not verify(rows[1:], head).ok


def test_a_front_that_is_missing_without_retention_is_found_also_if_the_head_was_changed():
    rows, head = chain(5)

    assert not verify(rows[2:], head).ok
    assert verify(rows[2:], cut(head, rows[1])).problems == (
        "the rows before 3 are missing, and no retention says so",
    )


def test_a_chain_that_was_made_anew_does_not_have_the_row_that_was_noted():
    rows, head = chain(5)
    other, new = sealed(Head(), [attrs.evolve(each, agent="innocent") for each in rows])

    assert verify(rows, head, noted=head.mark).ok
    assert verify(rows, head, noted=f"2:{rows[1].hash}").ok
    assert verify(other, new).ok
    assert not verify(other, new, noted=head.mark).ok


def test_a_row_that_was_noted_and_retained_away_since_is_no_problem():
    rows, head = retained(4, 6)

    assert verify(rows, head, noted="1:" + "a" * 64).ok
    assert not verify(rows, head, noted="x").ok


def test_rows_follow_what_was_written_before():
    rows, head = chain(2)
    more, after = sealed(head, [record(7)])

    assert (more[0].seq, more[0].previous) == (3, rows[1].hash)
    assert verify([*rows, *more], after).ok


@pytest.mark.parametrize("path", ["a", "caf\u00e9", "bad\udcff", "new\nline", '"'])
def test_names_of_any_bytes_can_be_hashed(path):
    text = canonical(record(path=path))

    assert json.loads(text)[4] == path
    assert text.isascii()
