"""File systems of several kinds, also one in another: what their stamps are worth."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
import trio

from runner.sessions.changes import NOTHING, Changes, Scanner, compare
from runner.sessions.trees import Trees
from runner.watching import stamps

LIMITER = trio.CapacityLimiter(1)


async def next_tick() -> None:
    """Until what changes is stamped later than all before, as sharply as that is told."""
    before = time.time_ns()
    while stamps.now().stamp <= before:
        await trio.sleep(0.0005)


def paths(*names: str) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))


def mount(place: Path) -> None:
    """Mount a file system that stamps its files with the clock's last tick."""
    place.mkdir(exist_ok=True)
    argv = ["mount", "-t", "ramfs", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a ramfs: run it as root")


def unmount(place: Path) -> None:
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def coarse(tmp_path: Path) -> Iterator[Path]:
    """A directory whose files are stamped with the clock's last tick, in one that is not so."""
    place = tmp_path / "coarse"
    mount(place)
    yield place
    if os.path.ismount(place):
        unmount(place)


@pytest.mark.parametrize("top", ["coarse", "."])
@pytest.mark.parametrize("attempt", range(10))
async def test_an_edit_within_the_tick_in_which_a_file_was_looked_at_is_seen(
    coarse: Path, top: str, attempt: int
) -> None:
    directory = coarse.parent / top
    trees = Trees(Scanner(str(directory), LIMITER))
    (coarse / "file").write_text("a")

    before = await trees.before()
    (coarse / "file").write_text("b")

    found = await trees.compare(before)
    assert Changes(modified=((coarse / "file").relative_to(directory),)) == found


async def test_without_waiting_for_the_tick_it_would_be_missed(
    coarse: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sessions.trees.TICKS", 0)
    trees = Trees(Scanner(str(coarse), LIMITER))
    missed = 0
    for number in range(20):
        (coarse / "file").write_text("a")
        before = await trees.before()
        (coarse / "file").write_text(str(number % 10))
        missed += NOTHING == await trees.compare(before)

    assert missed


@pytest.mark.parametrize("watch", [True, False])
async def test_what_a_mount_hides_has_gone_and_what_it_shows_has_come(
    coarse: Path, watch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sessions.trees.SMALL_TREE", -1)
    monkeypatch.setattr("runner.watching.walking.INLINE_ENTRIES", 1)
    trees = Trees(Scanner(str(coarse.parent), LIMITER, watch=watch))
    (coarse / "file").write_text("a")
    await trees.compare(await trees.before())
    assert not trees.is_watching

    before = await trees.before()
    unmount(coarse)
    gone = await trees.compare(before)
    aside = coarse.parent / "aside"
    mount(aside)
    try:
        (aside / "old").write_text("a")
        (coarse / "below").write_text("b")
        await next_tick()
        await trees.compare(await trees.before())
        before = await trees.before()
        subprocess.run(["mount", "--bind", aside, coarse], check=True)
        come = await trees.compare(before)
    finally:
        unmount(aside)

    assert Changes(deleted=paths("coarse/file")) == gone
    assert Changes(created=paths("coarse/old"), deleted=paths("coarse/below")) == come


async def test_stamps_of_another_machine_tell_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runner.sessions.trees.SMALL_TREE", -1)
    (tmp_path / "file").write_text("a")
    trees = Trees(Scanner(str(tmp_path), LIMITER))
    await trees.compare(await trees.before())
    (tmp_path / "file").write_text("now")
    (tmp_path / "new").write_text("now")
    await next_tick()
    before = await trees.before()
    tree = await trees._look()
    ours = compare(before.tree, tree, before.since.stamp)
    for device in tree.systems:
        tree.systems[device] = stamps.FileSystem(local=False, fine=False)
    theirs = compare(before.tree, tree, before.since.stamp)

    assert NOTHING == ours
    assert Changes(created=paths("new"), modified=paths("file")) == theirs
