"""(d) The memory of ten thousand idle scopes, without an actor and with one."""

from __future__ import annotations

import concurrent.futures
import gc
import multiprocessing
import os
import resource
import tempfile
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
import trio.testing

import runner
from runner.actors import ChildSpec, Handle, open_supervisor
from runner.scopes.scope import Scope
from tests.benchmarks.measure import CannotRun, Row

MANY = 10_000
SPARE = 200  # descriptors for everything else


def traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def resident() -> int:
    gc.collect()
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def open_least() -> AsyncGenerator[Handle, None]:
    """The least that an actor can be: what is left is the kernel's."""
    yield lambda _message: True


async def measure(directory: str, how: str) -> list[Row]:
    size = traced if how == "traced" else resident
    made = [os.path.join(directory, f"{number}") for number in range(MANY)]
    for each in made:
        os.mkdir(each)
    if how == "traced":
        tracemalloc.start()
    async with runner.open_runner(state=os.path.join(directory, "state")) as r:
        await r.scope(made[0]).exists("a.txt")  # what all share is there from here on
        start = size()
        scopes: list[Scope] = [r.scope(path) for path in made]
        without = size()
        for scope in scopes:
            await scope.exists("a.txt")
        with_one = size()
    return [
        row("a scope without an actor", how, start, without, 1.0),
        row("a scope with its actor", how, start, with_one, 8.0),
    ]


async def measure_kernel(_directory: str, how: str) -> list[Row]:
    size = traced if how == "traced" else resident
    if how == "traced":
        tracemalloc.start()
    async with open_supervisor() as supervisor:
        start = size()
        for number in range(MANY):
            supervisor.mailbox(ChildSpec(key=number, open=open_least, place=("a", f"{number}")))
        await trio.testing.wait_all_tasks_blocked()
        return [row("of that: mailbox, task and spec", how, start, size(), None)]


def row(what: str, how: str, start: int, end: int, target: float | None) -> Row:
    return Row(f"(d) {what}, {how}", [(end - start) / MANY / 1024], target, unit="KiB")


def measure_apart(what: Callable[[str, str], Awaitable[list[Row]]], how: str) -> list[Row]:
    """In a process of its own: memory that another measurement has given back would be reused."""
    with tempfile.TemporaryDirectory() as directory:
        return trio.run(what, directory, how)


def run() -> list[Row]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MANY + SPARE
    if soft < needed and hard != resource.RLIM_INFINITY and hard < needed:
        raise CannotRun(f"each worker holds a directory open; ulimit -n is {hard}, not {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    rows = []
    for how in ("resident", "traced"):
        for what in (measure, measure_kernel):
            apart = multiprocessing.get_context("spawn")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=apart) as process:
                rows += process.submit(measure_apart, what, how).result()
    return rows
