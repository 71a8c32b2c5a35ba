"""Which trees a turn is compared by, and whose changes count."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import trio

from runner.sessions.changes import NOTHING, Changes, Scanner
from runner.sessions.places import Places
from runner.sessions.trees import Trees
from runner.watching import inotify, stamps, walking
from runner.watching.walking import Walk

LIMITER = trio.CapacityLimiter(1)


async def next_tick() -> None:
    """Until what changes is stamped later than all before, as sharply as that is told."""
    before = time.time_ns()
    while stamps.now().stamp <= before:
        await trio.sleep(0.0005)


def paths(*names: str) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))


@pytest.fixture(params=["scan", "watch"])
def trees(
    request: pytest.FixtureRequest, work: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trees]:
    """Of a directory that is large enough not to be looked at twice."""
    if request.param == "watch" and not inotify.limit("max_user_watches"):
        pytest.skip("needs inotify: Linux, and /proc")
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    monkeypatch.setattr("runner.sessions.trees.SMALL_TREE", -1)
    found = Trees(Scanner(str(work), LIMITER, watch=request.param == "watch"))
    yield found
    found.forget()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    for name in ("old", "other", "sub/inner", "sub/below/deep", "far/away"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("was")
    return work


async def changed(trees: Trees) -> Changes:
    """What changes in a turn in which nothing happens."""
    return await trees.compare(await trees.before())


async def test_what_came_between_two_turns_does_not_count(trees: Trees, work: Path) -> None:
    assert NOTHING == await changed(trees)

    (work / "new").write_text("x")
    (work / "old").write_text("now")
    (work / "sub" / "inner").unlink()
    (work / "far").rename(work / "near")
    await next_tick()
    before = await trees.before()
    (work / "mine").write_text("x")
    (work / "sub" / "below" / "deep").write_text("now")

    expected = Changes(created=paths("mine"), modified=paths("sub/below/deep"))
    assert expected == await trees.compare(before)


async def test_a_file_changed_between_two_turns_and_in_the_second_counts(
    trees: Trees, work: Path
) -> None:
    assert NOTHING == await changed(trees)

    (work / "old").write_text("mine")
    await next_tick()
    before = await trees.before()
    (work / "old").write_text("ours")

    assert Changes(modified=paths("old")) == await trees.compare(before)


async def test_all_counts_when_the_clock_was_set_meanwhile(
    trees: Trees, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert NOTHING == await changed(trees)
    before = await trees.before()
    (work / "old").write_text("now")
    late = stamps.Moment(before.since.stamp + 10**12, 0) if before.since is not None else None
    object.__setattr__(before, "since", late)

    assert Changes(modified=paths("old")) == await trees.compare(before)


async def test_a_directory_that_cannot_be_read_says_nothing(
    trees: Trees, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await trees.before()
    real = os.open
    closed = str(work / "sub" / "below") + "/"

    def refuse(path: str, flags: int) -> int:
        if path == closed:
            raise PermissionError
        return real(path, flags)

    with monkeypatch.context() as patch:
        patch.setattr(walking.os, "open", refuse)
        (work / "sub").rename(work / "bus")
        (work / "bus").rename(work / "sub")
        found = await trees.compare(before)
    assert NOTHING == found
    await next_tick()
    before = await trees.before()
    (work / "sub" / "below" / "deep").write_text("now")

    assert (await trees.compare(before)).deleted == ()


async def test_one_walk_a_turn_and_none_where_there_are_hints(
    trees: Trees, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await changed(trees)
    opened = []
    real = Walk._open_next

    def note(walk: Walk) -> object:
        found = real(walk)
        opened.append(found)
        return found

    monkeypatch.setattr(Walk, "_open_next", note)
    for number in range(3):
        before = await trees.before()
        (work / "old").write_text(f"now {number}")
        assert Changes(modified=paths("old")) == await trees.compare(before)

    walks = opened.count(None)
    assert walks == (0 if trees.is_watching else 3)


async def test_two_sessions_at_work_in_one_directory_say_so(work: Path) -> None:
    places = Places()
    one, two, inside, elsewhere = (
        Trees(Scanner(str(each), LIMITER, places=places))
        for each in (work, work, work / "sub", work.parent / "work2")
    )
    (work.parent / "work2").mkdir()

    befores = [(each, await each.before()) for each in (one, inside, elsewhere)]
    shared = [(await each.compare(before)).shared for each, before in befores]
    alone = await changed(two)
    given_up = await two.before()
    two.give_up()

    assert [True, True, False] == shared
    assert not alone.shared
    assert not (await changed(one)).shared
    assert given_up.tree.files()


async def test_a_directory_that_is_replaced_is_looked_at_anew(trees: Trees, work: Path) -> None:
    await changed(trees)
    before = await trees.before()
    work.rename(work.parent / "moved")
    work.mkdir()
    (work / "new").write_text("x")

    found = await trees.compare(before)

    assert paths("new") == found.created
    assert 5 == len(found.deleted)
