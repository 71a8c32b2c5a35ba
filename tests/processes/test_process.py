"""Programs that run beside us: streams, waiting, signals, sweeps, and their end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ExecFailed
from runner.processes.host import ProcessHost
from runner.processes.process import Process

Open = Callable[..., AbstractAsyncContextManager[Process]]
Alive = Callable[..., list[int]]


@pytest.fixture
def sh(host: ProcessHost, env: dict[str, str], tmp_path: Path) -> Open:
    def open_sh(script: str, **how: Any) -> AbstractAsyncContextManager[Process]:
        return host.open_process(["sh", "-c", script], cwd=str(tmp_path), env=env, **how)

    return open_sh


async def read_all(stream: trio.abc.ReceiveStream) -> bytes:
    with trio.fail_after(20):
        return b"".join([piece async for piece in stream])


async def test_a_conversation_goes_both_ways(sh: Open) -> None:
    async with sh("while read line; do echo got $line; done; echo bye >&2; exit 3") as process:
        assert process.stdin is not None
        for word in (b"one", b"two"):
            await process.stdin.send_all(word + b"\n")
            assert await process.stdout.receive_some(100) == b"got " + word + b"\n"
        await process.stdin.aclose()

        assert await process.wait() == 3
        assert await read_all(process.stderr) == b"bye\n"
        assert await read_all(process.stdout) == b""
        assert process.returncode == 3
        assert repr(process) == f"<Process {process.pid} ended with 3>"


async def test_leaving_ends_the_whole_tree(sh: Open, token: str, alive: Alive) -> None:
    async with sh(f"trap '' TERM; env -i setsid sleep {token} & echo up; sleep {token}") as process:
        await process.stdout.receive_some(3)
        assert repr(process) == f"<Process {process.pid} running>"
        assert process.returncode is None
        assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid

    assert alive() == []
    assert await process.wait() == -signal.SIGKILL
    assert process.leftovers >= 1


@pytest.mark.parametrize("size", [0, 10, 5 << 20])
async def test_input_given_at_the_start_is_followed_by_its_end(sh: Open, size: int) -> None:
    data = os.urandom(size)
    async with sh("cat", stdin=data) as process:
        assert process.stdin is None
        assert await read_all(process.stdout) == data
        assert await process.wait() == 0


async def test_input_that_is_not_read_does_not_matter(sh: Open) -> None:
    async with sh("exec <&-; echo fine", stdin=bytes(5 << 20)) as process:
        assert await read_all(process.stdout) == b"fine\n"
        assert await process.wait() == 0
    async with sh("sleep 100", stdin=bytes(5 << 20)):
        pass


async def test_a_signal_reaches_the_leaders_group(sh: Open) -> None:
    async with sh(
        "trap 'echo caught; exit 4' INT; echo up; while :; do sleep 0.01; done"
    ) as process:
        await process.stdout.receive_some(10)
        process.send_signal(signal.SIGINT)
        with trio.fail_after(10):
            assert await process.wait() == 4
        assert await read_all(process.stdout) == b"caught\n"
        process.send_signal(signal.SIGINT)  # it has ended, so nothing happens


async def test_kill_returns_when_it_is_gone(sh: Open, token: str, alive: Alive) -> None:
    async with sh(
        f"setsid sleep {token} & setsid sleep {token} & echo up; sleep {token}"
    ) as process:
        await process.stdout.receive_some(3)
        assert await process.kill() >= 2
        assert alive() == []
        assert process.returncode == -signal.SIGKILL
        assert await process.kill() >= 2


async def test_a_sweep_ends_orphans_and_spares_the_tree(
    sh: Open, token: str, alive: Alive, until: Any
) -> None:
    tree = f"(echo mine; sleep {token}1) & "
    orphans = f"(setsid sleep {token}2 &) ; (nohup sleep {token}3 >/dev/null 2>&1 &) ; "
    nested = f"(setsid sh -c 'sleep {token}4 & sleep {token}4' &) ; "
    async with sh(tree + orphans + nested + "echo up; wait; cat") as process:
        await until(lambda: all(alive(f"{token}{n}\0") for n in (1, 2, 3, 4)))
        await until(lambda: len(alive(f"sleep\0{token}4")) == 2)

        assert await process.sweep() == 5
        assert alive(f"sleep\0{token}2") + alive(f"sleep\0{token}3") + alive(f"{token}4\0") == []
        assert len(alive(f"sleep\0{token}1")) == 1
        assert await process.sweep() == 0
        assert process.returncode is None
        assert process.leftovers == 5


async def test_where_nothing_is_orphaned_a_sweep_wakes_nobody(sh: Open, token: str) -> None:
    async with sh(f"sleep {token} & echo up; cat") as process:
        await process.stdout.receive_some(2)
        keeper = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGSTOP)
        try:
            with trio.fail_after(5):
                assert await process.sweep() == 0
        finally:
            os.kill(keeper, signal.SIGCONT)


async def test_a_sweep_after_the_end_finds_nothing(sh: Open, host: ProcessHost) -> None:
    async with sh("exit 0") as process:
        await process.wait()
        assert await process.sweep() == 0
    assert (await host.run(["true"], cwd="/", env={"PATH": "/bin"})).exit_code == 0


async def test_many_tasks_may_wait_and_sweep_at_once(sh: Open, until: Any) -> None:
    codes: list[int] = []
    async with sh("(sleep 100 &) ; echo up; read line; exit 5") as process:
        await process.stdout.receive_some(3)
        async with trio.open_nursery() as nursery:

            async def wait() -> None:
                codes.append(await process.wait())

            for _ in range(5):
                nursery.start_soon(wait)
                nursery.start_soon(process.sweep)
            with trio.move_on_after(0.05):
                await process.wait()
            assert process.stdin is not None
            await process.stdin.send_all(b"go\n")

    assert codes == [5] * 5


async def test_an_agent_that_ends_by_itself_takes_its_tools_along(
    sh: Open, token: str, alive: Alive
) -> None:
    async with sh(f"setsid sleep {token} & exit 6") as process:
        assert await process.wait() == 6
        assert alive() == []


async def test_who_waits_when_the_context_is_left_gets_the_end(sh: Open) -> None:
    codes: list[int] = []

    async def wait(process: Process) -> None:
        codes.append(await process.wait())

    async with trio.open_nursery() as nursery:
        async with sh("echo up; sleep 100") as process:
            nursery.start_soon(wait, process)
            await process.stdout.receive_some(3)
            await trio.testing.wait_all_tasks_blocked()

    assert codes == [-signal.SIGKILL]


async def test_a_program_that_kills_its_keeper_has_ended(
    sh: Open, token: str, alive: Alive
) -> None:
    async with sh(f"setsid sleep {token} & kill -KILL $PPID; sleep {token}") as process:
        with trio.fail_after(10):
            assert await process.wait() == -signal.SIGKILL
        assert await process.sweep() == 0
        assert await process.kill() == 0

    assert alive() == []


async def test_what_cannot_be_started_is_said_so(host: ProcessHost, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    (tmp_path / "text").chmod(0o755)
    for name in ("no-such-program", "./text"):
        with pytest.raises(ExecFailed):
            async with host.open_process([name], cwd=str(tmp_path), env={}):
                pytest.fail("it has started")


@pytest.mark.parametrize("attempt", range(20))
async def test_cancellation_at_any_moment_leaves_nothing(
    attempt: int, sh: Open, token: str, alive: Alive
) -> None:
    with trio.move_on_after(0.0015 * attempt):
        async with sh(f"trap '' TERM; setsid sleep {token} & sleep {token}"):
            await trio.sleep_forever()

    assert alive() == []


async def test_errors_of_the_body_come_out_bare(sh: Open) -> None:
    with pytest.raises(ZeroDivisionError):
        async with sh("sleep 100", stdin=b"x"):
            raise ZeroDivisionError
