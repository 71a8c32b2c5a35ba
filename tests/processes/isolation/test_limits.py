"""Limits: what a program may use up, and that it ends alone and says what for."""

from __future__ import annotations

import glob
import os
import signal
from collections.abc import AsyncIterator

import attrs
import pytest
import trio

from runner.errors import ConfigError, ExecFailed
from runner.messages import Isolation, Limits, Outcome
from runner.processes.isolation import limiting, users, watching

HOG = "x = []\nwhile True: x.append(bytearray(1 << 20))"
MODES = ("bwrap", "none")


def limited(mode: str = "bwrap", **limits: float) -> Isolation:
    return Isolation(mode=mode, limits=Limits(**limits))


@pytest.fixture
async def no_groups(room) -> AsyncIterator[None]:
    """A machine on which no control group is ours; undone before the room's own patches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limiting, "_tree", [None])
        yield


def groups() -> list[str]:
    return glob.glob(f"/sys/fs/cgroup/**/runner-*-{os.getpid()}-*", recursive=True)


@pytest.mark.parametrize("mode", MODES)
async def test_a_memory_hog_ends_alone(room, python, mode) -> None:
    program = f"import subprocess, sys; print(subprocess.call([sys.executable, '-c', {HOG!r}]))"

    done = await room.run(python, "-c", program, isolation=limited(mode, memory=128 << 20))

    assert done.limit_exceeded == "memory"
    assert dict(done.isolation.limits)["memory"].startswith(("cgroup", "watched"))
    if dict(done.isolation.limits)["memory"].startswith("cgroup"):
        assert (done.exit_code, done.out.data()) == (0, b"-9\n")  # only the hog
    assert (await room.run("echo on", isolation=limited(mode))).out.data() == b"on\n"


@pytest.mark.parametrize("mode", MODES)
async def test_without_groups_somebody_looks_at_the_memory(room, python, mode, no_groups) -> None:
    slow = (
        "import time\nx = []\nwhile True: x.append(bytearray(b'1') * (4 << 20)); time.sleep(0.01)"
    )

    done = await room.run(python, "-c", slow, isolation=limited(mode, memory=64 << 20))

    assert dict(done.isolation.limits) == {"memory": "watched"}
    assert done.limit_exceeded == "memory"
    assert done.exit_code == -signal.SIGKILL


async def test_without_groups_a_quick_hog_is_stopped_by_the_kernel(room, python, no_groups) -> None:
    done = await room.run(python, "-c", HOG, isolation=limited(memory=64 << 20))

    assert done.exit_code in (1, -signal.SIGKILL)


async def test_a_fork_storm_stays_small(room, bash) -> None:
    storm = limited(processes=40, memory=512 << 20)

    done = await room.run(bash, "-c", "f() { f | f & }; f; sleep 1", isolation=storm)

    assert done.leftovers <= 41
    told = dict(done.isolation.limits)["processes"].startswith("cgroup")
    assert done.limit_exceeded == ("processes" if told else None)  # of rlimits nothing is told


async def test_without_groups_processes_are_counted_for_the_user(room, no_groups) -> None:
    line = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1 & done 2>/dev/null; echo all"

    done = await room.run(line, isolation=limited(processes=8))

    assert dict(done.isolation.limits) == {"processes": "rlimit"}
    assert b"all" not in done.out.data()


async def test_a_limit_that_cannot_be_kept_is_told_or_refused(room, no_groups) -> None:
    told = Isolation(mode="none", limits=Limits(processes=9))
    with pytest.MonkeyPatch.context() as patch:  # undone before the room's own
        patch.setattr(users, "own_ids", lambda: (0, 0))

        assert "root's" in (await room.run("true", isolation=told)).isolation.lacking[0]
        with pytest.raises(ExecFailed, match="does not count root's"):
            await room.run("true", isolation=attrs.evolve(told, required=True))


@pytest.mark.parametrize("mode", MODES)
async def test_processor_time_is_limited(room, mode) -> None:
    done = await room.run("while :; do :; done", isolation=limited(mode, cpu=1))

    assert done.limit_exceeded == "cpu"
    assert 0.5 < done.duration < 30


@pytest.mark.parametrize("mode", MODES)
async def test_files_are_limited_in_size(room, mode) -> None:
    isolation = limited(mode, file_size=100_000)

    done = await room.run("head -c 200000 /dev/zero > big", isolation=isolation)
    told = await room.run("exec head -c 200000 /dev/zero > big", isolation=isolation)

    assert os.path.getsize(room.path("big")) == 100_000
    assert done.exit_code != 0
    assert told.limit_exceeded == "file_size"


@pytest.mark.parametrize("mode", MODES)
async def test_open_files_are_limited_in_number(room, python, mode) -> None:
    isolation = limited(mode, open_files=40)

    open_all = "import sys\nl = []\ntry:\n  while True: l.append(open('/dev/null'))\nexcept OSError as e: print(len(l), e.errno)"
    opened = await room.run(python, "-c", open_all, isolation=isolation)

    assert opened.out.data().split()[1] == b"24"
    assert int(opened.out.data().split()[0]) < 40


@pytest.mark.parametrize("mode", MODES)
async def test_time_is_limited_and_says_so(room, mode) -> None:
    done = await room.run("sleep 60", isolation=limited(mode, wall=0.2))
    shorter = await room.run("sleep 60", isolation=limited(mode, wall=60), timeout=0.2)

    assert (done.outcome, done.limit_exceeded) == (Outcome.TIMEOUT, "wall")
    assert (shorter.outcome, shorter.limit_exceeded) == (Outcome.TIMEOUT, None)


async def test_the_time_of_a_process_beside_us_is_limited(room) -> None:
    isolation = limited(wall=0.2)
    argv, env = ["sleep", "60"], {"PATH": os.defpath}
    async with room.host.open_process(argv, cwd=room.scope, env=env, isolation=isolation) as one:
        assert await one.wait() == -signal.SIGKILL
        assert one.limit_exceeded == "wall"


async def test_a_disk_filler_is_ended(room, monkeypatch) -> None:
    monkeypatch.setattr(watching, "DISK_EVERY", 0.05)
    line = "i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; sleep 0.02; done"

    done = await room.run(line, isolation=limited(disk=10_000_000))

    assert done.limit_exceeded == "disk"
    assert watching.used(room.scope) < 200_000_000


async def test_what_was_left_running_is_ended_as_well(room, monkeypatch, until) -> None:
    monkeypatch.setattr(watching, "DISK_EVERY", 0.05)
    fill = "i=0; while :; do i=$((i+1)); head -c 1000000 /dev/zero > f$i; sleep 0.02; done"
    kept = set()

    done = await room.run(f"({fill}) &", isolation=limited(disk=10_000_000), kept=kept)

    assert done.exit_code == 0
    (left,) = kept
    await until(left.is_over)
    await left.aclose()


async def test_what_stays_within_its_limits_is_not_told_of(room) -> None:
    everything = Limits(
        memory=1 << 30,
        processes=100,
        cpu=60,
        file_size=1 << 30,
        open_files=500,
        wall=60,
        disk=1 << 30,
    )

    done = await room.run("echo fine", isolation=Isolation(mode="bwrap", limits=everything))

    assert (done.exit_code, done.limit_exceeded) == (0, None)
    assert {name for name, _ in done.isolation.limits} == set(attrs.asdict(everything))


async def test_no_group_is_left(room, until) -> None:
    for _ in range(3):
        await room.run("true", isolation=limited(memory=1 << 30, processes=100))
    with trio.move_on_after(0.1):
        await room.run("sleep 60", isolation=limited(memory=1 << 30, processes=100))

    await until(lambda: not groups())


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory": 0},
        {"memory": 1 << 20},
        {"memory": "1G"},
        {"memory": True},
        {"memory": 1 << 63},
        {"wall": -1.0},
        {"wall": float("inf")},
        {"wall": "1m"},
        {"cpu": float("nan")},
        {"cpu": float("inf")},
        {"open_files": 3},
        {"open_files": 40.5},
        {"processes": 0},
        {"disk": -1},
        {"file_size": None, "disk": False},
    ],
    ids=str,
)
def test_a_limit_must_be_one(wrong) -> None:
    with pytest.raises(ConfigError, match=rf"limits\.{list(wrong)[-1]} must be"):
        Limits(**wrong)


async def test_limits_beyond_all_measure_are_none(room) -> None:
    most = dict.fromkeys(("memory", "file_size", "open_files", "disk", "cpu"), 1 << 62)

    done = await room.run("echo on", isolation=limited(**most))

    assert (done.out.data(), done.limit_exceeded) == (b"on\n", None)


async def test_the_least_memory_is_enough_for_something(room) -> None:
    done = await room.run("echo on", isolation=limited(memory=32 << 20))

    assert (done.out.data(), done.limit_exceeded) == (b"on\n", None)


def test_of_two_limits_the_stricter_holds() -> None:
    outer, inner = Limits(disk=10, cpu=5), Limits(disk=20, cpu=1, wall=3)

    assert outer.narrowed(inner) == Limits(disk=10, cpu=1, wall=3)
