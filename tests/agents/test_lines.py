"""Lines and their fields: any chunking, any garbage, bounded memory."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.lines import (
    LINE_LIMIT,
    LineSplitter,
    decode,
    decode_value,
    is_partial,
    list_of,
    mapping_of,
    number_of,
    text_of,
    whole_of,
)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """Cut bytes at places."""
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0, max_value=200)))
def test_lines_do_not_depend_on_the_chunks(data, cuts):
    whole, cut = LineSplitter(), LineSplitter()
    expected = whole.feed(data)

    assert expected == [line for piece in pieces(data, cuts) for line in cut.feed(piece)]
    assert whole.take_tail() == cut.take_tail()


def test_a_line_of_64_mib_in_small_pieces_arrives_whole():
    splitter = LineSplitter()
    for _ in range(1024):
        assert splitter.feed(b"x" * 65536) == []

    assert splitter.feed(b"\nnext\n") == [b"x" * LINE_LIMIT, b"next"]
    assert splitter.omitted == 0


def test_a_longer_line_is_cut_and_what_is_left_out_is_counted():
    splitter = LineSplitter(limit=4)

    assert splitter.feed(b"abcdef") == []
    assert splitter.feed(b"gh\r\nij\r\nklmno") == [b"abcd", b"ij"]
    assert splitter.take_tail() == b"klmn"
    assert splitter.omitted == 6


def test_the_tail_is_taken_once():
    splitter = LineSplitter()
    splitter.feed(b"one\ntw")

    assert splitter.take_tail() == b"tw"
    assert splitter.take_tail() == b""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b"[1]", None),
        (b"null", None),
        (b"", None),
        (b"WARNING: proxy", None),
        (b'{"a": 1} {"b": 2}', None),
        (b'{"a": "\xff"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b'{"a": "x\\ud83d"}', {"a": "x?"}),
        (b'{"a": 1e999}', None),
        (b"[" * 200_000, None),
        (b'{"a":' * 200_000, None),
    ],
)
def test_decode_takes_objects_and_nothing_else(line, expected):
    assert expected == decode(line)


@given(st.binary())
def test_decode_never_raises(data):
    decode(data)


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_what_the_standard_library_writes_is_read(value):
    assert json.loads(json.dumps(value)) == decode_value(json.dumps(value).encode())


def test_a_partial_message_is_told_from_garbage():
    assert is_partial(b' {"type": "resu')
    assert not is_partial(b"Segmentation fault")
    assert not is_partial(b"")


ODD = {
    "text": "t",
    "whole": 3,
    "number": 1.5,
    "true": True,
    "list": [1],
    "map": {"a": 1},
    "no": None,
}


@pytest.mark.parametrize("key", [*ODD, "missing"])
def test_a_field_of_another_type_counts_as_missing(key):
    assert text_of(ODD, key) == ("t" if key == "text" else "")
    assert whole_of(ODD, key) == (3 if key == "whole" else 0)
    assert number_of(ODD, key) == {"whole": 3.0, "number": 1.5}.get(key)
    assert list_of(ODD, key) == ([1] if key == "list" else [])
    assert mapping_of(ODD, key) == ({"a": 1} if key == "map" else {})
