"""What a tree of processes has used, as the kernel counts it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest
import trio

from runner.processes import usage
from runner.processes.host import ProcessHost
from runner.processes.tree import children_of
from runner.processes.usage import TreeUsage, tree_memory, tree_usage

BUSY = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"


async def _until(fact: Callable[[], object]) -> None:
    with trio.fail_after(20):
        while not fact():
            await trio.sleep(0.01)


async def test_work_of_children_counts_also_when_they_have_ended(
    host: ProcessHost, env: dict[str, str]
) -> None:
    script = f"(sh -c '{BUSY}'); sleep 9"
    async with host.open_process(["sh", "-c", script], cwd="/", env=env) as process:
        await _until(lambda: (process.usage() or TreeUsage(0, 0)).seconds > 0.05)
        await _until(lambda: b"sleep" in _words(process.pid))
        first = process.usage()
        await trio.lowlevel.checkpoint()
        second = process.usage()

    assert first is not None
    assert second is not None
    assert first.seconds > 0.05
    assert second.seconds - first.seconds < 0.05
    assert process.usage() is None


async def test_what_left_its_parents_counts_too(host: ProcessHost, env: dict[str, str]) -> None:
    script = f"setsid sh -c '{BUSY}; sleep 9' & exec sleep 9"
    async with host.open_process(["sh", "-c", script], cwd="/", env=env) as process:
        await _until(lambda: (process.usage() or TreeUsage(0, 0)).seconds > 0.05)
        found = process.usage()

    assert found is not None
    assert found.processes >= 2


async def test_the_memory_of_a_tree_is_that_of_all_its_processes(
    host: ProcessHost, env: dict[str, str]
) -> None:
    code = "import time; held = bytearray(50 << 20); print(flush=True); time.sleep(9)"
    argv = ["sh", "-c", f"'{sys.executable}' -I -S -c '{code}'; exit"]
    async with host.open_process(argv, cwd="/", env=env) as process:
        await process.stdout.receive_some()
        found = tree_memory(process.pid)

    assert found is not None
    assert 50 << 20 < found < 90 << 20
    assert tree_memory(process.pid) is None


def test_of_what_is_not_there_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TreeUsage(0, 0) == tree_usage(1 << 30)
    assert tree_memory(1 << 30) is None
    monkeypatch.setattr(usage, "PROC", "/nonexistent")
    assert TreeUsage(0, 0) == tree_usage(os.getpid())


def _words(pid: int) -> bytes:
    found = b""
    for child in children_of(pid, pid):
        try:
            with open(f"/proc/{child}/cmdline", "rb") as file:
                found += file.read()
        except OSError:
            continue
    return found
