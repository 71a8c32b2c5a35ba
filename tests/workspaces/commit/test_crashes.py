"""Killed at any system call, a commit to a directory is finished or never was."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import stat
import subprocess
import sys
import tempfile

import pytest

import runner
from runner.errors import OperationError
from runner.workspaces.base_locks import lock_base
from runner.workspaces.directory_base import finish_commits, merged
from runner.workspaces.listing import EMPTY, Entry, EntryType, encode
from runner.workspaces.objects import content
from runner.workspaces.records import Act, Base, WorkspaceRecord
from runner.workspaces.store import Store

PROGRAM = pathlib.Path(__file__).with_name("killing.py")


@pytest.fixture
def place():
    """In memory, where it can be: nothing is to outlast a power failure here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        yield path


def put(store, tree):
    """A tree of files and directories, as a root in the store."""
    entries = []
    for name, each in tree.items():
        if isinstance(each, dict):
            entry = Entry(os.fsencode(name), EntryType.DIRECTORY, 0o755, put(store, each))
        else:
            kept = content(each.encode())
            store.put([kept])
            entry = Entry(os.fsencode(name), EntryType.FILE, 0o644, kept.id, len(each))
        entries.append(entry)
    made = encode(entries)
    store.put([made])
    return made.id


def test_a_commit_killed_at_any_call_is_finished_or_never_was(place):
    before = {"kept": "1", "changed": "1", "removed": "1", "d": {"x": "1"}, "theirs": "1"}
    after = {"kept": "1", "changed": "2", "d": {}, "theirs": "1", "new": {"deep": {"file": "1"}}}
    now = {**before, "theirs": "by the user", "more": "by the user"}
    with contextlib.closing(Store.open(place + "/store.db")) as store:
        store.put([EMPTY])
        roots = [put(store, each) for each in (before, after, now)]
        roots.append(merged(store, *roots, what="").root)
        os.mkdir(place + "/base")
        base = Base(kind="directory", path=place + "/base")
        record = WorkspaceRecord(
            id="w", name="w", tree="/nowhere", created_ns=0, base=base, state="ready"
        )
        store.workspaces.add(record)
    argv = [sys.executable, PROGRAM, place, *(each.hex() for each in roots)]
    environ = {key: each for key, each in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(argv, env=environ, check=True, stdout=subprocess.PIPE)
    answer = json.loads(done.stdout)
    decided, states, known = zip(*answer["ends"], strict=True)
    first = states.index("after")

    assert ([], []) == (answer["problems"], answer["debris"])
    assert states == ("before",) * first + ("after",) * (len(states) - first)
    assert decided == (False,) * first + (True,) * (len(states) - first)
    assert all(known)
    assert len(states) > 30


async def test_the_next_opening_of_the_project_finishes_what_was_decided(
    tmp_path, base, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    async with runner.open_runner(state=tmp_path / "state") as opened:
        ws = await opened.project(base).create("one", way="copy")
        await ws.write("src/a.py", "two\n")
        await ws.write("new", "x")
        with monkeypatch.context() as patch:
            patch.setattr("runner.workspaces.carrying.Carrier.carry_out", full)
            with pytest.raises(OperationError, match="decided"):
                await ws.commit("x")
        assert "one\n" == (base / "src/a.py").read_text()
    async with runner.open_runner(state=tmp_path / "state") as opened:
        project = opened.project(base)
        ws = await project.get("one")
        assert not (await ws.status()).has_changes

        assert ("two\n", "x") == ((base / "src/a.py").read_text(), (base / "new").read_text())
        assert 1 == len(await ws.commits())


def test_the_lock_of_a_base_is_given_back_by_whoever_is_killed(base, tmp_path):
    script = (
        "import sys, time; from runner.workspaces.base_locks import lock_base;"
        "assert lock_base(sys.argv[1], sys.argv[2]); print('mine', flush=True); time.sleep(1000)"
    )
    place = str(tmp_path / "place")
    with subprocess.Popen(
        [sys.executable, "-c", script, str(base), place], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert b"mine\n" == other.stdout.readline()
        assert lock_base(str(base), place) is None
        assert lock_base(str(base), place, shared=True) is None
        other.kill()
    mine = lock_base(str(base), place, shared=True)
    again = lock_base(str(base), place, shared=True)

    assert mine is not None
    assert again is not None
    assert lock_base(str(base), place) is None
    os.close(mine)
    os.close(again)


def test_where_directories_cannot_be_locked_a_file_of_the_project_is(base, tmp_path, monkeypatch):
    real, place = fcntl.flock, str(tmp_path / "place")

    def flock(fd, how):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.ENOLCK, "No locks available")
        real(fd, how)

    monkeypatch.setattr("fcntl.flock", flock)
    mine = lock_base(str(base), place)

    assert mine is not None
    assert lock_base(str(base), place) is None
    os.close(mine)
    with pytest.raises(FileNotFoundError):
        lock_base(str(tmp_path / "none"), place)
    monkeypatch.setattr("fcntl.flock", _fails)
    with pytest.raises(PermissionError):
        lock_base(str(base), place)


def _fails(_fd, _how):
    raise PermissionError(errno.EPERM, "not permitted")


def test_a_commit_that_cannot_be_finished_yet_waits_for_the_base_to_be_there(tmp_path, caplog):
    with contextlib.closing(Store.open(str(tmp_path / "store.db"))) as store:
        base = str(tmp_path / "gone")
        os.mkdir(base)
        store.put([EMPTY])
        details = {"place": str(tmp_path / "place"), "name": "x", "inside": False, "durable": False}
        act = Act(
            workspace="w",
            kind="commit",
            tree=base,
            before=EMPTY.id,
            after=put(store, {"new": "1"}),
            details=details,
        )
        store.begin(act)
        os.rename(base, base + "-away")
        finish_commits(store, str(tmp_path))
        assert "cannot be finished yet" in caplog.text
        os.rename(base + "-away", base)
        fd = lock_base(base, "")
        assert fd is not None
        finish_commits(store, str(tmp_path))  # somebody is at it
        assert 1 == len(store.acts())
        os.close(fd)
        finish_commits(store, str(tmp_path))

        assert [] == store.acts()
        assert ["new"] == os.listdir(base)
