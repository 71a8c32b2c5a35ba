"""Lines and text from pieces that are cut anywhere."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.messages import News, Piece, Position
from runner.operations.framing import LONGEST, Framer, Line, TextTaker, split_text

TEXTS = st.one_of(
    st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.binary(max_size=60),
)


def news(*pieces, missed=(0, 0), is_last=False):
    return News(
        pieces=tuple(Piece(stream=name, data=data) for name, data in pieces),
        position=Position(),
        missed=Position(out=missed[0], err=missed[1]),
        is_last=is_last,
    )


def cut(data, places):
    marks = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(marks)]


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 1000), max_size=8))
def test_lines_are_the_same_wherever_they_are_cut(data, places):
    framer = Framer()
    lines = []
    for piece in cut(data, places):
        lines += framer.take(news(("stdout", piece)))
    lines += framer.take(news(is_last=True))

    assert b"".join(each.data + b"\n" * each.is_whole for each in lines) == data
    assert [each.is_whole for each in lines[:-1]] == [True] * len(lines[:-1])
    assert framer.missed == 0


@settings(deadline=None)
@given(TEXTS, st.lists(st.integers(0, 1000), max_size=8))
def test_text_is_the_same_wherever_it_is_cut(data, places):
    taker = TextTaker()
    pieces = cut(data, places)
    taken = [taker.take(news(("stderr", each)), "stderr", torn=False) for each in pieces]
    taken.append(taker.take(news(is_last=True), "stderr", torn=False))

    text = "".join(each.decode("utf-8", "surrogateescape") for each in taken)
    assert text == data.decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"", 0),
        (b"a", 1),
        ("é".encode(), 2),
        ("é".encode()[:1], 0),
        ("a€".encode()[:3], 1),
        ("a😀".encode()[:4], 1),
        ("😀".encode(), 4),
        (b"\x80\x80\x80\x80", 4),
        (b"\xff", 0),
    ],
)
def test_no_character_is_torn(data, place):
    assert split_text(data) == place


def test_bytes_may_be_torn_and_what_was_held_back_comes_with_them():
    taker = TextTaker()
    assert taker.take(news(("stdout", b"a\xc3")), "stdout", torn=False) == b"a"
    assert taker.take(news(("stdout", b"\xa9\xc3")), "stdout", torn=True) == b"\xc3\xa9\xc3"


def test_the_two_outputs_are_told_apart():
    framer = Framer()
    lines = framer.take(news(("stdout", b"a\nb"), ("stderr", b"x\n"), ("stdout", b"c\n")))

    assert lines == [
        Line(stream="stdout", text="a"),
        Line(stream="stderr", text="x"),
        Line(stream="stdout", text="bc"),
    ]


def test_what_was_missed_cuts_a_line_off_and_is_counted_at_the_next():
    framer = Framer()
    framer.take(news(("stdout", b"begun"), ("stderr", b"whole\n")))
    lines = framer.take(news(("stdout", b"rest\nnext\n"), ("stderr", b"e"), missed=(7, 2)))
    lines += framer.take(news(is_last=True))

    assert lines == [
        Line(stream="stdout", text="begun", is_whole=False),
        Line(stream="stdout", text="rest", missed=7),
        Line(stream="stdout", text="next"),
        Line(stream="stderr", text="e", is_whole=False, missed=2),
    ]
    assert framer.missed == 9


@pytest.mark.parametrize("end", [b"\n", b""])
@pytest.mark.parametrize("pieces", [1, 7])
def test_a_line_without_end_comes_in_parts(end, pieces):
    text = "é" * LONGEST
    framer = Framer()
    lines = []
    data = text.encode() + end
    size = len(data) // pieces + 1
    for at in range(0, len(data), size):
        lines += framer.take(news(("stdout", data[at : at + size])))
    lines += framer.take(news(is_last=True))

    assert "".join(each.text for each in lines) == text
    assert all(len(each.data) <= LONGEST for each in lines)
    assert [each.is_whole for each in lines] == [False] * (len(lines) - 1) + [bool(end)]
