"""What a watch knows of a tree besides its files, and what it is told."""

from __future__ import annotations

import mmap
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.watching import inotify
from runner.watching.allowance import Allowance
from runner.watching.columns import state_of
from runner.watching.patterns import make_rules
from runner.watching.walking import Walk
from runner.watching.watch import Watch

pytestmark = pytest.mark.skipif(
    not inotify.limit("max_user_watches"), reason="needs inotify: Linux, and /proc"
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    for path in (work, work / "sub", work / "sub" / "below"):
        path.mkdir()
        path.chmod(0o755)
    (work / "sub" / "file").write_bytes(b"x" * 4096)
    return work


@pytest.fixture
def watch(work: Path) -> Iterator[Watch]:
    found = Watch(str(work), make_rules(()), Allowance(watches=100, instances=1), set())
    walk = found.start()
    assert walk is not None
    assert walk.advance(1000, float("inf"))
    assert found.started()
    yield found
    found.close()


def look(watch: Watch) -> dict[str, int]:
    """The modes of directories after a look."""
    for _ in watch.look():
        pass
    assert watch.is_true
    return {
        path: stat.S_IMODE(each.mode) for path, each in watch.tree.folders.items() if path != ""
    }


def test_a_directorys_mode_is_kept_as_it_is_now(watch: Watch, work: Path) -> None:
    (work / "sub").chmod(0o711)
    before = look(watch)
    (work / "sub" / "below").chmod(0o700)
    (work / "sub" / "new").mkdir(mode=0o700)
    after = look(watch)
    many = {f"f{number}": number for number in range(1200)}  # so many that it is kept otherwise
    for name in many:
        (work / "sub" / name).touch()
    walk = Walk(str(work), make_rules(()))
    walk.advance(10_000, float("inf"))

    assert {"sub/": 0o711, "sub/below/": 0o755} == before
    assert {"sub/": 0o711, "sub/below/": 0o700, "sub/new/": 0o700} == after == look(watch)
    assert 0o711 == stat.S_IMODE(walk.tree.folders["sub/"].mode)


def test_the_end_of_a_mapping_is_told_though_the_files_state_is_as_it_was(
    watch: Watch, work: Path
) -> None:
    with (work / "sub" / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0] = 1
        look(watch)
        watch.written.clear()
        before = state_of((work / "sub" / "file").lstat())
        mapping[1] = 1  # in a page that was written to before: no stamp
        look(watch)
        during = set(watch.written)
    look(watch)

    assert set() == during
    assert {"sub/file"} == watch.written
    assert {"sub/file": before} == watch.tree.files()
