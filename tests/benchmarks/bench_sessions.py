"""Sessions, beside agent-session 0.1.0 and claude-agent-sdk, with the real claude program.

- A turn in a conversation that goes on. agent_session starts a process for each; the SDK keeps one,
  as we do, but knows nothing of files, keeps no record and no transcript. All ask a model server on
  this machine, which answers at once: what is measured is what a turn costs besides the model.
- A turn in a directory of 100,000 files, of a program that ends at once.
- Thirty-two sessions started at once, with and without a limit on how many may start at a time.
- The supervisor's CPU while 200 sessions stream 50 events a second each.
- The memory of a session whose program was ended to make room for another.

`claude` is found as the tests find it (RUNNER_TEST_CLAUDE); without it, the rows about it are not.
"""

from __future__ import annotations

import concurrent.futures
import importlib
import itertools
import math
import multiprocessing
import os
import shutil
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

import runner
from runner.agents.driver import ClaudeAgent
from runner.testing.model_server import Served, model_server_thread
from runner.testing.scripted import ScriptedAgent
from tests.benchmarks.bench_changes import DIRECTORIES, FILES, make
from tests.benchmarks.bench_memory import resident, traced
from tests.benchmarks.measure import CannotRun, Row, ratios, times

HOW = "pip install agent-session==0.1.0 claude-agent-sdk"
FULL = "danger-full-access"
TURNS = 5  # in each round, of those that keep their process
STARTED = 32
STREAMING, RATE = 200, 50
SECONDS = 4.0
REAPED, BLOCK, LIVING = 600, 100, 8
PROGRAM = """#!/bin/sh
echo '{"type": "result", "result": "done", "is_error": false}'
"""


def claude() -> str | None:
    return shutil.which(os.environ.get("RUNNER_TEST_CLAUDE") or "claude")


def peer(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


@contextmanager
def home(place: Path) -> Iterator[dict[str, str]]:
    """A home for peers' programs, whose variables they take from this process."""
    place.mkdir()
    before = dict(os.environ)
    kept = {name: before[name] for name in ("PATH", "LANG", "TMPDIR") if name in before}
    os.environ.clear()
    os.environ.update(kept, HOME=str(place))
    try:
        yield kept
    finally:
        os.environ.clear()
        os.environ.update(before)


# ---------------------------------------------------------------- a turn that goes on


async def turns(place: Path, program: str, server: Served) -> list[Row]:
    variants: dict[str, Callable[[], Awaitable[object]]] = {}
    async with AsyncExitStack() as stack:
        r = await stack.enter_async_context(runner.open_runner(state=place / "state"))
        stack.enter_context(home(place / "home"))
        agent = ClaudeAgent(program=program, access=FULL, env=server.claude_env())
        (place / "ours").mkdir()
        session = await stack.enter_async_context(r.session(r.scope(place / "ours"), agent=agent))

        async def ours() -> None:
            for _ in range(TURNS):
                assert (await session.send("!say ours")).final_message == "ours"

        variants["ours"] = ours
        if module := peer("agent_session.claude"):
            theirs = module.ClaudeSession(
                place / "theirs", binary=program, sandbox=FULL, extra_env=server.claude_env()
            )

            async def process_per_turn() -> None:
                assert theirs.send("!say theirs").final_message == "theirs"

            variants["agent_session"] = process_per_turn
        if sdk := peer("claude_agent_sdk"):
            options = sdk.ClaudeAgentOptions(
                cli_path=program,
                cwd=place / "ours",
                env=server.claude_env(),
                permission_mode="bypassPermissions",
            )
            client = await stack.enter_async_context(sdk.ClaudeSDKClient(options))

            async def by_sdk() -> None:
                for _ in range(TURNS):
                    await client.query("!say sdk")
                    messages = [message async for message in client.receive_response()]
                    assert messages[-1].result == "sdk"

            variants["sdk"] = by_sdk
        found = await times(variants)
    per_turn = [seconds / TURNS for seconds in found["ours"]]
    rows = [Row("a second turn with claude", [1000 * each for each in per_turn], unit="ms")]
    if "agent_session" in found:
        what = "a second turn with claude: agent_session ÷ ours"
        rows.append(Row(what, ratios(found["agent_session"], per_turn), 10.0, at_least=True))
    if "sdk" in found:
        what = "a second turn with claude: ours ÷ claude-agent-sdk"
        rows.append(Row(what, ratios(found["ours"], found["sdk"]), 1.2))
    return rows


# ---------------------------------------------------------------- 100,000 files


async def files(place: Path) -> list[Row]:
    module = peer("agent_session.claude")
    if module is None:
        return []
    make(place / "many", DIRECTORIES, FILES)
    (place / "none").mkdir()
    program = place / "program"
    program.write_text(PROGRAM)
    program.chmod(0o755)

    def theirs(name: str) -> Callable[[], Awaitable[object]]:
        session = module.ClaudeSession(place / name, binary=str(program))

        async def send() -> None:
            assert session.send("anything").ok

        return send

    async with runner.open_runner(state=place / "state") as r, AsyncExitStack() as stack:

        async def ours(name: str) -> Callable[[], Awaitable[object]]:
            made = r.session(r.scope(place / name), agent=ScriptedAgent())
            session = await stack.enter_async_context(made)

            async def send() -> None:
                assert (await session.send("anything")).ok

            return send

        variants = {
            "theirs, many": theirs("many"),
            "theirs, none": theirs("none"),
            "ours, many": await ours("many"),
            "ours, none": await ours("none"),
        }
        found = await times(variants, rounds=7)
    overhead = [a - b for a, b in zip(found["theirs, many"], found["theirs, none"], strict=True)]
    return [
        Row(
            "what 100,000 files add to a turn: agent_session ÷ a whole turn of ours there",
            ratios(overhead, found["ours, many"]),
            20.0,
            at_least=True,
        ),
        Row("a turn there", [1000 * each for each in found["ours, many"]], unit="ms"),
        Row("a turn in no files", [1000 * each for each in found["ours, none"]], unit="ms"),
        Row(
            "agent_session's turn there", [1000 * each for each in found["theirs, many"]], unit="ms"
        ),
    ]


# ---------------------------------------------------------------- 32 at once


async def starts(place: Path, program: str, server: Served) -> list[Row]:
    agent = ClaudeAgent(program=program, access=FULL, env=server.claude_env())
    rounds = iter(range(100))
    took: dict[str, list[float]] = {"limited": [], "unlimited": []}
    cpu: dict[str, list[float]] = {how: [] for how in took}

    async def start_all(how: str) -> None:
        here = place / f"round{next(rounds)}"
        async with AsyncExitStack() as stack:
            r = await stack.enter_async_context(runner.open_runner(state=here / "state"))
            if how == "unlimited":
                admission = r._making.means.admission
                admission.slots.total_tokens, admission.reserve = math.inf, 0
            sessions = []
            for number in range(STARTED):
                (here / f"{number}").mkdir()
                session = r.session(r.scope(here / f"{number}"), agent=agent)
                sessions.append(await stack.enter_async_context(session))
            began = time.perf_counter()
            async with trio.open_nursery() as nursery:
                for session in sessions:
                    nursery.start_soon(first, session)
            took[how].append(time.perf_counter() - began)
            cpu[how].append(sum(map(cpu_of, sessions)))

    async def first(session: Any) -> None:
        assert (await session.send("!say up")).ok

    await times({how: partial(start_all, how) for how in took}, rounds=3)
    found = {how: values[-3:] for how, values in took.items()}
    used = {how: values[-3:] for how, values in cpu.items()}
    what = f"{STARTED} claudes at once, to their first answers"
    return [
        Row(
            f"{what}: limited ÷ unlimited starts", ratios(found["limited"], found["unlimited"]), 0.7
        ),
        Row(f"{what}, limited", found["limited"], unit="s"),
        Row(f"{what}, unlimited", found["unlimited"], unit="s"),
        Row("their CPU time: limited ÷ unlimited", ratios(used["limited"], used["unlimited"])),
        Row("their CPU time, each, limited", [s / STARTED for s in used["limited"]], unit="s"),
    ]


def cpu_of(session: Any) -> float:
    """CPU seconds of a session's program so far."""
    stat = Path(f"/proc/{session.statistics().pid}/stat").read_text()
    user, system = stat.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


# ---------------------------------------------------------------- many that stream


async def streaming(place: Path) -> list[Row]:
    count = int((SECONDS + 15) * RATE)  # they are not over before all have begun and been measured
    prompt = f"!say a word or two of what the agent is about\n!sleep {1 / RATE}\n" * count
    agent = ScriptedAgent(turns=(prompt,))
    async with runner.open_runner(state=place / "state") as r, AsyncExitStack() as stack:
        sessions = []
        async with trio.open_nursery() as nursery:
            for number in range(STREAMING):
                (place / f"{number}").mkdir()
                session = r.session(r.scope(place / f"{number}"), agent=agent)
                sessions.append(await stack.enter_async_context(session))
                nursery.start_soon(sessions[-1].send, "stream")
            while not all(each.statistics().events > 2 for each in sessions):
                await trio.sleep(0.1)
            shares, rates = [], []
            for _ in range(3):
                began, cpu = time.perf_counter(), time.process_time()
                events = sum(each.statistics().events for each in sessions)
                await trio.sleep(SECONDS / 3)
                seconds = time.perf_counter() - began
                shares.append(100 * (time.process_time() - cpu) / seconds)
                rates.append(
                    (sum(each.statistics().events for each in sessions) - events) / seconds
                )
            nursery.cancel_scope.cancel()
    return [
        Row("the supervisor's CPU, 200 sessions streaming 50 events/s", shares, 20.0, unit="%"),
        # Fewer events would make the figure above one of something else.
        Row("of them, events a second", rates, 0.9 * STREAMING * RATE, unit="/s", at_least=True),
        Row(
            "of them, CPU an event",
            [1e4 * s / e for s, e in zip(shares, rates, strict=True)],
            unit="µs",
        ),
    ]


# ---------------------------------------------------------------- many that are reaped


async def reaped(place: Path, how: str) -> list[Row]:
    size = traced if how == "traced" else resident
    if how == "traced":
        tracemalloc.start()
    sizes = []
    config = runner.RunnerConfig(max_sessions=LIVING)
    async with runner.open_runner(config, state=place / "state") as r, AsyncExitStack() as stack:
        for first in range(0, REAPED, BLOCK):
            async with trio.open_nursery() as nursery:
                limit = trio.CapacityLimiter(LIVING)
                for number in range(first, first + BLOCK):
                    (place / f"{number}").mkdir()
                    session = r.session(r.scope(place / f"{number}"), agent=ScriptedAgent())
                    await stack.enter_async_context(session)
                    nursery.start_soon(one_turn, session, limit)
            sizes.append(size())
    each = [(b - a) / BLOCK / 1024 for a, b in itertools.pairwise(sizes)]
    return [Row(f"a session that was reaped, {how}", each, 20.0, unit="KiB")]


async def one_turn(session: Any, limit: trio.CapacityLimiter) -> None:
    async with limit:
        assert (await session.send("!say one turn")).ok


def measure_reaped(how: str) -> list[Row]:
    with tempfile.TemporaryDirectory() as place:
        return trio.run(reaped, Path(place), how)


def apart(how: str) -> list[Row]:
    """In a process of its own: memory that another measurement has given back would be reused."""
    own = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=own) as process:
        return process.submit(measure_reaped, how).result()


def run() -> list[Row]:
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as top, model_server_thread() as server:
        place = Path(top)
        for name in ("turns", "files", "starts", "streaming"):
            (place / name).mkdir()
        program = claude()
        if program is None:
            print(
                "sessions: no claude: npm install -g @anthropic-ai/claude-code, or RUNNER_TEST_CLAUDE"
            )
        else:
            rows += trio.run(turns, place / "turns", program, server)
            rows += trio.run(starts, place / "starts", program, server)
        rows += trio.run(files, place / "files")
        rows += trio.run(streaming, place / "streaming")
    rows += apart("resident") + apart("traced")
    if not all(map(peer, ("agent_session", "claude_agent_sdk"))):
        print(f"sessions: without a peer: {HOW}")
    if not rows:
        raise CannotRun(HOW)
    return rows
