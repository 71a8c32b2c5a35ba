"""Killed at any system call, a restore, a batch or an application is finished or never was."""

from __future__ import annotations

import contextlib
import gc
import os
import pathlib
import shutil
import signal
import sys
import tempfile

import pytest

from runner.backends.files import is_temporary
from runner.workspaces.batching import Batch
from runner.workspaces.filling import fill
from runner.workspaces.journal import roll_forward, roll_forward_base
from runner.workspaces.restoring import Application, apply, restore
from runner.workspaces.store import Store

CALLS = {
    *("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "os.listdir", "sqlite3.connect"),
}


def killed(work, at):
    """Whether a child that carries work out was killed before one of its system calls."""
    pid = os.fork()
    if pid == 0:
        left = at

        def count(event, _arguments):
            nonlocal left
            if event in CALLS:
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(count)
            work()
            # Not `os._exit`: a coverage run makes that slow, and has nothing to learn here.
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGABRT)  # an error: it fails the test
    how = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert how in {-signal.SIGKILL, -signal.SIGTERM}, how
    return how == -signal.SIGKILL


@pytest.fixture
def tmp_path(tmp_path_factory):
    """In memory, where it can be: nothing is to outlast a power failure here."""
    if not os.path.isdir("/dev/shm"):
        yield tmp_path_factory.mktemp("crash")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield pathlib.Path(path)


@pytest.fixture
def place(tmp_path):
    place = tmp_path / "workspace"
    place.mkdir(exist_ok=True)
    gc.freeze()  # less for a child to copy
    yield place
    gc.unfreeze()


def debris(place):
    staged = os.listdir(place / "staging") if (place / "staging").exists() else []
    inside = [name for _, *names in os.walk(place / "tree") for each in names for name in each]
    return [*staged, *filter(is_temporary, inside)]


def killed_everywhere(tmp_path, place, before, seen, work, forward):
    """Kill it before each of its calls; what the tree was each time, at once and in the end."""
    path, tree = str(tmp_path / "store.db"), str(place / "tree")
    ends = []
    for at in range(1000):
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(tree)
        with contextlib.closing(Store.open(path)) as store:
            fill(store, before, tree)
        was_killed = killed(lambda: work(Store.open(path), tree), at)
        with contextlib.closing(Store.open(path)) as store:
            decided = bool(store.journal.list())
        if decided and at % 3 == 0:  # killed a second time, while it is finished
            killed(lambda: forward(Store.open(path), tree), at % 29)
        with contextlib.closing(Store.open(path)) as store:
            forward(store, tree)
            assert store.journal.list() == []
        assert debris(place) == []
        ends.append((decided, seen(tree)))
        if not was_killed:
            break
    with contextlib.closing(Store.open(path)) as store:
        assert store.check().problems == ()
    return ends


def judge(ends, before, after):
    """Before its row is there, nothing; from then on, all."""
    states = [state for _, state in ends]
    first = states.index(after)
    assert states[:first] == [before] * first
    assert states[first:] == [after] * (len(states) - first)
    assert [decided for decided, _ in ends].index(True) == first


def forward(store, tree):
    roll_forward(store, "w", tree, os.path.join(os.path.dirname(tree), "staging"))


def test_a_restore_killed_at_any_call_is_finished_or_never_was(
    tmp_path, place, store, live, capture, seen, odd_before, odd_change
):
    odd_before(live)
    after, after_seen = capture(store, live), seen(live)
    odd_change(live)
    before, before_seen = capture(store, live), seen(live)
    store.close()

    ends = killed_everywhere(
        tmp_path,
        place,
        before,
        seen,
        lambda store, tree: restore(store, "w", tree, before, after),
        forward,
    )

    judge(ends, before_seen, after_seen)
    assert len(ends) > 100


def batch(store, tree):
    with Batch(store, "w", tree) as changes:
        changes.write("a/changed.txt", b"by the batch")
        changes.write("new/deep/file", b"new", mode=0o600)
        changes.append("a/kept.txt", b" and more")
        changes.move("a/b", "moved")
        changes.copy("links", "copied")
        changes.remove("was-directory", recursive=True)
        changes.write("was-directory", b"a file now")
        changes.remove("was-file")
        changes.mkdir("was-file/now/a/directory")
        changes.chmod("tool", 0o711)
        changes.chmod("new/deep", 0o500)
        changes.remove("links", recursive=True)
        changes.write("links/again", b"a directory of the same name")
        changes.move("dangling", "also dangling")


def test_a_batch_killed_at_any_call_is_finished_or_never_was(
    tmp_path, place, store, live, capture, seen, odd_before
):
    odd_before(live)
    before, before_seen = capture(store, live), seen(live)
    batch(store, live)
    after_seen = seen(live)
    store.close()

    ends = killed_everywhere(tmp_path, place, before, seen, batch, forward)

    judge(ends, before_seen, after_seen)
    assert len(ends) > 60


def test_an_application_killed_at_any_call_is_finished_or_never_was(
    tmp_path, place, store, live, capture, seen
):
    for name in ("kept", "changed", "removed"):
        pathlib.Path(live, name).write_bytes(b"old")
    os.mkdir(live + "/directory")
    before, before_seen = capture(store, live), seen(live)
    olds = {each.name: each for each in store.listing(before)}
    pathlib.Path(live, "changed").write_bytes(b"new")
    pathlib.Path(live, "removed").unlink()
    pathlib.Path(live, "directory/added").write_bytes(b"added")
    after, after_seen = capture(store, live), seen(live)
    news = {each.name: each for each in store.listing(after)}
    (added,) = store.listing(news[b"directory"].id)
    store.close()
    wanted = [
        Application(path="changed", before=olds[b"changed"], after=news[b"changed"]),
        Application(path="removed", before=olds[b"removed"], after=None),
        Application(path="directory/added", before=None, after=added),
    ]

    def work(store, tree):
        apply(store, "w", tree, wanted, place=os.path.join(os.path.dirname(tree), "staging"))

    def finish(store, tree):
        roll_forward_base(store, tree)
        forward(store, tree)  # what was never decided is removed with the workspace's

    ends = killed_everywhere(tmp_path, place, before, seen, work, finish)

    judge(ends, before_seen, after_seen)
    assert len(ends) > 20
