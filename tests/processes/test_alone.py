"""A supervisor is killed, and those who are to notice are stopped, or somebody holds its sockets."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ExecFailed
from runner.processes.host import ProcessHost
from runner.processes.kept import Kept
from runner.processes.sweep import sweep_run
from runner.processes.tree import read_stat

Alive = Callable[..., list[int]]
ALONE = str(Path(__file__).with_name("alone.py"))
STOPPED = (
    "the keeper",
    "the guardian",
    "keeper and guardian",
    "the keeper and kills the guardian",
)
BOUND = 5.0


def kill_supervisor(kind: str, token: str, up: Path) -> int:
    """Start one, and kill it when its job runs; who is to live on, 0 = nobody."""
    with subprocess.Popen(
        [sys.executable, ALONE, token, kind, str(up)], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        stays = supervisor.stdout.readline().strip()
        supervisor.kill()
    return 0 if stays == b"-" else int(stays)


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("kind", STOPPED)
async def test_who_was_stopped_by_a_command_ends_it_when_the_supervisor_is_killed(
    kind: str, attempt: int, token: str, alive: Alive, until: Any, tmp_path: Path
) -> None:
    kill_supervisor(kind, token, tmp_path / "up")

    await until(lambda: not alive(), BOUND)


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("kind", ["forks", "has children by multiprocessing"])
async def test_a_child_with_copies_of_all_sockets_hides_nobodys_death(
    kind: str, attempt: int, token: str, alive: Alive, until: Any, tmp_path: Path
) -> None:
    child = kill_supervisor(kind, token, tmp_path / "up")

    await until(lambda: set(alive()) <= {child}, BOUND)

    assert alive() == [child]


async def test_what_is_kept_ends_with_a_supervisor_whose_child_lives(
    token: str, alive: Alive, until: Any, tmp_path: Path
) -> None:
    kill_supervisor("kept", token, tmp_path / "up")

    await until(lambda: not alive(), BOUND)


async def test_a_sweep_makes_a_stopped_keeper_go_on_which_nobody_could_tell(
    token: str, alive: Alive, until: Any, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, ALONE, token, "-", str(tmp_path / "up")], stdout=subprocess.PIPE
    ) as supervisor:
        assert supervisor.stdout is not None
        supervisor.stdout.readline()
        found = list(filter(is_keeper, alive()))
        (guardian,) = [pid for pid in found if (read_stat(pid) or (0,))[0] == supervisor.pid]
        keepers = [pid for pid in found if pid != guardian]
        os.kill(guardian, signal.SIGKILL)
        await until(lambda: guardian not in alive())
        for pid in keepers:
            os.kill(pid, signal.SIGSTOP)
        supervisor.kill()
    assert set(alive()) > set(keepers)

    sweep_run(token)

    await until(lambda: not alive(), BOUND)


def is_keeper(pid: int) -> bool:
    try:
        return b"RUNNER_KEEPER=" in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has ended
        return False


def test_a_child_that_is_forked_has_keepers_of_its_own_and_leaves_its_parents_alone(
    env: dict[str, str], token: str, alive: Alive
) -> None:
    host = ProcessHost()
    kept: set[Kept] = set()

    async def echo(text: str) -> bytes:
        return (await host.run(["echo", text], cwd="/", env=env)).out.data()

    async def in_the_child() -> None:
        assert await echo("child") == b"child\n"
        await host.aclose()

    async def begin() -> None:
        await host.run(["sh", "-c", f"sleep {token} &"], cwd="/", env=env, kept=kept)
        await echo("x")

    async def go_on() -> None:
        assert await echo("parent") == b"parent\n"
        assert host._keepers.idle == idle
        assert [each.is_over() for each in kept] == [False]
        await host.aclose()

    trio.run(begin)
    idle = host._keepers.idle.copy()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            trio.run(in_the_child)
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0) == (pid, 0)
    assert len(alive()) == 1
    trio.run(go_on)

    assert alive() == []


def test_a_closed_host_is_closed_for_a_child_as_well(env: dict[str, str]) -> None:
    host = ProcessHost()
    trio.run(host.aclose)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with pytest.raises(ExecFailed, match="closed"):
                trio.run(lambda: host.run(["true"], cwd="/", env=env))
            status = 0
        finally:
            os._exit(status)

    assert os.waitpid(pid, 0) == (pid, 0)


async def test_a_keeper_that_is_given_up_ends_though_a_child_has_a_copy_of_its_socket(
    host: ProcessHost, env: dict[str, str], until: Any
) -> None:
    await host.run(["true"], cwd="/", env=env)
    link = host._keepers.idle.pop()
    assert link.pid is not None
    with holding(link.sock.fileno()):
        link.close()

        await until(lambda: not Path(f"/proc/{link.pid}").exists(), BOUND)


def test_a_host_that_is_forgotten_ends_though_a_child_has_copies_of_its_sockets(
    env: dict[str, str], token: str, alive: Alive
) -> None:
    hosts = [ProcessHost(run_id=token)]
    trio.run(lambda: hosts[0].run(["true"], cwd="/", env=env))
    guardian = hosts[0]._keepers.guardian
    assert guardian is not None
    with holding(guardian.fileno()):
        hosts.clear()
        gc.collect()

        assert alive() == []


@contextmanager
def holding(fd: int) -> Iterator[None]:
    """While a child has a copy of a descriptor."""
    with subprocess.Popen(["sleep", "50"], pass_fds=[fd]) as child:
        yield
        child.kill()
