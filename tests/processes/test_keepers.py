"""Keepers and the guardian: killed, stopped, replaced, at any moment of a host's life."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Completed
from runner.processes.guardian_link import GuardianLink
from runner.processes.host import ProcessHost
from runner.processes.keepers import IDLE_KEEPERS
from runner.processes.kept import Kept

Sh = Callable[..., Any]


@pytest.fixture
def sh(host: ProcessHost, env: dict[str, str], tmp_path: Path) -> Sh:
    async def run(script: str, **how: Any) -> Completed:
        with trio.fail_after(30):
            how.setdefault("cwd", str(tmp_path))
            return await host.run(["sh", "-c", script], env=how.pop("env", env), **how)

    return run


async def test_without_a_guardian_nothing_is_started(
    host: ProcessHost, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "runner.processes.guardian_link.GuardianLink.command",
        staticmethod(lambda: [sys.executable, "-c", "pass"]),
    )
    with pytest.raises(ExecFailed, match="guardian"), trio.fail_after(20):
        await host.run(["true"], cwd="/", env=env)


async def test_a_guardian_that_was_killed_is_replaced(sh: Sh, host: ProcessHost) -> None:
    await sh("true")
    assert host._keepers.guardian is not None
    first = host._keepers.guardian.pid
    os.kill(first, signal.SIGKILL)
    assert os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    assert (await sh("echo again")).out.data() == b"again\n"
    assert host._keepers.guardian.pid != first


async def test_a_keeper_that_was_killed_while_idle_is_replaced(
    sh: Sh, host: ProcessHost, until: Callable[..., Any]
) -> None:
    await sh("true")
    pid = host._keepers.idle[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not Path(f"/proc/{pid}").exists())

    assert (await sh("echo again")).out.data() == b"again\n"


async def test_a_guardian_that_does_not_serve_is_replaced(
    sh: Sh,
    host: ProcessHost,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    until: Any,
) -> None:
    monkeypatch.setattr(GuardianLink, "go_on", lambda _: None)  # as if it was stopped all the time
    monkeypatch.setattr("runner.processes.keepers.HELLO", 1.0)
    await sh("true")
    assert host._keepers.guardian is not None
    first = host._keepers.guardian.pid
    os.kill(first, signal.SIGSTOP)
    async with trio.open_nursery() as nursery:
        # It has the only keeper meanwhile, so that the next command needs another.
        nursery.start_soon(sh, ": >up; while [ ! -e down ]; do sleep 0.01; done")
        await until((tmp_path / "up").exists)

        assert (await sh("echo again")).out.data() == b"again\n"
        assert host._keepers.guardian.pid != first
        (tmp_path / "down").touch()


async def test_closing_does_not_wait_for_a_guardian_that_does_not_end(
    env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GuardianLink, "go_on", lambda _: None)  # as if it was stopped all the time
    monkeypatch.setattr("runner.processes.keepers.PATIENCE", 0.1)
    host = ProcessHost()
    await host.run(["true"], cwd="/", env=env)
    assert host._keepers.guardian is not None
    pid = host._keepers.guardian.pid
    os.kill(pid, signal.SIGSTOP)
    await host.aclose()

    assert not os.path.exists(f"/proc/{pid}")


async def test_a_guardian_that_was_stopped_goes_on_when_it_is_needed(
    host: ProcessHost, env: dict[str, str], token: str, alive: Callable[..., list[int]]
) -> None:
    await host.run(["true"], cwd="/", env=env)
    guardian = host._keepers.guardian
    assert guardian is not None
    os.kill(guardian.pid, signal.SIGSTOP)
    with trio.fail_after(5):
        async with host.open_process(["true"], cwd="/", env=env), trio.open_nursery() as nursery:
            for _ in range(3):  # more than there are idle keepers
                nursery.start_soon(partial(host.run, ["true"], cwd="/", env=env))

    script = f"env -i setsid sleep {token} & kill -STOP {guardian.pid} $PPID; exec sleep {token}"
    with trio.fail_after(5), trio.move_on_after(0.3):
        await host.run(["sh", "-c", script], cwd="/", env=env)
    assert alive() == []

    os.kill(guardian.pid, signal.SIGSTOP)
    with trio.fail_after(5):
        await host.aclose()
    assert host._keepers.guardian is None


async def test_any_number_of_idle_keepers_may_have_been_killed(
    sh: Sh, host: ProcessHost, until: Callable[..., Any]
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(IDLE_KEEPERS):
            nursery.start_soon(sh, "sleep 0.1")
    keepers = [link.pid for link in host._keepers.idle]
    assert len(keepers) == IDLE_KEEPERS
    for pid in keepers:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in keepers))

    assert (await sh("echo again")).out.data() == b"again\n"


async def test_whoever_is_killed_or_stopped_meanwhile_a_command_has_an_end_and_leaves_nothing(
    host: ProcessHost, env: dict[str, str], token: str, alive: Callable[..., list[int]]
) -> None:
    """Keepers at any moment; the guardian lives, so that it finds what they had."""
    script = f"env -i setsid sleep {token} & sleep 0.01; echo ok; exit 3"
    ends: list[object] = []
    rolling = random.Random(4)

    async def commands() -> None:
        for number in range(40):
            kept: set[Kept] | None = set() if number % 4 == 0 else None
            done = await host.run(["sh", "-c", script], cwd="/", env=env, kept=kept)
            ends.append(done.exit_code)
            for each in kept or ():
                await each.aclose()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(commands)
            while len(ends) < 120:
                await trio.sleep(rolling.uniform(0.01, 0.05))  # the random moment is the point
                links = host._keepers._links - {host._keepers.guardian}
                pid = next((link.pid for link in links if link.pid), None)
                if pid is not None:
                    with suppress(ProcessLookupError):
                        os.kill(pid, rolling.choice((signal.SIGKILL, signal.SIGSTOP)))
        await host.aclose()

    assert set(ends) <= {3, -9}
    assert ends.count(3) > 20
    assert alive() == []


async def test_a_host_that_is_closed_leaves_another_ones_programs_of_the_same_run_alone(
    host: ProcessHost, env: dict[str, str]
) -> None:
    other = ProcessHost(run_id=host.run_id)
    async with host.open_process(["cat"], cwd="/", env=env) as process:
        with trio.fail_after(20):
            assert (await other.run(["true"], cwd="/", env=env)).exit_code == 0
            await other.aclose()
            await process.stdin.send_all(b"here")
            assert await process.stdout.receive_some() == b"here"
