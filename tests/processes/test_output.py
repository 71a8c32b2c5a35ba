"""Bounded output: exact counts, whatever the pieces."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.messages import Output
from runner.processes.output import Capture


@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(0, 50))
def test_head_and_tail_and_count_are_those_of_the_whole(pieces: list[bytes], most: int) -> None:
    whole = b"".join(pieces)
    capture = Capture(most)
    for piece in pieces:
        capture.feed(memoryview(piece))

    output = capture.output()

    head, tail = most - most // 2, most // 2
    if len(whole) <= most:
        assert output == Output(head=whole)
    else:
        assert output.head == whole[:head]
        assert output.tail == whole[len(whole) - tail :]
        assert output.omitted == len(whole) - most
    assert output.size == capture.size == len(whole)


def test_a_negative_bound_keeps_nothing_and_counts() -> None:
    capture = Capture(-1)
    capture.feed(b"abc")

    assert capture.output() == Output(head=b"", tail=b"", omitted=3)


@pytest.mark.parametrize("piece", [4096, 1 << 20])
def test_a_long_stream_is_kept_in_bounded_memory(piece: int) -> None:
    data = memoryview(bytes(piece))
    capture = Capture(1 << 16)
    tracemalloc.start()
    for _ in range(100 * (1 << 20) // piece):
        capture.feed(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert capture.size == 100 * (1 << 20)
    assert peak < 1 << 18


def test_output_can_be_asked_for_in_between() -> None:
    capture = Capture(4)
    capture.feed(b"abcdef")
    first = capture.output()
    capture.feed(b"g")

    assert first == Output(head=b"ab", tail=b"ef", omitted=2)
    assert capture.output() == Output(head=b"ab", tail=b"fg", omitted=3)
