from __future__ import annotations

import os
import random
import resource
import sqlite3
import stat
import subprocess
import tarfile

import pytest
import trio

from runner.errors import (
    AlreadyExists,
    ExecFailed,
    InvalidArgument,
    NoSpace,
    NotFound,
    OperationError,
    PermissionDenied,
    StoreDamaged,
    StoreError,
    WrongType,
)
from runner.processes.host import ProcessHost
from runner.workspaces.comparing import compare
from runner.workspaces.diff import Diff
from runner.workspaces.exporting import export_patch, export_tar
from runner.workspaces.exporting_agentfs import cut, export_agentfs
from runner.workspaces.exporting_git import Revision, export_bundle
from runner.workspaces.importing_agentfs import import_agentfs
from runner.workspaces.listing import EMPTY
from runner.workspaces.records import CommitRecord
from runner.workspaces.store import Store

LARGE = b"start" + bytes(3 << 20) + b"end"


@pytest.fixture
def everything(trees):
    """A tree with all that is odd."""
    return trees.root(
        {
            b"plain.txt": b"text\n",
            b"empty": b"",
            b"program": trees.File(b"#!/bin/sh\n", 0o755),
            b"secret": trees.File(b"x", 0o600),
            b"large": LARGE,
            b'new\nline "quoted"': b"x",
            b"\xff\xfe": b"not UTF-8",
            b"d": {b"e": {b"f": b"deep"}, b"empty": {}, b"n" * 255: b"long"},
            b"shut": trees.Directory({b"x": b"1"}, 0o555),
            b"link": trees.Link(b"../\xff"),
            b"fifo": trees.Fifo(0o640),
            b"one": trees.File(b"same", 0o644, group=7),
            b"two": trees.File(b"same", 0o644, group=7),
        }
    )


def without(trees, root, *names):
    return trees.root({name: each for name, each in trees.nodes(root).items() if name not in names})


def left_out(made):
    return dict(made.left_out)


# ------------------------------------------------------------------------------------ the file


def export(trees, path, **more):
    return export_tar(trees, trees.root({b"a": b"x"}), path, **more)


def test_a_file_that_is_there_is_refused_and_stays(trees, tmp_path):
    path = tmp_path / "out.tar"
    path.write_bytes(b"mine")

    with pytest.raises(AlreadyExists, match="overwrite=True"):
        export(trees, path)

    assert path.read_bytes() == b"mine"
    made = export(trees, path, overwrite=True)
    assert (made.path, made.size) == (str(path), path.stat().st_size)
    assert os.listdir(tmp_path) == ["out.tar"]


def test_a_file_that_comes_meanwhile_is_not_replaced(trees, tmp_path):
    path = tmp_path / "out.tar"

    class Slow:
        listing = trees.listing

        def content(self, id_):
            path.write_bytes(b"theirs")
            return trees.content(id_)

    with pytest.raises(AlreadyExists):
        export_tar(Slow(), trees.root({b"a": b"x"}), path)

    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_an_export_that_fails_leaves_nothing(trees, tmp_path):
    class Broken:
        listing = trees.listing

        def content(self, id_):
            raise OSError(5, "read error")

    path = tmp_path / "out.tar"
    path.write_bytes(b"mine")

    with pytest.raises(Exception, match="Input/output error"):
        export_tar(Broken(), trees.root({b"a": b"x"}), path, overwrite=True)

    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["out.tar"]


def test_a_content_that_is_shorter_than_the_tree_says_is_no_archive(trees, tmp_path):
    class Damaged:
        listing = trees.listing

        def content(self, id_):
            yield b"x"

    with pytest.raises(OperationError, match="unexpected end"):
        export_tar(Damaged(), trees.root({b"a": b"12345"}), tmp_path / "out.tar")

    assert os.listdir(tmp_path) == []


def test_a_place_where_no_file_can_be_is_said(trees, tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(NotFound):
        export(trees, tmp_path / "none" / "out.tar")
    with pytest.raises(WrongType):
        export(trees, tmp_path / "file" / "out.tar")
    with pytest.raises(WrongType):
        export(trees, tmp_path, overwrite=True)
    with pytest.raises(PermissionDenied):
        export(trees, "/sys/out.tar")


@pytest.mark.parametrize("name", ["out.tar", "out.tgz", "out.db", "out.patch"])
def test_where_there_is_no_room_nothing_is_left(trees, tmp_path, name):
    chance = random.Random(7)
    root = trees.root({b"a": chance.randbytes(1 << 18), b"b": chance.randbytes(1 << 18)})
    (tmp_path / name).write_bytes(b"mine")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises((NoSpace, StoreError)):
            match name:
                case "out.db":
                    export_agentfs(trees, root, tmp_path / name, overwrite=True)
                case "out.patch":
                    diff = Diff(trees, EMPTY.id, root)
                    export_patch(diff, tmp_path / name, overwrite=True)
                case _:
                    export_tar(trees, root, tmp_path / name, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"mine"


def test_a_mode_follows_the_umask(trees, tmp_path):
    before = os.umask(0o027)
    try:
        export(trees, tmp_path / "out.tar")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "out.tar").stat().st_mode) == 0o640


# ------------------------------------------------------------------------------------ the store


async def test_all_of_it_comes_out_of_a_store(trees, tmp_path, host, everything):
    before = trees.root({b"plain.txt": b"other\n", b"large": LARGE[:-1]})
    store = Store.open(str(tmp_path / "store.db"))
    try:
        store.put(trees.objects.values())
        diff, known = Diff(store, before, everything), Diff(trees, before, everything)
        assert (diff.changes, diff.text, diff.patch) == (known.changes, known.text, known.patch)
        assert (diff.stat, diff.summary) == (known.stat, known.summary)
        export_patch(diff, tmp_path / "out.patch")
        export_tar(store, everything, tmp_path / "out.tar")
        export_tar(trees, everything, tmp_path / "other.tar")
        assert (tmp_path / "out.tar").read_bytes() == (tmp_path / "other.tar").read_bytes()
        made = export_agentfs(store, everything, tmp_path / "out.db")
        kept = without(trees, everything, *(os.fsencode(path) for path, _ in made.left_out))
        root = import_agentfs(made.path, store.put)
        come_back, there = (
            [(str(each), each.after.id) for each in compare(source.listing, EMPTY.id, each_root)]
            for source, each_root in ((store, root), (trees, kept))
        )
        assert come_back == there
        await export_bundle(host, store, [Revision(root=root, message="")], tmp_path / "out.bundle")
        assert store.check().problems == ()
    finally:
        store.close()


# ------------------------------------------------------------------------------------ patch


def test_a_patch_file_is_what_git_applies(trees, tmp_path, everything):
    diff = Diff(trees, EMPTY.id, everything)

    made = export_patch(diff, tmp_path / "out.patch")

    assert (tmp_path / "out.patch").read_bytes() == diff.patch
    assert left_out(made) == {
        "d/empty": "git knows no directories, only what is in them",
        "fifo": "git knows files and links only",
    }
    (tmp_path / "tree").mkdir()
    env = {"GIT_CEILING_DIRECTORIES": str(tmp_path), "PATH": os.environ["PATH"]}
    argv = ["git", "apply", "--binary", "../out.patch"]
    subprocess.run(argv, cwd=tmp_path / "tree", env=env, check=True)
    found = trees.nodes(trees.take(str(tmp_path / "tree")))
    assert {name for name in trees.nodes(everything) if name not in found} == {b"fifo"}
    assert found[b"large"] == trees.File(LARGE)


# ------------------------------------------------------------------------------------ tar


@pytest.mark.parametrize("name", ["out.tar", "out.tar.gz", "out.tgz"])
def test_an_archive_has_everything(trees, tmp_path, everything, name):
    made = export_tar(trees, everything, tmp_path / name, mtime=1_000_000)

    assert made.left_out == ()
    assert name == "out.tar" or made.size < 20_000
    (tmp_path / "tree").mkdir()
    subprocess.run(["tar", "-xpf", f"../{name}"], cwd=tmp_path / "tree", check=True)
    inodes = {(tmp_path / "tree" / each).stat().st_ino for each in ("one", "two")}
    assert len(inodes) == 1
    assert (tmp_path / "tree" / "empty").stat().st_mtime == 1_000_000
    assert compare(trees.listing, everything, trees.take(str(tmp_path / "tree"))) == []
    with tarfile.open(tmp_path / name) as archive:
        assert {(each.uid, each.gid, each.uname) for each in archive} == {(0, 0, "")}


def test_one_tree_is_one_archive_whenever_it_is_made(trees, tmp_path, everything):
    for name in ("1.tgz", "2.tgz"):
        export_tar(trees, everything, tmp_path / name)

    assert (tmp_path / "1.tgz").read_bytes() == (tmp_path / "2.tgz").read_bytes()


# ------------------------------------------------------------------------------------ git


@pytest.fixture
async def host():
    host = ProcessHost()
    try:
        yield host
    finally:
        await host.aclose()


def git(place, *argv):
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    return subprocess.run(
        ["git", *argv], cwd=place, env=env, check=True, capture_output=True
    ).stdout


async def test_a_bundle_has_the_history(trees, tmp_path, host, everything):
    first = trees.root({b"a": b"1\n", b"d": b"x", b"gone": b"1"})
    second = trees.root({b"a": b"2\n", b"d": {b"x": b"x"}, b".git": {b"config": b""}})
    known = without(trees, everything, b"fifo", b"shut", b"secret", b"one", b"two", b"d")
    record = CommitRecord(
        id="1", workspace="w", message="Second: é\n\nWhy.\n", author="Ann <ann@example.org>",
        base_before=first, base_after=second, created_ns=1_700_000_000_123_456_789,
    )  # fmt: skip
    history = [Revision(root=first, message="First"), Revision.of(record),
               Revision(root=known, message="Third\0", author="odd <<>")]  # fmt: skip

    made = await export_bundle(host, trees, history, tmp_path / "out.bundle", branch="work/one")

    git(tmp_path, "clone", "-q", "-b", "work/one", "out.bundle", "clone")
    git(tmp_path / "clone", "bundle", "verify", "-q", "../out.bundle")
    git(tmp_path / "clone", "fsck", "--strict")
    said = git(tmp_path / "clone", "log", "--reverse", "--format=%an|%ae|%cI|%s").decode()
    assert said.splitlines() == [
        "runner||1970-01-01T00:00:00+00:00|First",
        "Ann|ann@example.org|2023-11-14T22:13:20+00:00|Second: é",
        "runner||1970-01-01T00:00:00+00:00|Third",
    ]
    assert left_out(made) == {".git/config": "git keeps that name to itself"}
    for number, root in ((0, known), (1, without(trees, second, b".git")), (2, first)):
        git(tmp_path / "clone", "checkout", "-q", "-f", f"work/one~{number}")
        os.rename(tmp_path / "clone" / ".git", tmp_path / "aside")
        assert trees.take(str(tmp_path / "clone")) == root
        os.rename(tmp_path / "aside", tmp_path / "clone" / ".git")
    assert sorted(os.listdir(tmp_path)) == ["clone", "out.bundle"]


async def test_a_history_of_random_trees_comes_back(trees, tmp_path, host, chance):
    made = chance(random.Random(4), is_git=True)
    tree = made.tree()
    history = []
    for number in range(12):
        history.append(Revision(root=trees.root(tree), message=f"{number}"))
        tree = made.changed(tree)

    await export_bundle(host, trees, history, tmp_path / "out.bundle")

    git(tmp_path, "clone", "-q", "-b", "main", "out.bundle", "clone")
    for number, revision in enumerate(reversed(history)):
        git(tmp_path / "clone", "checkout", "-q", "-f", f"main~{number}")
        os.rename(tmp_path / "clone" / ".git", tmp_path / "aside")
        assert trees.take(str(tmp_path / "clone")) == revision.root
        os.rename(tmp_path / "aside", tmp_path / "clone" / ".git")


async def test_a_bundle_that_is_cancelled_leaves_nothing(trees, tmp_path, host, monkeypatch):
    with trio.CancelScope() as cancel_scope:

        class Slow:
            listing = trees.listing

            def content(self, id_):
                trio.from_thread.run_sync(cancel_scope.cancel)
                return trees.content(id_)

        history = [Revision(root=trees.root({b"a": b"1"}), message="")]
        await export_bundle(host, Slow(), history, tmp_path / "out.bundle")

    assert cancel_scope.cancelled_caught
    assert os.listdir(tmp_path) == []


async def test_a_bundle_that_cannot_be_made_is_refused(trees, tmp_path, host, monkeypatch):
    history = [Revision(root=trees.root({b"a": b"1"}), message="")]
    path = tmp_path / "out.bundle"

    with pytest.raises(InvalidArgument, match="no revisions"):
        await export_bundle(host, trees, [], path)
    for branch in ("", "-x", "a..b", "a b", "a/", "a//b", "x\n"):
        with pytest.raises(InvalidArgument, match="no branch"):
            await export_bundle(host, trees, history, path, branch=branch)
    with pytest.raises(ExecFailed, match="no bundle was made"):
        await export_bundle(host, trees, history, path, branch="a.lock")
    path.write_bytes(b"mine")
    with pytest.raises(AlreadyExists):
        await export_bundle(host, trees, history, path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExecFailed):
        await export_bundle(host, trees, history, path, overwrite=True)

    assert os.listdir(tmp_path) == ["out.bundle"]
    assert path.read_bytes() == b"mine"


# ------------------------------------------------------------------------------------ AgentFS


def imported(trees, path):
    return import_agentfs(path, lambda objects: [trees.put(each) for each in objects])


def test_an_agentfs_database_comes_back(trees, tmp_path, everything):
    made = export_agentfs(trees, everything, tmp_path / "odd ?#%\udcff.db", mtime=5)

    kept = without(trees, everything, b"\xff\xfe", b"link")
    assert set(left_out(made)) == {"\udcff\udcfe", "link"}
    assert compare(trees.listing, kept, imported(trees, made.path)) == []
    groups = {each.name: each.group for each in trees.listing(imported(trees, made.path))}
    assert groups[b"one"] == groups[b"two"] != 0
    assert groups[b"empty"] == 0
    again = export_agentfs(trees, everything, tmp_path / "again.db", mtime=5)
    with open(made.path, "rb") as one, open(again.path, "rb") as other:
        assert one.read() == other.read()


def test_a_tree_of_many_files_is_put_some_at_a_time(trees, tmp_path):
    root = trees.root({b"%d" % each: b"%d" % each for each in range(1200)})
    export_agentfs(trees, root, tmp_path / "x.db")
    sizes = []

    found = import_agentfs(tmp_path / "x.db", lambda objects: sizes.append(len(objects)))

    assert found == root
    assert sizes == [512, 512, 177]


def test_random_trees_come_back_from_agentfs(trees, tmp_path, chance):
    for seed in range(10):
        root = trees.root(chance(random.Random(seed)).tree())
        path = tmp_path / f"{seed}.db"
        export_agentfs(trees, root, path)

        assert imported(trees, path) == root


def test_what_is_below_a_name_that_is_left_out_is_left_out_with_it(trees, tmp_path):
    root = trees.root({b"\xff": {b"a": {b"b": b"x"}}, b"k": trees.Link("é".encode())})

    made = export_agentfs(trees, root, tmp_path / "x.db")

    assert [path for path, _ in made.left_out] == ["\udcff"]
    assert imported(trees, made.path) == trees.root({b"k": trees.Link("é".encode())})


@pytest.fixture
def changed(trees, tmp_path):
    """An AgentFS database, with something done to it by SQL."""

    def changed(*statements):
        path = tmp_path / "x.db"
        tree = {b"a": b"x" * 9000, b"d": {b"b": b"1"}, b"l": trees.Link(b"a")}
        export_agentfs(trees, trees.root(tree), path, overwrite=True)
        with sqlite3.connect(path) as database:
            for each in statements:
                database.execute(each)
        database.close()
        return path

    return changed


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        ("UPDATE fs_dentry SET name = '..' WHERE name = 'b'", "a name that no file can have"),
        ("UPDATE fs_dentry SET name = 'x/y' WHERE name = 'b'", "a name that no file can have"),
        ("UPDATE fs_dentry SET name = '' WHERE name = 'b'", "has no name"),
        ("UPDATE fs_dentry SET ino = 999 WHERE name = 'b'", "has no inode"),
        ("UPDATE fs_dentry SET ino = 1 WHERE name = 'b'", "is in itself"),
        ("UPDATE fs_dentry SET ino = (SELECT ino FROM fs_dentry WHERE name = 'd') WHERE name = 'a'",
         "has two names"),
        ("UPDATE fs_inode SET size = 5 WHERE size = 9000", "do not fit its size"),
        ("UPDATE fs_data SET chunk_index = 1 WHERE chunk_index = 2", ""),
        ("DELETE FROM fs_symlink", "leads nowhere"),
        ("UPDATE fs_symlink SET target = zeroblob(2000000)", "leads nowhere"),
        ("UPDATE fs_inode SET size = -1 WHERE size = 9000", "the size of"),
        ("UPDATE fs_inode SET size = 1e15 WHERE size = 9000", "the size of"),
        ("UPDATE fs_inode SET size = 'x' WHERE size = 9000", "something else for a number"),
        ("UPDATE fs_data SET data = 'text' WHERE chunk_index = 0", "is none"),
        ("UPDATE fs_config SET value = 'x' WHERE key = 'chunk_size'", "the size of chunks"),
        ("UPDATE fs_config SET value = '0' WHERE key = 'chunk_size'", "the size of chunks"),
        ("UPDATE fs_config SET value = '100' WHERE key = 'chunk_size'", "do not fit its size"),
    ],
)  # fmt: skip
def test_a_database_whose_parts_do_not_fit_together_is_refused(trees, changed, statement, what):
    if not what:
        with pytest.raises(sqlite3.IntegrityError):
            changed(statement)
        return
    with pytest.raises(StoreDamaged, match=what):
        imported(trees, changed(statement))


def test_what_is_not_there_is_zeros_and_what_is_no_part_of_a_tree_is_passed_over(trees, changed):
    path = changed(
        "DELETE FROM fs_data WHERE chunk_index = 1",
        "UPDATE fs_inode SET size = 3000000 WHERE size = 9000",
        "INSERT INTO fs_inode (ino, mode, nlink, atime, mtime, ctime) VALUES (99, 49572, 1, 0, 0, 0)",
        "INSERT INTO fs_dentry (name, parent_ino, ino) VALUES ('socket', 1, 99)",
        "DELETE FROM fs_config WHERE key = 'chunk_size'",
    )

    found = trees.nodes(imported(trees, path))

    data = b"x" * 4096 + bytes(4096) + b"x" * 808 + bytes(3_000_000 - 9000)
    assert found == trees.nodes(
        trees.root({b"a": data, b"d": {b"b": b"1"}, b"l": trees.Link(b"a")})
    )


def test_what_is_no_agentfs_database_is_refused(trees, tmp_path, changed):
    with pytest.raises(StoreError, match="unable to open"):
        imported(trees, tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_bytes(b"no database at all, but long enough to look at" * 9)
    with pytest.raises(StoreError, match="not a database"):
        imported(trees, tmp_path / "text.db")
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(StoreError, match="the tables of one are not in it"):
        imported(trees, tmp_path / "other.db")
    wide = tmp_path / "wide.db"
    with sqlite3.connect(wide) as database:
        database.execute("PRAGMA encoding = 'UTF-16'")
        for name in ("fs_config", "fs_inode", "fs_dentry", "fs_data", "fs_symlink"):
            database.execute(f"CREATE TABLE {name} (key)")
    database.close()
    with pytest.raises(StoreError, match="not UTF-8"):
        imported(trees, wide)
    table = "CREATE TABLE fs_whiteout (path TEXT)"
    assert imported(trees, changed(table))
    with pytest.raises(StoreError, match="over a base"):
        imported(trees, changed(table, "INSERT INTO fs_whiteout VALUES ('/x')"))


def test_whatever_is_in_the_file_it_is_a_tree_or_refused(trees, changed):
    path = changed()
    data = path.read_bytes()
    chance = random.Random(6)
    refused = 0
    for _ in range(150):
        odd = bytearray(data)
        for _ in range(chance.randrange(1, 40)):
            odd[chance.randrange(16, len(odd))] = chance.randrange(256)
        path.write_bytes(odd)
        try:
            imported(trees, path)
        except StoreError:
            refused += 1

    assert refused > 30


def test_pieces_of_one_size_come_of_any():
    assert list(cut([b"a", b"bcdefg", b"", b"h"], 3)) == [b"abc", b"def", b"gh"]
    assert list(cut([], 3)) == []
