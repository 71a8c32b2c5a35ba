"""A workspace that is made, renamed, deleted or captured by somebody who is killed meanwhile."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import pytest

from runner.workspaces.mounts import mounted_in, unmount

PROGRAM = pathlib.Path(__file__).with_name("killing.py")
POINTS = 6  # of each; more by RUNNER_TEST_KILLS
BASE = {"a": "1", "d/b": "2", "d/e/c": "3"}
KEPT = {**BASE, "a": "changed", "new": "n"}
AS_KEPT = [KEPT, ["M a", "A new"], []]
BATCHED = [
    {"a": "changed", "d/b": "batched", "new": "n"},
    ["M a", "M d/b", "R d/e/c -> d/f/g", "A d/new", "A new"],
    [],
]


@pytest.fixture
def top():
    with tempfile.TemporaryDirectory(prefix="runner-killed-") as path:
        try:
            yield os.path.realpath(path)
        finally:
            for each in mounted_in(os.path.realpath(path)):  # of a failed test
                unmount(each.point)


def expected(kind, way, found):
    """What may be there after a kill, by the name of the one that it was done to."""
    kept = f"kept-{way}"
    if kind == "create":
        return [{kept: AS_KEPT}, {kept: AS_KEPT, "made": [BASE, [], []]}]
    if kind == "rename":
        return [{kept: AS_KEPT}, {"renamed": AS_KEPT}]
    if kind == "batch":
        return [{kept: AS_KEPT}, {kept: BATCHED}]
    if kind == "snapshot":
        return [{kept: AS_KEPT}, {kept: [*AS_KEPT[:2], ["s"]]}]
    if kind == "unmount_it":
        return [{kept: AS_KEPT}]
    named = found["workspaces"].get(kept, [0, 0, []])[2]  # it may have been rescued already
    return [{kept: [*AS_KEPT[:2], named]}, {}]


def test_after_a_kill_a_workspace_is_there_whole_or_not_at_all(top):
    points = os.environ.get("RUNNER_TEST_KILLS", str(POINTS))
    argv = [sys.executable, PROGRAM, top, points, os.environ.get("RUNNER_TEST_SEED", "1")]
    environ = {key: each for key, each in os.environ.items() if not key.startswith("COVERAGE")}
    done = subprocess.run(argv, env=environ, check=True, stdout=subprocess.PIPE)
    ends = json.loads(done.stdout)

    assert len(ends) >= 40
    assert sum(was_killed for _, _, _, was_killed, _, _ in ends) > 0.9 * len(ends)
    for kind, way, at, _, found, mounts in ends:
        where = f"{kind} by {way}, call {at}: {found}"
        other = "kept-overlay" if way == "copy" else "kept-copy"
        assert found["workspaces"].pop(other) == AS_KEPT, where
        assert found["workspaces"] in expected(kind, way, found), where
        if kind == "delete" and not found["workspaces"]:
            assert KEPT in found["rescued"], where
        assert all(each == KEPT for each in found["rescued"]), where
        assert (found["problems"], found["strangers"], mounts) == ([], [], []), where
