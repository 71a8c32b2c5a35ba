"""Which files a turn changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from runner.sessions.changes import NOTHING, Changes, Scanner, compare
from runner.watching import statx, walking
from runner.watching.columns import Columns, State
from runner.watching.files import Tree, make_folder_of


@pytest.fixture
def scanner(tmp_path: Path) -> Scanner:
    return Scanner(str(tmp_path), trio.CapacityLimiter(1))


def paths(*names: str) -> tuple[PurePosixPath, ...]:
    return tuple(map(PurePosixPath, names))


Change = Callable[[Path], object]


def rename(path: Path) -> None:
    (path / "old").rename(path / "new")


def edit_and_restore_mtime(path: Path) -> None:
    stat = (path / "old").stat()
    (path / "old").write_text("NOW")
    os.utime(path / "old", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def replace_by_rename(path: Path) -> None:
    (path / "tmp").write_text("was")
    (path / "tmp").rename(path / "old")


def rename_and_edit(path: Path) -> None:
    (path / "old").rename(path / "new")
    (path / "new").write_text("something else")


def rename_directory(path: Path) -> None:
    (path / "sub").rename(path / "bus")


def rename_over(path: Path) -> None:
    (path / "old").rename(path / "sub" / "inner")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(lambda path: None, NOTHING, id="nothing"),
        pytest.param(
            lambda path: (path / "new").write_text("x"),
            Changes(created=paths("new")),
            id="a new file",
        ),
        pytest.param(
            lambda path: (path / "old").unlink(), Changes(deleted=paths("old")), id="one less"
        ),
        pytest.param(
            lambda path: (path / "old").write_text("now it is longer"),
            Changes(modified=paths("old")),
            id="another content",
        ),
        pytest.param(
            lambda path: (path / "old").chmod(0o755), Changes(modified=paths("old")), id="a mode"
        ),
        pytest.param(
            edit_and_restore_mtime, Changes(modified=paths("old")), id="an mtime restored"
        ),
        pytest.param(replace_by_rename, Changes(modified=paths("old")), id="an atomic replacement"),
        pytest.param(rename, Changes(renamed=(paths("old", "new"),)), id="another name"),
        pytest.param(
            rename_and_edit,
            Changes(created=paths("new"), deleted=paths("old")),
            id="another name and content",
        ),
        pytest.param(
            rename_directory,
            Changes(renamed=(paths("sub/inner", "bus/inner"),)),
            id="another directory",
        ),
        pytest.param(
            rename_over,
            Changes(deleted=paths("old"), modified=paths("sub/inner")),
            id="a name that was taken",
        ),
        pytest.param(
            lambda path: os.symlink("nowhere", path / "link"),
            Changes(created=paths("link")),
            id="a dangling link",
        ),
        pytest.param(
            lambda path: os.symlink("/", path / "root"),
            Changes(created=paths("root")),
            id="a link to a directory is itself",
        ),
        pytest.param(
            lambda path: os.link(path / "sub" / "inner", path / "hard"),
            # Its inode changed: the number of its links. Nobody can say that it is the same.
            Changes(created=paths("hard"), modified=paths("sub/inner")),
            id="a hard link",
        ),
        pytest.param(lambda path: (path / "empty").mkdir(), NOTHING, id="a directory is no file"),
        pytest.param(
            lambda path: (path / ".runner-tmp-1").write_text("x"), NOTHING, id="our own temporary"
        ),
        pytest.param(
            lambda path: (path / ".git" / "index").write_text("x"), NOTHING, id="git's own files"
        ),
    ],
)
async def test_a_change_is_told_for_what_it_is(
    scanner: Scanner, tmp_path: Path, change: Change, expected: Changes
) -> None:
    (tmp_path / "old").write_text("was")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner").write_text("inner")
    (tmp_path / ".git").mkdir()

    before = await scanner.scan()
    change(tmp_path)
    after = await scanner.scan()

    assert expected == await scanner.compare(before, after)


async def test_a_name_that_is_no_text_survives(scanner: Scanner, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    before = await scanner.scan()
    (tmp_path / name).write_text("x")

    found = compare(before, await scanner.scan()).created

    assert [b"caf\xe9"] == [os.fsencode(path) for path in found]


def tree(files: Mapping[str, State]) -> Tree:
    return Tree({"": make_folder_of((1, 1), 0, dict(files))})


async def test_a_reused_inode_is_no_rename() -> None:
    old = tree({"old": (7, 3, 100, 100, 0o100644, 1)})
    new = tree({"new": (7, 3, 200, 200, 0o100644, 1)})

    assert Changes(created=paths("new"), deleted=paths("old")) == compare(old, new)


async def test_of_two_new_links_to_one_gone_file_one_is_the_rename() -> None:
    old = tree({"old": (7, 3, 100, 100, 0o100644, 1)})
    new = tree(dict.fromkeys(("a", "b"), (7, 3, 100, 200, 0o100644, 2)))

    expected = Changes(created=paths("b"), renamed=(paths("old", "a"),))

    assert expected == compare(old, new)


@pytest.mark.parametrize("entries", [1, 3, walking.INLINE_ENTRIES])
async def test_a_large_tree_is_scanned_in_pieces(
    scanner: Scanner, tmp_path: Path, entries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = set()
    for i in range(30):
        (tmp_path / f"d{i % 7}" / f"e{i % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"d{i % 7}" / f"e{i % 2}" / f"f{i}").touch()
        expected.add(f"d{i % 7}/e{i % 2}/f{i}")
    monkeypatch.setattr(walking, "INLINE_ENTRIES", entries)
    monkeypatch.setattr(walking, "CHUNK", 2)

    before = await scanner.scan()
    (tmp_path / "one more").touch()
    after = await scanner.scan()

    assert expected == before.files().keys()
    assert paths("one more") == (await scanner.compare(before, after)).created


async def test_a_cancelled_scan_leaves_soon_and_leaves_nothing_open(
    scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(20):
        (tmp_path / f"f{i}").touch()
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    monkeypatch.setattr(walking, "CHUNK", 1)
    scanning = threading.Event()
    go_on = threading.Event()
    check = trio.from_thread.check_cancelled

    def pause() -> None:
        scanning.set()
        go_on.wait(10)
        check()

    monkeypatch.setattr(trio.from_thread, "check_cancelled", pause)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scanner.scan)
        while not scanning.is_set():
            await trio.sleep(0.001)
        nursery.cancel_scope.cancel()
        go_on.set()

    assert 0 == scanner.limiter.borrowed_tokens


async def test_what_cannot_be_read_or_is_not_there_is_left_out(
    scanner: Scanner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = Scanner(str(tmp_path / "gone"), scanner.limiter)
    (tmp_path / "seen").touch()
    (tmp_path / "vanishing").touch()
    real = statx.look

    def look(directory: int, names: list[str]) -> Columns:
        (tmp_path / "vanishing").unlink(missing_ok=True)  # it is listed by now
        return real(directory, names)

    monkeypatch.setattr(walking, "look", look)

    assert {} == (await gone.scan()).files()
    assert {"seen"} == (await scanner.scan()).files().keys()


_states = st.tuples(*[st.integers(0, 3)] * 6)
_trees = st.dictionaries(st.sampled_from("abcdef"), _states)


@given(_trees, _trees)
def test_every_path_is_accounted_for_once(old: dict[str, State], new: dict[str, State]) -> None:
    found = compare(tree(old), tree(new))

    gone = {*map(str, found.deleted), *(str(source) for source, _ in found.renamed)}
    come = {*map(str, found.created), *(str(to) for _, to in found.renamed)}
    assert old.keys() - new.keys() == gone
    assert new.keys() - old.keys() == come
    assert {path for path in old.keys() & new.keys() if old[path] != new[path]} == set(
        map(str, found.modified)
    )
    assert len(found.deleted) + len(found.renamed) == len(gone)
    assert len(found.created) + len(found.renamed) == len(come)
