"""What a command leaves running on request: it lives on, and ends with whoever keeps it."""

from __future__ import annotations

import functools
import os
import select
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.messages import Isolation, Limits, Outcome
from runner.processes import protocol
from runner.processes.host import ProcessHost
from runner.processes.kept import Kept
from runner.processes.link import KeeperLink
from runner.processes.tree import descendants

Alive = Callable[..., list[int]]
Until = Callable[..., Any]

AWAIT = "\nwhile [ ! -e up ]; do sleep 0.01; done; echo leader is done"
LEAVING = {
    "background": "sh -c ': >up; sleep TOKEN' &",
    "setsid": "setsid sh -c ': >up; exec sleep TOKEN' &",
    "nohup": "nohup sh -c ': >up; exec sleep TOKEN' >/dev/null 2>&1 &",
    "double fork": "( ( sh -c ': >up; exec sleep TOKEN' & ) & )",
    "double fork and setsid": "( setsid sh -c '(: >up; sleep TOKEN) & sleep TOKEN' & )",
    "TERM ignored": """(trap '' TERM HUP INT; : >up; while :; do sleep TOKEN; done) &""",
    "empty environment": "env -i setsid sh -c ': >up; exec sleep TOKEN' &",
    "closed streams": "setsid sh -c 'exec <&- >&- 2>&-; : >up; exec sleep TOKEN' &",
}


async def run(host: ProcessHost, env: dict[str, str], cwd: Path, script: str, **how: Any) -> Any:
    with trio.fail_after(30):
        return await host.run(["sh", "-c", script], cwd=str(cwd), env=env, **how)


@pytest.mark.parametrize("end", ["by its keeping", "by the host"])
@pytest.mark.parametrize("kind", LEAVING)
async def test_what_is_kept_lives_on_and_ends_when_it_is_to(
    kind: str,
    end: str,
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
) -> None:
    kept: set[Kept] = set()
    script = LEAVING[kind].replace("TOKEN", token) + AWAIT

    done = await run(host, env, tmp_path, script, kept=kept)

    assert (done.exit_code, done.outcome) == (0, Outcome.EXITED)
    assert done.out.data().endswith(b"leader is done\n")
    assert done.leftovers >= 1
    [it] = kept
    assert it.count == done.leftovers
    assert not it.is_over()
    await run(host, env, tmp_path, "true")  # another command does not disturb it
    assert alive() != []

    if end == "by the host":
        await host.aclose()
    else:
        await it.aclose()
        await it.aclose()

    assert alive() == []
    assert it.is_over()


async def test_a_command_that_leaves_nothing_keeps_nothing(
    host: ProcessHost, env: dict[str, str], tmp_path: Path
) -> None:
    kept: set[Kept] = set()

    done = await run(host, env, tmp_path, "sleep 0.01 & wait; exit 5", kept=kept)

    assert (done.exit_code, done.leftovers, kept) == (5, 0, set())
    assert "1 keepers idle" in repr(host)


async def test_it_is_over_when_the_last_of_it_has_ended(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, until: Until
) -> None:
    kept: set[Kept] = set()
    script = "(while [ ! -e go ]; do sleep 0.01; done; setsid sh -c 'sleep 0.05; : >last' &) &"

    await run(host, env, tmp_path, script, kept=kept)

    [it] = kept
    assert not it.is_over()
    (tmp_path / "go").touch()
    await until((tmp_path / "last").exists)
    await until(it.is_over)
    await it.aclose()


async def test_all_of_it_is_counted(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    kept: set[Kept] = set()
    inner = f"sleep {token} & sleep {token} & : >up; wait"
    script = f"setsid sh -c '{inner}' &{AWAIT}"

    done = await run(host, env, tmp_path, script, kept=kept)

    assert done.leftovers == 3
    assert len(alive()) == 3


@pytest.mark.parametrize("stream", [1, 2])
async def test_what_it_writes_to_the_commands_streams_is_read_and_discarded(
    stream: int, host: ProcessHost, env: dict[str, str], tmp_path: Path, until: Until
) -> None:
    kept: set[Kept] = set()
    write = f"dd if=/dev/zero bs=65536 count=100 status=none >&{stream}"
    script = f"(while [ ! -e go ]; do sleep 0.01; done; {write} && echo $? >said; sleep 100) &"

    done = await run(host, env, tmp_path, script + "echo early", kept=kept)

    (tmp_path / "go").touch()
    await until((tmp_path / "said").exists)
    await until((tmp_path / "said").read_text)
    assert (tmp_path / "said").read_text() == "0\n"
    assert done.out.data() == b"early\n"
    for each in kept:
        await each.aclose()


async def test_nothing_is_kept_of_a_command_that_is_ended_by_its_timeout(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    kept: set[Kept] = set()
    script = f"setsid nohup sleep {token} & echo early; sleep 100 # {token}"

    done = await run(host, env, tmp_path, script, kept=kept, timeout=0.3, grace=5)

    assert alive() == []
    assert (done.outcome, kept) == (Outcome.TIMEOUT, set())
    assert done.exit_code == -signal.SIGTERM


@pytest.mark.parametrize("attempt", range(10))
async def test_nothing_is_kept_of_a_command_that_is_cancelled(
    attempt: int,
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
    until: Until,
) -> None:
    kept: set[Kept] = set()
    script = f"setsid nohup sleep {token} & : >up; sleep 0.00{attempt}"
    async with trio.open_nursery() as nursery:

        async def it() -> None:
            await run(host, env, tmp_path, script, kept=kept)

        nursery.start_soon(it)
        await until((tmp_path / "up").exists)
        nursery.cancel_scope.cancel()

    for each in kept:  # it may have come to its end before
        await each.aclose()
    assert alive() == []


@pytest.mark.parametrize("attempt", range(5))
async def test_a_command_that_ends_just_before_it_hears_of_its_cancellation_leaves_nothing(
    attempt: int,
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept: set[Kept] = set()
    request = KeeperLink.request

    def late(link: KeeperLink, kind: int, *args: Any, **how: Any) -> None:
        if kind != protocol.KILL or link.command.over:
            request(link, kind, *args, **how)
            return
        (tmp_path / "go").touch()
        while not link.command.over:
            assert select.select([link.sock], [], [], 20)[0]
            link.take()
        assert link.pid is not None
        os.kill(link.pid, signal.SIGSTOP)  # it does not come to reading this one, for now

    monkeypatch.setattr(KeeperLink, "request", late)
    hang = "while [ ! -e go ]; do sleep 0.01; done"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            functools.partial(run, host, env, tmp_path, f"sleep {token} & : >up; {hang}", kept=kept)
        )
        await until((tmp_path / "up").exists)
        nursery.cancel_scope.cancel()

    assert (alive(), kept) == ([], set())


async def test_what_kills_its_keeper_is_ended_by_the_guardian(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive, until: Until
) -> None:
    kept: set[Kept] = set()
    script = f"env -i setsid sleep {token} & echo $PPID"

    done = await run(host, env, tmp_path, script, kept=kept)
    os.kill(int(done.out.data()), signal.SIGKILL)

    await until(lambda: not alive())
    [it] = kept
    await until(it.is_over)


async def test_a_keeper_that_was_stopped_ends_it_all_the_same(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    kept: set[Kept] = set()
    script = f"env -i setsid sleep {token} & echo $PPID"

    done = await run(host, env, tmp_path, script, kept=kept)
    os.kill(int(done.out.data()), signal.SIGSTOP)
    [it] = kept
    await it.aclose()

    assert alive() == []


async def test_of_fifty_each_is_kept_and_ended_for_itself(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    kept: set[Kept] = set()

    async def one() -> None:
        await run(host, env, tmp_path, f"setsid sleep {token} &", kept=kept)

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert len(kept) == 50
    assert len(alive()) == 50

    async with trio.open_nursery() as nursery:
        for each in list(kept)[:49]:
            nursery.start_soon(each.aclose)
    assert len(alive()) == 1


def test_who_has_no_children_has_no_descendants() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(descendants())
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


async def test_limits_hold_for_what_is_kept(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive, until: Until
) -> None:
    kept: set[Kept] = set()
    write = f"while :; do head -c 1000000 /dev/zero >>big; sleep 0.05; done; : {token}"
    isolation = Isolation(mode="none", limits=Limits(disk=3_000_000))

    await run(host, env, tmp_path, f"({write}) & : {token}", kept=kept, isolation=isolation)

    [it] = kept
    await until(it.is_over)
    assert alive() == []
