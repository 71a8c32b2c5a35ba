"""Where hints are to be had, what they cost, and what makes up for those that are lost."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path, PurePosixPath

import pytest
import trio

from runner.sessions.changes import NOTHING, Changes, Scanner
from runner.sessions.places import Places
from runner.sessions.trees import Trees
from runner.watching import inotify, stamps, walking
from runner.watching.allowance import Allowance
from runner.watching.patterns import make_rules
from runner.watching.walking import Walk
from runner.watching.watch import Watch

pytestmark = pytest.mark.skipif(
    not inotify.limit("max_user_watches"), reason="needs inotify: Linux, and /proc"
)

LIMITER = trio.CapacityLimiter(1)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is large enough to be watched."""
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    work = tmp_path / "work"
    for name in ("old", "other", "sub/inner", "sub/below/deep", "far/away"):
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text("was")
    return work


def paths(*names: str) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))


async def next_tick() -> None:
    """Until what changes is stamped later than all before, as sharply as that is told."""
    before = time.time_ns()
    while stamps.now().stamp <= before:
        await trio.sleep(0.0005)


async def changed(trees: Trees) -> Changes:
    """What changes in a turn in which nothing happens."""
    return await trees.compare(await trees.before())


@pytest.mark.parametrize("limit", ["watches", "instances"])
async def test_more_than_our_share_of_the_systems_watches_is_not_taken(
    work: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowance = Allowance(watches=100, instances=10)
    setattr(allowance, limit, 2 if limit == "watches" else 0)
    trees = Trees(Scanner(str(work), LIMITER, places=Places(allowance)))

    before = await trees.before()
    (work / "old").write_text("now")

    assert not trees.is_watching
    assert Changes(modified=paths("old")) == await trees.compare(before)
    assert (2 if limit == "watches" else 0) == getattr(allowance, limit)


async def test_what_is_watched_is_given_back(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allowance = Allowance(watches=100, instances=10)
    trees = Trees(Scanner(str(work), LIMITER, places=Places(allowance)))
    before = await trees.before()
    taken = allowance.watches, allowance.instances
    (work / "sub").rename(work.parent / "gone")
    (work / "more").mkdir()
    await trees.compare(before)
    now = allowance.watches, allowance.instances
    trees.forget()

    assert (96, 9) == taken
    assert (97, 9) == now
    assert (100, 10) == (allowance.watches, allowance.instances)


@pytest.mark.parametrize(
    "mask", [inotify.OVERFLOW, inotify.UNMOUNT], ids=["overflow", "an unmount"]
)
async def test_hints_that_were_lost_are_made_up_for_by_a_walk(
    work: Path, mask: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = Trees(Scanner(str(work), LIMITER))
    before = await trees.before()
    (work / "old").write_text("now")
    with monkeypatch.context() as patch:
        lost = [inotify.Notice(-1, mask, "")]
        patch.setattr(inotify.Inotify, "read", lambda self: iter(lost))
        found = await trees.compare(before)

    assert Changes(modified=paths("old")) == found
    assert trees.is_watching
    assert NOTHING == await changed(trees)
    trees.forget()


async def test_a_real_overflow_misses_nothing(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = inotify.limit("max_queued_events")
    if not 0 < limit <= 1 << 16:
        pytest.skip("the kernel keeps more hints than this test makes")
    trees = Trees(Scanner(str(work), LIMITER))
    before = await trees.before()
    for _ in range(limit // 2 + 1):
        os.utime(work / "old")
        os.utime(work / "other")
    (work / "last").touch()

    expected = Changes(created=paths("last"), modified=paths("old", "other"))
    assert expected == await trees.compare(before)
    trees.forget()


async def test_a_large_directory_that_has_come_is_walked_through_in_a_thread(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 5)
    place = work.parent / "place"
    (place / "deep").mkdir(parents=True)
    for number in range(30):
        (place / "deep" / f"f{number}").touch()
    trees = Trees(Scanner(str(work), LIMITER))
    before = await trees.before()
    assert trees.is_watching
    place.rename(work / "come")
    walking_in = set()
    real = Walk.advance

    def note(walk: Walk, count: int, until: float) -> bool:
        walking_in.add((count > 5, threading.current_thread() is threading.main_thread()))
        return real(walk, count, until)

    monkeypatch.setattr(Walk, "advance", note)
    found = await trees.compare(before)

    assert {(False, True), (True, False)} == walking_in
    assert 30 == len(found.created)
    assert trees.is_watching
    trees.forget()


async def test_a_look_that_is_cancelled_leaves_no_watch_and_the_next_one_is_right(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowance = Allowance(watches=100, instances=10)
    trees = Trees(Scanner(str(work), LIMITER, places=Places(allowance)))
    before = await trees.before()
    for number in range(3):
        (work / "come" / f"d{number}").mkdir(parents=True)
        (work / "come" / f"d{number}" / "f").touch()
    with trio.CancelScope() as cancel_scope:
        cancel_scope.cancel()
        await trees.compare(before)
    state = cancel_scope.cancelled_caught, trees.is_watching, allowance.watches, allowance.instances
    found = await trees.compare(before)
    trees.forget()

    assert (True, False, 100, 10) == state
    assert paths("come/d0/f", "come/d1/f", "come/d2/f") == found.created
    assert (100, 10) == (allowance.watches, allowance.instances)


async def test_a_kernel_that_gives_no_watch_is_asked_no_more_and_nothing_is_left_open(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowance, asked = Allowance(watches=100, instances=10), []

    def refuse(self: inotify.Inotify, path: str) -> int:
        asked.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inotify.Inotify, "add", refuse)
    trees = Trees(Scanner(str(work), LIMITER, places=Places(allowance)))
    opened = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        before = await trees.before()
        (work / "old").write_text("now")
        assert Changes(modified=paths("old")) == await trees.compare(before)
        await next_tick()

    assert 1 == len(asked)
    assert (opened, 100, 10) == (
        len(os.listdir("/proc/self/fd")),
        allowance.watches,
        allowance.instances,
    )


async def test_a_directory_that_goes_before_it_is_watched_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    allowance = Allowance(watches=100, instances=10)
    opened = len(os.listdir("/proc/self/fd"))

    assert Watch(str(tmp_path / "gone"), make_rules(()), allowance).start() is None
    assert (opened, 10) == (len(os.listdir("/proc/self/fd")), allowance.instances)
