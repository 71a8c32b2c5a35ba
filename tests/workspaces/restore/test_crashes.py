"""Killed at any system call, a restore, a batch or an application is finished or never was."""

from __future__ import annotations

import json
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile

import pytest

from runner.workspaces.store import Store

PROGRAM = pathlib.Path(__file__).with_name("killing.py")


@pytest.fixture
def place():
    """In memory, where it can be: nothing is to outlast a power failure here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as path:
        os.makedirs(path + "/workspace/tree")
        yield path


def judge(kind, place, before, after):
    """Before its row is there, nothing; from then on, all."""
    argv = [sys.executable, PROGRAM, kind, place, before.hex(), after.hex()]
    environ = {key: each for key, each in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(argv, env=environ, check=True, stdout=subprocess.PIPE)
    answer = json.loads(done.stdout)
    decided, states = zip(*answer["ends"], strict=True)
    first = states.index("after")
    assert answer["problems"] == []
    assert states == ("before",) * first + ("after",) * (len(states) - first)
    assert decided.index(True) == first
    return len(states)


def test_a_restore_killed_at_any_call_is_finished_or_never_was(
    place, capture, odd_before, odd_change
):
    store, live = Store.open(place + "/store.db"), place + "/workspace/tree"
    odd_before(live)
    after = capture(store, live)
    odd_change(live)
    before = capture(store, live)
    store.close()

    assert judge("restore", place, before, after) > 100


def test_a_batch_killed_at_any_call_is_finished_or_never_was(place, capture, odd_before):
    store, live = Store.open(place + "/store.db"), place + "/workspace/tree"
    odd_before(live)
    before = capture(store, live)
    runpy.run_path(str(PROGRAM))["batch"](store, live)
    after = capture(store, live)
    store.close()

    assert judge("batch", place, before, after) > 60


@pytest.mark.parametrize("on", ["one mount", "another mount"])
def test_an_application_killed_at_any_call_is_finished_or_never_was(place, capture, on):
    if on == "one mount":
        apply_everywhere(place, capture)
        return
    if os.geteuid() != 0:
        pytest.skip("mounts as root: run the tests as root, or in `unshare -Urm`")
    tree = place + "/workspace/tree"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tree], check=True)
    try:  # so all of it is staged in the tree itself
        apply_everywhere(place, capture)
    finally:
        subprocess.run(["umount", "-l", tree], check=True)


def apply_everywhere(place, capture):
    store, live = Store.open(place + "/store.db"), place + "/workspace/tree"
    for name in ("kept", "changed", "removed"):
        pathlib.Path(live, name).write_bytes(b"old")
    os.mkdir(live + "/directory")
    before = capture(store, live)
    pathlib.Path(live, "changed").write_bytes(b"new")
    pathlib.Path(live, "removed").unlink()
    pathlib.Path(live, "directory/added").write_bytes(b"added")
    os.makedirs(live + "/new/directory")
    pathlib.Path(live, "new/directory/file").write_bytes(b"x")
    after = capture(store, live)
    store.close()

    assert judge("apply", place, before, after) > 25
