"""The last bytes of two outputs, against their naive definition."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.messages import Position
from runner.processes.spool import LARGE, Spool

FEEDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=40)),
        st.tuples(st.sampled_from([1, 2]), st.just(b"x" * 5000)),
    ),
    max_size=40,
)


def all_of(news, name):
    return b"".join(each.data for each in news.pieces if each.stream == name)


@settings(deadline=None)
@given(FEEDS, st.integers(0, 6000), st.integers(1, 300))
def test_what_is_given_and_what_was_missed_are_together_all_that_came(feeds, most, limit):
    spool = Spool(most)
    came = {1: b"", 2: b""}
    followers = [(Position(), {1: b"", 2: b""}, {1: 0, 2: 0})]
    for number, data in feeds:
        came[number] += data
        spool.feed(number, memoryview(data))
        if len(data) % 2:  # one of several followers looks now and then
            position, got, missed = followers.pop(0)
            news = spool.since(position, limit)
            for each, name in ((1, "stdout"), (2, "stderr")):
                lost = news.missed.out if each == 1 else news.missed.err
                got[each] += b"?" * lost + all_of(news, name)
                missed[each] += lost
            followers.append((news.position, got, missed))
            followers.append((Position(), {1: b"", 2: b""}, {1: 0, 2: 0}))

    for start, got, _ in followers:
        position = start
        while position.total < spool.position.total:
            news = spool.since(position, limit)
            assert news.position.total > position.total  # it always gets on
            got[1] += b"?" * news.missed.out + all_of(news, "stdout")
            got[2] += b"?" * news.missed.err + all_of(news, "stderr")
            position = news.position
        for each in (1, 2):
            assert len(got[each]) == len(came[each])
            assert all(a in (b, ord("?")) for a, b in zip(got[each], came[each], strict=True))
    kept = spool.kept(1), spool.kept(2)
    assert came[1].endswith(kept[0])
    assert came[2].endswith(kept[1])
    assert sum(map(len, kept)) == min(most, len(came[1]) + len(came[2]))


def test_the_order_in_which_both_outputs_came_is_kept():
    spool = Spool(100)
    for number, data in ((1, b"a"), (1, b"b"), (2, b"c"), (1, b"d")):
        spool.feed(number, memoryview(data))

    news = spool.since(Position(), 100, is_last=True)

    assert [(each.stream, each.data) for each in news.pieces] == [
        ("stdout", b"ab"),
        ("stderr", b"c"),
        ("stdout", b"d"),
    ]
    assert news.position == Position(out=3, err=1)
    assert news.is_last


def test_it_is_the_last_only_if_nothing_is_left():
    spool = Spool(100)
    spool.feed(1, memoryview(b"abc"))

    news = spool.since(Position(), 2, is_last=True)
    assert not news.is_last
    assert spool.since(news.position, 2, is_last=True).is_last


def test_of_a_large_piece_the_last_is_kept():
    spool = Spool(3 * LARGE)
    spool.feed(2, memoryview(b"a"))
    spool.feed(1, memoryview(b"b" * 4 * LARGE + b"c"))

    news = spool.since(Position(), 1 << 30)
    assert news.missed == Position(out=LARGE + 1, err=1)
    assert len(all_of(news, "stdout")) == 3 * LARGE
    assert spool.kept(1).endswith(b"bc")
    assert spool.kept(2) == b""


def test_nothing_is_kept_if_nothing_may_be():
    spool = Spool(0)
    spool.feed(1, memoryview(b"abc"))

    news = spool.since(Position(), 10, is_last=True)
    assert (news.pieces, news.missed, news.is_last) == ((), Position(out=3), True)
