"""Windows of lines of local files: the index, what it costs, when it is forgotten."""

from __future__ import annotations

import errno
import os
import tracemalloc

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runner import errors as e
from runner import messages as m
from runner.backends import lines, threads
from runner.backends.lines import GRAIN, LineIndexes, index_of, whole_characters, window_of

PIECES = st.lists(
    st.sampled_from([b"a", b"\n", b"\n\n", b"x" * 5, "é".encode(), b"\xff", b"\r\n", b"y" * 40]),
    max_size=40,
)


def _expected(content, offset, limit):
    every = content.split(b"\n")
    if not every[-1]:
        every.pop()
    start = offset if offset >= 0 else max(len(every) + offset, 0)
    return [each.decode("utf-8", "surrogateescape") for each in every[start : start + limit]]


@given(PIECES, st.integers(-45, 45), st.integers(0, 45), st.booleans())
def test_every_window_is_that_of_a_split(pieces, offset, limit, total):
    content = b"".join(pieces)
    message = m.ReadLines(path="f", offset=offset, limit=limit, total=total)
    found = window_of(content, message)

    assert list(found.lines) == _expected(content, offset, limit)
    if found.total is not None:
        assert found.total == len(_expected(content, 0, 10_000))
        assert found.before + len(found.lines) + found.after == max(found.total, 0)
    assert found.text.encode("utf-8", "surrogateescape") in content or not found.lines


@given(
    PIECES,
    st.integers(-45, 45),
    st.integers(0, 45),
    st.booleans(),
    st.integers(1, 9),
    st.integers(1, 30),
)
def test_windows_do_not_depend_on_how_the_file_is_cut(pieces, offset, limit, total, grain, piece):
    content = b"".join(pieces)
    message = m.ReadLines(path="f", offset=offset, limit=limit, total=total, longest=7)
    whole = window_of(content, message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "GRAIN", grain)
        patch.setattr(lines, "PIECE", piece)
        patch.setattr(lines, "MOST_MARKS", 4)
        assert window_of(content, message) == whole


@pytest.mark.parametrize("text", ["é", "€", "😀", "aé", "a€", "a😀"])
def test_no_character_is_cut_in_two(text):
    raw = text.encode()
    for length in range(len(raw) + 1):
        kept = whole_characters(raw[:length])
        assert text.startswith(kept.decode())
        assert length - len(kept) < 4
    assert whole_characters(b"\x80\x80\x80\x80") == b"\x80\x80\x80\x80"
    assert whole_characters(b"") == b""


def settle(path):
    """Wait until a change of a file would be seen in its times: some milliseconds."""
    fd = os.open(path, os.O_RDONLY)
    while not lines.is_settled(fd, os.fstat(fd)):
        pass
    os.close(fd)


def test_an_index_is_kept_while_its_file_is_unchanged(tmp_path, monkeypatch):
    counted = []
    count = lines.index_of
    monkeypatch.setattr(lines, "index_of", lambda *args: counted.append(1) or count(*args))
    monkeypatch.setattr(lines, "MOST_FILES", 3)
    indexes = LineIndexes()
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"line\n" * (number + 1))

    def ask(number):
        settle(tmp_path / str(number))
        fd = os.open(tmp_path / str(number), os.O_RDONLY)
        try:
            return indexes.of(fd, os.fstat(fd)).total
        finally:
            os.close(fd)

    assert [ask(0), ask(0), ask(1), ask(0)] == [1, 1, 2, 1]
    assert len(counted) == 2
    for number in (2, 3):
        ask(number)
    assert len(indexes) == 3  # 1 was not used for longest
    ask(0)
    assert len(counted) == 4
    (tmp_path / "0").write_bytes(b"other\n" * 7)
    assert ask(0) == 7
    assert len(counted) == 5


def test_a_file_that_changes_while_it_is_counted_leaves_no_index(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"line\n" * 100)
    indexes = LineIndexes()
    fd = os.open(path, os.O_RDWR)
    before = os.fstat(fd)
    os.pwrite(fd, b"more\n", 500)
    settle(path)
    indexes.of(fd, before)
    os.close(fd)

    assert len(indexes) == 0


def test_a_file_that_may_change_again_within_the_tick_leaves_no_index(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"one\ntwo\n")
    changed = path.stat().st_ctime_ns
    indexes = LineIndexes()
    for later, kept in ((0, 0), (10_000_000, 0), (30_000_000, 1)):
        monkeypatch.setattr(lines.time, "time_ns", lambda later=later: changed + later)
        with path.open("rb") as file:
            assert indexes.of(file.fileno(), os.fstat(file.fileno())).total == 2
        assert len(indexes) == kept


def test_a_file_that_shrinks_while_it_is_read_gives_what_is_there():
    content = b"line\n" * 10

    def take(count, offset):
        return content[offset : offset + count]

    index = index_of(take, 1_000_000)
    assert index.total == 10
    for offset, total in ((0, True), (9, True), (2, False), (500, False), (-3, False)):
        message = m.ReadLines(path="f", offset=offset, limit=5, total=total)
        found = lines.window(take, 1_000_000, message, lambda: index, known=False)
        assert set(found.lines) <= {"line"}


@pytest.fixture
def huge(root):
    """64 MB in a file of three million lines."""
    block = b"".join(b"%015d line\n" % each for each in range(50_000))
    with (root / "huge").open("wb") as file:
        for _ in range(64):
            file.write(block)
    settle(root / "huge")
    return "huge"


async def test_the_middle_of_a_huge_file_takes_the_memory_of_the_window(local, huge):
    await local.stat(".")
    for total in (False, True, True):
        tracemalloc.start()
        found = await local.read_lines(huge, offset=1_600_123, limit=100, total=total)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.lines[0] == f"{123:015d} line"
        assert found.total in ({3_200_000} if total else {None, 3_200_000})
        assert peak < 6 << 20
    assert len(local._place.indexes) == 1
    tail = await local.tail(huge, 3)
    assert (tail.first, tail.total) == (3_199_998, 3_200_000)  # it is known by now


async def test_a_part_of_a_huge_file_that_cannot_be_read_is_one_plain_error(
    local, huge, monkeypatch
):
    pread = os.pread

    def broken(fd, count, at):
        if at >= 20 * lines.PIECE:
            raise OSError(errno.EIO, "as a disk says")
        return pread(fd, count, at)

    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(e.OperationError, match="Input/output error"):
        await local.read_lines(huge)

    assert 0 == len(local._place.indexes)


async def test_who_leaves_while_a_huge_file_is_counted_leaves_no_thread_behind(
    local, huge, monkeypatch
):
    pread = os.pread

    def told(fd, count, at):
        trio.from_thread.run_sync(cancel_scope.cancel)
        return pread(fd, count, at)

    monkeypatch.setattr(os, "pread", told)
    with trio.CancelScope() as cancel_scope:
        await local.read_lines(huge)

    assert cancel_scope.cancelled_caught
    assert 0 == threads.file_threads().borrowed_tokens
    assert 0 == len(local._place.indexes)


async def test_the_ends_of_a_huge_file_are_read_without_it(local, huge, monkeypatch):
    taken = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: taken.append(n) or pread(fd, n, at))
    head, tail = await local.head(huge), await local.tail(huge)

    assert sum(taken) <= 4 * GRAIN
    assert (head.first, head.total, head.after) == (1, None, None)
    assert (tail.first, tail.total, tail.before, tail.after) == (-10, None, None, 0)
    assert tail.numbered().splitlines()[-1] == f"  -1\t{49_999:015d} line"


async def test_what_is_no_file_has_no_lines(root, local):
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")
    (root / "out").symlink_to("/etc/hostname")
    for path, error in (("pipe", e.WrongType), ("loop", e.InvalidPath), ("out", e.PathEscapes)):
        for operation in (local.read_lines, local.tail, local.digest):
            with pytest.raises(error):
                await operation(path)
        (item,) = await local.download([path])
        assert item.error.kind == error.__name__
