"""An overlay is captured by its upper directory: what that says is what the merged tree has."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from runner.workspaces.capturing import Capture, Captured
from runner.workspaces.listing import EntryType
from runner.workspaces.objects import ObjectId
from runner.workspaces.store import Store
from runner.workspaces.uppers import Upper


@attrs.define(eq=False)
class Overlay:
    """An overlay that is mounted, and what is captured of it."""

    place: Path
    store: Store
    base: ObjectId

    @property
    def tree(self) -> Path:
        return self.place / "tree"

    def upper(self) -> Upper:
        where = str(self.place / "upper"), str(self.tree)
        return Upper(*where, self.store, "w", base=self.base, ignore=(".git/**",))

    def merged(self) -> Captured:
        """What one sees who walks through the merged tree."""
        return Capture(str(self.tree), self.store, None, ignore=(".git/**",), watch=False).take()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(str(tmp_path / "store" / "store.db"))
    yield found
    found.close()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    base = tmp_path / "base"
    for name in ("old", "other", "sub/inner", "sub/more", "sub/below/deep", "far/away", ".git/x"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(f"was {name}")
    (base / "link").symlink_to("old")
    return base


@pytest.fixture
def overlay(tmp_path: Path, base: Path, store: Store) -> Iterator[Overlay]:
    for name in ("tree", "upper", "work"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={base},upperdir={tmp_path / 'upper'},workdir={tmp_path / 'work'}"
    options = f"{layers},redirect_dir=off,metacopy=off,index=off"
    argv = ["mount", "-t", "overlay", "overlay", "-o", options, str(tmp_path / "tree")]
    if os.geteuid() != 0 or subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount an overlay: run it as root")
    root = Capture(str(base), store, "base", ignore=(".git/**",), watch=False).take().root
    yield Overlay(tmp_path, store, root)
    subprocess.run(["umount", str(tmp_path / "tree")], check=True)


def seen(store: Store, root: ObjectId) -> tuple[object, object]:
    """All of a tree, and which names are of one file: the numbers of groups are another thing."""
    found, groups, waiting = {}, {}, [(b"", root)]
    while waiting:
        prefix, listing = waiting.pop()
        for each in store.listing(listing):
            path = prefix + each.name
            is_directory = each.type is EntryType.DIRECTORY
            found[path] = attrs.astuple(attrs.evolve(each, group=0))[: 3 if is_directory else 5]
            if is_directory:
                waiting.append((path + b"/", each.id))
            if each.group:
                groups.setdefault(each.group, set()).add(path)
    return found, sorted(map(sorted, groups.values()))


def anew(path: Path) -> None:
    """Take a directory away, and make it again."""
    shutil.rmtree(path)
    path.mkdir()


STEPS: dict[str, Callable[[Path], object]] = {
    "nothing": lambda tree: None,
    "an edit": lambda tree: (tree / "sub/inner").write_text("now"),
    "a new file": lambda tree: (tree / "sub/new").write_text("new"),
    "a file of another mode": lambda tree: (tree / "old").chmod(0o700),
    "a directory of another mode": lambda tree: (tree / "sub/below").chmod(0o700),
    "a file that is gone": lambda tree: (tree / "sub/inner").unlink(),
    "a directory that is gone": lambda tree: shutil.rmtree(tree / "sub"),
    "an empty directory anew": lambda tree: anew(tree / "sub"),
    "a directory anew, with files": lambda tree: (anew(tree / "sub"), STEPS["a new file"](tree)),
    "an old name in a directory anew": lambda tree: (
        anew(tree / "sub"), (tree / "sub/below").mkdir(), (tree / "sub/below/x").touch()
    ),
    "a directory in place of a file": lambda tree: ((tree / "old").unlink(), (tree / "old").mkdir()),
    "a file in place of a directory": lambda tree: (
        shutil.rmtree(tree / "sub"), (tree / "sub").write_text("x")
    ),
    "a file that was renamed": lambda tree: (tree / "old").rename(tree / "far/new"),
    "a directory that was moved": lambda tree: shutil.move(tree / "sub", tree / "far/sub"),
    "a link to somewhere else": lambda tree: (
        (tree / "link").unlink(), (tree / "link").symlink_to("/")
    ),
    "two names of one file": lambda tree: os.link(tree / "old", tree / "sub/two"),
    "a new directory": lambda tree: (tree / "new/in/it").mkdir(parents=True),
    "what is left out": lambda tree: (tree / ".git/x").write_text("now"),
    "an empty file": lambda tree: (tree / "sub/more").write_text(""),
    "a fifo": lambda tree: os.mkfifo(tree / "fifo"),
}  # fmt: skip


@pytest.mark.parametrize("what", STEPS)
def test_what_the_upper_directory_says_is_what_the_merged_tree_has(
    overlay: Overlay, what: str
) -> None:
    upper = overlay.upper()
    first = upper.take()
    STEPS[what](overlay.tree)
    found, expected = upper.take(), overlay.merged()
    upper.close()
    again = overlay.upper().take()

    assert (overlay.base, "upper") == (first.root, first.how)
    assert seen(overlay.store, expected.root) == seen(overlay.store, found.root)
    assert "upper" == found.how
    assert (found.root, 0) == (again.root, again.hashed)
    assert (expected.files, expected.bytes) == (found.files, found.bytes)
    if what != "two names of one file":
        assert expected.root == found.root
    assert overlay.store.check().ok


@pytest.mark.parametrize("way", [1, -1], ids=["forth", "back"])
def test_one_thing_after_the_other(overlay: Overlay, way: int) -> None:
    upper = overlay.upper()
    for step in list(STEPS.values())[::way]:
        with suppress(OSError):
            step(overlay.tree)

        expected, found = overlay.merged().root, upper.take().root
        assert seen(overlay.store, expected) == seen(overlay.store, found)


def test_a_file_is_read_once_and_others_are_not_read(overlay: Overlay) -> None:
    upper = overlay.upper()
    STEPS["an edit"](overlay.tree)
    STEPS["a new file"](overlay.tree)
    first, second = upper.take(), upper.take()
    upper.note(["sub/inner"])
    third = upper.take()

    assert [2, 0, 1] == [each.hashed for each in (first, second, third)]


def test_in_doubt_the_merged_tree_is_looked_at(overlay: Overlay, base: Path) -> None:
    upper = overlay.upper()
    upper.take()
    (base / "other").write_text("another one, under the overlay")
    found, verified, reread = upper.take(), upper.take(verify=True), upper.take(reread=True)

    assert overlay.base == found.root
    assert overlay.merged().root == verified.root == reread.root
    assert ("scan", 7) == (reread.how, reread.hashed)


def test_another_base_is_not_taken_for_the_one_that_is_known(overlay: Overlay) -> None:
    upper = overlay.upper()
    STEPS["an edit"](overlay.tree)
    upper.take()
    upper.close()
    (overlay.place / "elsewhere").mkdir()
    (overlay.place / "elsewhere" / "file").write_text("x")
    other = Capture(str(overlay.place / "elsewhere"), overlay.store, None).take()
    found = attrs.evolve(overlay, base=other.root).upper().take()

    assert {b"file", b"sub"} == {each.name for each in overlay.store.listing(found.root)}


# ---------------------------------------------------------------- marks that the kernel may make


@pytest.fixture
def marked(tmp_path: Path, base: Path, store: Store) -> Overlay:
    """Only the upper directory of one; the merged tree is the base."""
    (tmp_path / "upper" / "sub").mkdir(parents=True)
    (tmp_path / "tree").symlink_to(base)
    root = Capture(str(base), store, "base", ignore=(".git/**",), watch=False).take().root
    try:
        os.setxattr(tmp_path / "upper", "user.test", b"x")
    except OSError:
        pytest.skip("needs extended attributes of users")
    return Overlay(tmp_path, store, root)


def names(overlay: Overlay, captured: Captured, *below: bytes) -> set[bytes]:
    listing = captured.root
    for name in below:
        (listing,) = (each.id for each in overlay.store.listing(listing) if each.name == name)
    return {each.name for each in overlay.store.listing(listing)}


def test_an_overlay_of_a_user_has_its_marks_in_attributes_of_users(marked: Overlay) -> None:
    sub = marked.place / "upper" / "sub"
    upper = marked.upper()
    merged = names(marked, upper.take(), b"sub")
    (sub / "inner").touch()
    os.setxattr(sub / "inner", "user.overlay.whiteout", b"y")
    os.setxattr(sub, "user.overlay.opaque", b"x")  # it has such whiteouts: it is not opaque
    hidden = names(marked, upper.take(), b"sub")
    os.setxattr(sub, "user.overlay.opaque", b"y")
    opaque = names(marked, upper.take(), b"sub")

    assert [{b"inner", b"more", b"below"}, {b"more", b"below"}, set()] == [merged, hidden, opaque]


@pytest.mark.parametrize("mark", ["redirect", "metacopy"])
def test_where_the_upper_directory_is_not_all_the_merged_tree_is_looked_at(
    marked: Overlay, mark: str
) -> None:
    upper = marked.upper()
    first = upper.take()
    file = marked.place / "upper" / "sub" / "file"
    file.write_text("x")
    os.setxattr(file if mark == "metacopy" else file.parent, f"user.overlay.{mark}", b"/x")
    found = [upper.take() for _ in range(2)]
    upper.close()

    assert "upper" == first.how
    assert [(marked.base, "scan")] * 2 == [(each.root, each.how) for each in found]


def test_a_device_in_the_upper_directory_is_left_out_and_no_whiteout(marked: Overlay) -> None:
    try:
        os.mknod(marked.place / "upper" / "old", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("needs the right to make devices: run it as root")
    found = marked.upper().take()

    assert ["a character device"] == [each.why for each in found.skipped]
    assert b"old" not in names(marked, found)
