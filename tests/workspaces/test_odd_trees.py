"""Trees with everything odd: captured as it is, or left out by name."""

from __future__ import annotations

import mmap
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runner.watching import inotify, walking
from runner.workspaces import reading
from runner.workspaces.capturing import Capture, Captured, Skipped
from runner.workspaces.listing import EMPTY, Entry, EntryType
from runner.workspaces.objects import CHUNK, NO_ID, ObjectId, decode_chunks
from runner.workspaces.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(str(tmp_path / "store" / "store.db"))
    yield found
    found.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    return tmp_path / "tree"


@pytest.fixture
def capture(tree: Path, store: Store) -> Capture:
    return Capture(str(tree), store, "w", watch=False)


def entries(store: Store, root: ObjectId) -> dict[bytes, Entry]:
    return {each.name: each for each in store.listing(root)}


def text(store: Store, entry: Entry) -> bytes:
    return store.read(entry.id, 1 << 30)


def only(tree: Path, captured: Captured, store: Store) -> Entry:
    """What was captured of a tree of one name."""
    (found,) = store.listing(captured.root)
    return found


@pytest.mark.parametrize(
    "name",
    [b"\xff\xfe", b"a\nb\n", b"x" * 255, b"-rf", b" ", b"...", "é".encode(), b"a\\b", b"\x01\x7f"],
)
@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_a_name_is_bytes(
    capture: Capture, tree: Path, store: Store, name: bytes, kind: str
) -> None:
    path = os.path.join(os.fsencode(tree), name)
    if kind == "file":
        Path(os.fsdecode(path)).write_bytes(name)
    elif kind == "directory":
        os.mkdir(path)
        Path(os.fsdecode(os.path.join(path, name))).write_bytes(name)
    else:
        os.symlink(name, path)
    found = only(tree, captured := capture.take(), store)
    inner = only(tree, Captured(found.id, 0, 0, 0, (), (), "scan"), store) if (
        kind == "directory"
    ) else found  # fmt: skip

    assert (name, name) == (found.name, inner.name)
    assert name == text(store, inner)
    assert 0 == capture.take().hashed
    assert () == captured.skipped


@pytest.mark.parametrize(
    "target", [b"nowhere", b"/etc/passwd", b"loop", b"..", b"\xff\n", b"x" * 4000]
)
def test_a_link_is_its_target_and_is_not_followed(
    capture: Capture, tree: Path, store: Store, target: bytes
) -> None:
    os.symlink(target, os.path.join(os.fsencode(tree), b"loop"))
    found = only(tree, capture.take(), store)

    assert (EntryType.LINK, 0, 0) == (found.type, found.mode, found.size)
    assert target == text(store, found)


def test_empty_directories_and_read_only_ones_are_kept_with_their_modes(
    capture: Capture, tree: Path, store: Store
) -> None:
    (tree / "empty").mkdir()
    (tree / "closed").mkdir()
    (tree / "closed" / "file").write_text("x")
    (tree / "closed").chmod(0o555)
    found = entries(store, capture.take().root)
    (tree / "closed").chmod(0o755)

    assert EMPTY.id == found[b"empty"].id
    assert 0o555 == found[b"closed"].mode
    assert {b"file"} == entries(store, found[b"closed"].id).keys()


def test_modes_are_kept_but_nobody_gets_anothers_rights(
    capture: Capture, tree: Path, store: Store
) -> None:
    modes = {
        b"program": 0o755,
        b"secret": 0o600,
        b"nothing": 0o000,
        b"setuid": 0o4755,
        b"t": 0o1777,
    }
    for name, mode in modes.items():
        path = tree / os.fsdecode(name)
        path.touch()
        path.chmod(mode)
    found = entries(store, capture.take().root)

    assert {**modes, b"setuid": 0o755} == {name: each.mode for name, each in found.items()}


def test_a_fifo_is_kept_and_nobody_waits_for_its_other_end(
    capture: Capture, tree: Path, store: Store
) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "fifo").chmod(0o640)

    assert Entry(b"fifo", EntryType.FIFO, 0o640, NO_ID) == only(tree, capture.take(), store)


def test_sockets_and_devices_are_left_out_by_name(
    capture: Capture, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "sub").mkdir()
    monkeypatch.chdir(tree / "sub")  # the path of a socket is short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
    expected = [Skipped(b"sub/socket", "a socket")]
    if os.geteuid() == 0:
        os.mknod(tree / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        os.mknod(tree / "disk", stat.S_IFBLK | 0o600, os.makedev(7, 99))
        expected = [
            Skipped(b"disk", "a block device"),
            Skipped(b"null", "a character device"),
            *expected,
        ]
    first = capture.take()
    (tree / "sub" / "file").touch()
    second, third = capture.take(), capture.take()

    assert [tuple(expected)] * 3 == [each.skipped for each in (first, second, third)]
    assert [0, 1, 0] == [each.hashed for each in (first, second, third)]


def test_a_sparse_file_of_ten_gigabytes_takes_no_time_and_no_room(
    capture: Capture, tree: Path, store: Store
) -> None:
    with (tree / "sparse").open("wb") as file:
        file.truncate(10 << 30)
        file.seek(7 << 30)
        file.write(b"here")
        file.seek((5 << 30) + 100)
        file.write(bytes(5 * CHUNK))  # zeros that are no hole
    began = time.process_time()
    found = only(tree, captured := capture.take(), store)
    chunks = decode_chunks(store.get(found.id).data)

    assert (10 << 30, 10 << 30) == (found.size, captured.bytes)
    assert [7 << 10] == [number for number, each in enumerate(chunks.ids) if each is not None]
    assert b"here" + bytes(CHUNK - 4) == store.get(chunks.ids[7 << 10]).data
    assert time.process_time() - began < 5


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
@pytest.mark.parametrize("holes", [False, True], ids=["data", "holes"])
def test_a_file_is_the_same_with_holes_or_without(
    capture: Capture, tree: Path, store: Store, size: int, holes: bool
) -> None:
    with (tree / "file").open("wb") as file:
        file.write(b"x")
        if holes:
            file.truncate(size)
        else:
            file.write(bytes(size - 1))
    found = only(tree, capture.take(), store)

    assert b"x" + bytes(size - 1) == text(store, found)
    assert (size > CHUNK) is (store.get(found.id).kind.name == "CHUNKS")


def test_a_file_of_more_than_a_terabyte_is_left_out_by_name(capture: Capture, tree: Path) -> None:
    with (tree / "huge").open("wb") as file:
        file.truncate(reading.LARGEST + 1)

    assert (Skipped(b"huge", "a file of more than 1 TiB"),) == capture.take().skipped


def test_hard_links_are_of_one_group(capture: Capture, tree: Path, store: Store) -> None:
    (tree / "one").write_text("x")
    (tree / "sub").mkdir()
    os.link(tree / "one", tree / "two")
    os.link(tree / "one", tree / "sub" / "three")
    (tree / "alone").write_text("x")
    found = entries(store, capture.take().root)
    below = entries(store, found[b"sub"].id)
    (tree / "two").unlink()
    (tree / "sub" / "three").unlink()
    after = entries(store, capture.take().root)

    inode = (tree / "one").stat().st_ino
    assert [inode] * 3 == [found[b"one"].group, found[b"two"].group, below[b"three"].group]
    assert (0, 0) == (found[b"alone"].group, after[b"one"].group)


# ---------------------------------------------------------------- while somebody writes


@pytest.mark.parametrize("size", [10, CHUNK + 10])
def test_a_file_that_grows_while_it_is_read_is_kept_as_it_was_read_and_said_to_be_unstable(
    capture: Capture, tree: Path, store: Store, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "log").write_bytes(b"x" * size)
    real = os.pread

    def pread(descriptor: int, count: int, at: int) -> bytes:
        with (tree / "log").open("ab") as file:
            file.write(b"more")
        return real(descriptor, count, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        found = capture.take()
    kept = only(tree, found, store)
    after = capture.take()

    assert (b"log",) == found.unstable
    assert size < kept.size < (tree / "log").stat().st_size
    assert b"x" * size + b"more" * ((kept.size - size) // 4) == text(store, kept)
    assert ((), 1) == (after.unstable, after.hashed)
    assert (tree / "log").read_bytes() == text(store, only(tree, after, store))


def test_a_file_that_was_written_to_once_is_read_once_more(
    capture: Capture, tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_text("was")
    real, writes = os.pread, ["is now"]

    def pread(descriptor: int, count: int, at: int) -> bytes:
        data = real(descriptor, count, at)
        if writes:
            (tree / "file").write_text(writes.pop())
        return data

    monkeypatch.setattr(os, "pread", pread)
    found = capture.take()

    assert () == found.unstable
    assert b"is now" == text(store, only(tree, found, store))


@pytest.mark.parametrize("left", [0, 5, CHUNK // 2, CHUNK + 5, 2 * CHUNK])
def test_a_file_that_is_cut_off_while_it_is_read_is_kept_as_it_was_read(
    capture: Capture, tree: Path, store: Store, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_bytes(b"x" * (3 * CHUNK))
    monkeypatch.setattr(reading, "TRIES", 1)
    real, sizes = os.pread, [left]

    def pread(descriptor: int, count: int, at: int) -> bytes:
        data = real(descriptor, min(count, 1 << 19), at)  # as a kernel may: not all at once
        if sizes:
            os.truncate(tree / "file", sizes.pop())
        return data

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", pread)
        found = capture.take()
    kept = only(tree, found, store)

    assert (b"file",) == found.unstable
    assert text(store, kept).strip(b"x") == b""
    assert kept.size == len(text(store, kept)) <= max(left, CHUNK)
    assert b"x" * left == text(store, only(tree, capture.take(), store))


@pytest.mark.parametrize("becomes", ["nothing", "a link", "a directory", "a fifo"])
def test_what_goes_or_becomes_something_else_meanwhile_shows_the_next_time(
    capture: Capture, tree: Path, store: Store, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_text("was")
    (tree / "link").symlink_to("somewhere")
    real = reading.Reader.read

    def read(reader: reading.Reader, directory: int, name: str, state: object) -> object:
        path = tree / name
        path.unlink()
        if becomes == "a link":
            path.symlink_to("/etc/passwd") if name == "file" else path.write_text("no link")
        elif becomes == "a directory":
            path.mkdir()
        elif becomes == "a fifo":
            os.mkfifo(path)
        return real(reader, directory, name, state)

    with monkeypatch.context() as patch:
        patch.setattr(reading.Reader, "read", read)
        found = capture.take()
    after = entries(store, capture.take().root)

    assert EMPTY.id == found.root
    assert () == found.skipped
    assert {
        "nothing": {},
        "a link": {b"file": EntryType.LINK, b"link": EntryType.FILE},
        "a directory": {b"file": EntryType.DIRECTORY, b"link": EntryType.DIRECTORY},
        "a fifo": {b"file": EntryType.FIFO, b"link": EntryType.FIFO},
    }[becomes] == {name: each.type for name, each in after.items()}


@pytest.mark.parametrize("becomes", ["gone", "another"])
def test_a_directory_that_is_replaced_after_it_was_looked_at_is_not_read(
    capture: Capture, tree: Path, store: Store, becomes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "sub").mkdir()
    (tree / "sub" / "file").write_text("was")
    real = walking.Walk.advance

    def advance(walk: walking.Walk, count: int, until: float) -> bool:
        done = real(walk, count, until)
        (tree / "sub").rename(tree.parent / "moved")
        if becomes == "another":
            (tree / "sub").symlink_to(tree.parent / "moved" / "..")
        return done

    with monkeypatch.context() as patch:
        patch.setattr(walking.Walk, "advance", advance)
        found = capture.take()
    after = capture.take()

    assert (b"sub/",) == found.unstable
    assert EMPTY.id == entries(store, found.root)[b"sub"].id
    assert ([] if becomes == "gone" else [b"sub"]) == list(entries(store, after.root))


def mapped(tree: Path, capture: Capture) -> list[Captured]:
    """A capture while a mapping is written to, one after that, one after the mapping's end."""
    (tree / "file").write_bytes(bytes(4096))
    capture.take()
    with (tree / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[0:3] = b"one"
        first = capture.take(verify=True)
        mapping[0:3] = b"two"  # in a page that was written to before: no stamp
        second = capture.take()
    return [first, second, capture.take()]


def test_what_was_written_through_a_mapping_is_hinted_at_when_that_ends(
    tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not inotify.limit("max_user_watches"):
        pytest.skip("needs inotify: Linux, and /proc")
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    (tree / "sub").mkdir()
    capture = Capture(str(tree), store, "w")
    first, _, last = mapped(tree, capture)
    capture.close()

    assert b"one" == text(store, entries(store, first.root)[b"file"])[:3]
    assert ("hints", 1) == (last.how, last.hashed)
    assert b"two" == text(store, entries(store, last.root)[b"file"])[:3]


def test_what_no_state_tells_of_a_mapping_is_seen_when_everything_is_read(
    capture: Capture, tree: Path, store: Store
) -> None:
    mapped(tree, capture)
    found = capture.take(reread=True)

    assert b"two" == text(store, entries(store, found.root)[b"file"])[:3]


# ---------------------------------------------------------------- what is closed to us


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Be somebody who may not read everything."""
    if os.geteuid() != 0:
        yield
        return
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == 0 and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_what_is_closed_to_us_is_left_out_by_name(
    tree: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    (tree / "closed").mkdir()
    (tree / "closed" / "inner").write_text("x")
    (tree / "secret").write_text("x")
    (tree / "open").write_text("x")
    tree.chmod(0o755)
    (tree / "closed").chmod(0)
    (tree / "secret").chmod(0)
    (tmp_path / "db").mkdir()
    (tmp_path / "db").chmod(0o777)
    request.getfixturevalue("nobody")
    store = Store.open(str(tmp_path / "db" / "store"))
    capture = Capture(str(tree), store, "w")
    first, second = capture.take(), capture.take()
    names = entries(store, first.root).keys()
    store.close()
    if os.getuid() == 0:
        os.seteuid(0)
    (tree / "closed").chmod(0o755)

    expected = (
        Skipped(b"closed/", "a directory that cannot be read: Permission denied"),
        Skipped(b"secret", "Permission denied"),
    )
    assert [expected] * 2 == [first.skipped, second.skipped]
    assert {b"open"} == names


def test_a_directory_that_is_opened_and_closed_again_comes_and_goes(
    capture: Capture, tree: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "sub" / "deep").mkdir(parents=True)
    (tree / "sub" / "deep" / "file").write_text("x")
    whole = capture.take()
    real = os.scandir

    def refuse(path: object) -> object:
        if isinstance(path, int) and os.readlink(f"/proc/self/fd/{path}").endswith("/sub"):
            return Broken(real(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        broken = capture.take()

    assert (Skipped(b"sub/", "a directory that could not be read to its end"),) == broken.skipped
    assert EMPTY.id == broken.root
    assert whole.root == capture.take().root


def test_a_tree_whose_top_cannot_be_read_is_no_tree(
    capture: Capture, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "file").write_text("x")
    real = os.scandir
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", lambda path: Broken(real(path)))
        with pytest.raises(OSError, match="cannot be read to its end"):
            capture.take()

    assert 1 == capture.take().files


class Broken:
    """A directory whose disk fails after its entries."""

    def __init__(self, entries: Iterator[os.DirEntry[str]]) -> None:
        self.entries = entries

    def __iter__(self) -> Iterator[os.DirEntry[str]]:
        yield from self.entries
        raise OSError(5, "Input/output error")

    def close(self) -> None:
        self.entries.close()


def test_a_path_that_is_too_long_for_the_system_is_left_out_by_name(
    capture: Capture, tree: Path, store: Store
) -> None:
    (tree / "file").write_text("x")
    name, inside = "d" * 250, os.open(tree, os.O_RDONLY)
    for _ in range(18):
        os.mkdir(name, dir_fd=inside)
        below = os.open(name, os.O_RDONLY, dir_fd=inside)
        os.close(inside)
        inside = below
    os.close(inside)
    found = capture.take()
    (skipped,) = found.skipped

    assert skipped.path.startswith(b"d" * 250 + b"/")
    assert "a directory that cannot be read: File name too long" == skipped.why
    assert 1 == found.files
