"""Control groups, on trees of files as the kernel shows them: not every machine has each kind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from runner.messages import Limits
from runner.processes.isolation import cgroups
from runner.processes.isolation.cgroups import Group, Tree, find_tree, sweep_groups

V1 = """\
4:memory:/a/b
3:pids:/
2:cpu,cpuacct:/
0::/
"""


@pytest.fixture
def machine(tmp_path):
    """Make the kernel's two lists, and the directories that they name."""

    def make(groups: str, **mounts: str) -> tuple[str, str]:
        lists = tmp_path / "cgroup", tmp_path / "mountinfo"
        lists[0].write_text(groups)
        lines = ["20 1 8:1 / / rw - ext4 /dev/sda1 rw"]
        for name, root in mounts.items():
            (tmp_path / name).mkdir(exist_ok=True)
            kind = "cgroup2" if name == "unified" else "cgroup"
            lines.append(f"30 20 0:1 {root} {tmp_path / name} rw shared:1 - {kind} x rw,{name}")
        lists[1].write_text("\n".join(lines) + "\n")
        return str(lists[0]), str(lists[1])

    return make


def test_version_1_is_found_where_groups_can_be_made(machine, tmp_path) -> None:
    lists = machine(V1, memory="/", pids="/")
    os.makedirs(tmp_path / "memory/a/b")

    assert find_tree(*lists) == Tree(
        version=1, memory=str(tmp_path / "memory/a/b"), pids=str(tmp_path / "pids")
    )
    assert os.listdir(tmp_path / "pids") == []


def test_in_a_container_the_mount_may_show_a_part_of_the_tree(machine, tmp_path) -> None:
    lists = machine("4:memory:/docker/x/inner\n", memory="/docker/x")
    os.makedirs(tmp_path / "memory/inner")

    found = find_tree(*lists)

    assert found is not None
    assert found.memory == str(tmp_path / "memory/inner")


def test_where_there_is_nothing_or_nothing_is_ours_there_is_no_tree(machine, monkeypatch) -> None:
    assert find_tree("/not/there", "/not/there") is None
    assert find_tree(*machine("0::/\n")) is None
    monkeypatch.setattr(cgroups, "_can_make", lambda _: False)
    assert find_tree(*machine(V1, pids="/")) is None


@pytest.fixture
def unified(machine, tmp_path):
    """A tree of version 2 that may be handed down, or not."""

    def make(*, enabled: str = "", members: str = "", there: str = "memory pids cpu") -> tuple:
        lists = machine("0::/\n", unified="/")
        base = tmp_path / "unified"
        (base / "cgroup.controllers").write_text(there)
        (base / "cgroup.subtree_control").write_text(enabled)
        (base / "cgroup.procs").write_text(members)
        (base / "cgroup.type").write_text("domain\n")  # the root has none
        return lists, base

    return make


def test_version_2_is_used_where_controllers_are_handed_down(unified) -> None:
    lists, base = unified(enabled="memory pids", members="1\n2\n")

    assert find_tree(*lists) == Tree(version=2, memory=str(base), pids=str(base))


def test_version_2_is_handed_down_by_us_if_we_are_alone(unified) -> None:
    lists, base = unified(members=f"{os.getpid()}\n")

    assert find_tree(*lists) == Tree(version=2, memory=str(base), pids=str(base))
    assert (base / "runner-main" / "cgroup.procs").read_text() == str(os.getpid())
    assert (base / "cgroup.subtree_control").read_text() == "+pids"  # the last that was written


def test_version_2_is_left_alone_where_others_are(unified) -> None:
    lists, base = unified(members=f"{os.getpid()}\n1\n")

    assert find_tree(*lists) is None
    assert (base / "cgroup.subtree_control").read_text() == ""


def test_the_root_of_version_2_is_handed_down_whoever_is_there(unified) -> None:
    lists, base = unified(members=f"{os.getpid()}\n1\n")
    (base / "cgroup.type").unlink()

    assert find_tree(*lists) == Tree(version=2, memory=str(base), pids=str(base))
    assert not (base / "runner-main").exists()


def test_version_2_without_the_controllers_is_of_no_use(unified) -> None:
    lists, _ = unified(there="hugetlb")

    assert find_tree(*lists) is None


@pytest.mark.parametrize(
    ("version", "files"),
    [
        (1, {"memory.limit_in_bytes": "99999999", "memory.memsw.limit_in_bytes": "99999999"}),
        (2, {"memory.max": "99999999", "memory.swap.max": "0"}),
    ],
)
def test_a_group_has_the_limits(tmp_path, version, files) -> None:
    tree = Tree(version=version, memory=str(tmp_path / "m"), pids=str(tmp_path / "p"))
    for base in (tree.memory, tree.pids):
        os.mkdir(base)

    group = Group(tree, "run", Limits(memory=99_999_999, processes=7))

    memory, pids = group.paths
    assert {name: _read(f"{memory}/{name}") for name in files} == files
    assert _read(f"{pids}/pids.max") == "8"
    assert group.exceeded() is None
    _write(f"{pids}/pids.events", "max 3\n")
    assert group.exceeded() == "processes"
    events = "memory.oom_control" if version == 1 else "memory.events"
    _write(f"{memory}/{events}", "under_oom 0\noom_kill 1\n")
    assert group.exceeded() == "memory"
    assert not group.close()  # what is in it, the kernel's files do not count as
    for path in group.paths:
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
    assert group.close()
    assert group.close()


def test_a_group_that_cannot_be_made_leaves_nothing(tmp_path) -> None:
    tree = Tree(version=1, memory=str(tmp_path), pids=str(tmp_path / "gone"))

    with pytest.raises(OSError, match="gone"):
        Group(tree, "run", Limits(memory=99_999_999, processes=1))

    assert os.listdir(tmp_path) == []


def test_groups_of_dead_processes_are_removed(tmp_path) -> None:
    mine, dead = f"runner-a-b-{os.getpid()}-0", "runner-a-b-99999999-0"
    for name in (mine, dead, "else", "runner-main"):
        os.mkdir(tmp_path / name)

    assert sweep_groups(Tree(version=2, memory=str(tmp_path), pids=str(tmp_path))) == 1
    assert sorted(os.listdir(tmp_path)) == ["else", mine, "runner-main"]


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


HAND_DOWN = """
import os, sys
from runner.processes.isolation.cgroups import MAIN, _usable_v2
base, controller = sys.argv[1:]
read = lambda name: open(f"{base}/{name}").read().split()
open(f"{base}/cgroup.procs", "w").write(str(os.getpid()))
assert _usable_v2(base, controller) == base
assert read("cgroup.subtree_control") == [controller], read("cgroup.subtree_control")
assert (read("cgroup.procs"), read(f"{MAIN}/cgroup.procs")) == ([], [str(os.getpid())])
assert _usable_v2(f"{base}/{MAIN}", controller) == base
os.mkdir(f"{base}/runner-one")
assert os.path.exists(f"{base}/runner-one/{controller}.events") or os.listdir(f"{base}/runner-one")
os.rmdir(f"{base}/runner-one")
"""


def test_the_kernels_own_version_2_is_handed_down_by_who_is_alone_in_a_group() -> None:
    """With a controller that nobody else has: memory and pids may be version 1's here."""
    how = "needs cgroup2 as root: mount -t cgroup2 none /sys/fs/cgroup/unified"
    with open(cgroups.MOUNTS) as file:
        mounted = [line.split()[4] for line in file if " - cgroup2 " in line]
    if os.geteuid() != 0 or not mounted:
        pytest.skip(how)
    root = mounted[0]
    known, before = (
        cgroups._read(f"{root}/cgroup.{name}").split()
        for name in ("controllers", "subtree_control")
    )
    controller = next((each for each in ("hugetlb", "pids") if each in known), "")
    if not cgroups._usable_v2(root, controller):
        pytest.skip(how)
    base = f"{root}/runner-test-{os.getpid()}"
    os.mkdir(base)

    try:
        words = [sys.executable, "-c", HAND_DOWN, base, controller]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stderr) == (0, "")
    finally:
        for path in (f"{base}/{cgroups.MAIN}", base):
            os.rmdir(path)
        if controller not in before:
            cgroups._write(f"{root}/cgroup.subtree_control", f"-{controller}")
