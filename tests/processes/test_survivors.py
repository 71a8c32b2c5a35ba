"""Nothing of a command is alive when its call returns, whatever the command does.

Each test looks at once, without any patience: what a keeper reports as ended is ended.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Outcome
from runner.processes.guardian_link import GuardianLink
from runner.processes.host import ProcessHost

Alive = Callable[..., list[int]]
Until = Callable[..., Any]

# Each is run by sh in a directory of its own; TOKEN is slept on, and the leader ends when the file
# "up" says that what it leaves behind is there.
AWAIT = "\nwhile [ ! -e up ]; do sleep 0.01; done; echo leader is done"
HOSTILE = {
    "background": "sh -c ': >up; sleep TOKEN' &",
    "setsid": "setsid sh -c ': >up; exec sleep TOKEN' &",
    "nohup": "nohup sh -c ': >up; exec sleep TOKEN' >/dev/null 2>&1 &",
    "double fork": "( ( sh -c ': >up; exec sleep TOKEN' & ) & )",
    "double fork and setsid": "( setsid sh -c '(: >up; sleep TOKEN) & sleep TOKEN' & )",
    "TERM ignored": """(trap '' TERM HUP INT; : >up; while :; do sleep TOKEN; done) &""",
    "empty environment": "env -i setsid sh -c ': >up; exec sleep TOKEN' &",
    "stopped": "setsid sh -c ': >up; kill -STOP $$; : TOKEN' &",
    "closed streams": "setsid sh -c 'exec <&- >&- 2>&-; : >up; sleep TOKEN' &",
}


async def run(host: ProcessHost, env: dict[str, str], cwd: Path, script: str, **how: Any) -> Any:
    with trio.fail_after(30):
        return await host.run(["sh", "-c", script], cwd=str(cwd), env=env, **how)


@pytest.mark.parametrize("kind", HOSTILE)
async def test_what_a_leader_leaves_behind_is_ended_with_it(
    kind: str, host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    script = HOSTILE[kind].replace("TOKEN", token) + AWAIT

    done = await run(host, env, tmp_path, script)

    assert alive() == []
    assert (done.exit_code, done.outcome) == (0, Outcome.EXITED)
    assert done.out.data().endswith(b"leader is done\n")
    assert done.leftovers >= 1


async def test_disown_helps_nobody(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive, bash: str
) -> None:
    script = f"set -m; sleep {token} & disown; set +m; exit 3"

    done = await host.run([bash, "-c", script], cwd=str(tmp_path), env=env)

    assert alive() == []
    assert (done.exit_code, done.leftovers) == (3, 1)


@pytest.mark.parametrize("setsid", ["", "setsid "])
async def test_a_fork_storm_is_ended(
    setsid: str, host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    (tmp_path / "storm").write_text(
        f'if [ "$1" -gt 0 ]; then {setsid}sh storm $(($1 - 1)) & {setsid}sh storm $(($1 - 1)) & fi\n'
        f"echo >>up; sleep {token}\n"
    )
    script = "sh storm 6 & while [ $(wc -l <up 2>/dev/null || echo 0) -lt 60 ]; do :; done"

    done = await run(host, env, tmp_path, script)

    assert alive() == []
    assert done.exit_code == 0
    assert done.leftovers >= 60


ROTATE = """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        break
end = time.monotonic() + 20
while time.monotonic() < end:   # never the same number twice, never a parent that lives
    if os.fork():
        os._exit(0)
    os.setsid()
    open("up", "w").close()
"""


@pytest.mark.parametrize("attempt", range(3))
async def test_processes_that_change_their_number_all_the_time_are_ended(
    attempt: int, host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    script = f'"{sys.executable}" -I -S -c "$ROTATE" {token} &' + AWAIT

    await run(host, {**env, "ROTATE": ROTATE}, tmp_path, script)

    assert alive() == []


async def test_a_command_without_leftovers_has_none(
    host: ProcessHost, env: dict[str, str], tmp_path: Path
) -> None:
    done = await run(host, env, tmp_path, "sleep 0.01 & wait; sh -c 'exit 4'; exit 5")

    assert (done.exit_code, done.leftovers) == (5, 0)


async def test_a_timeout_ends_those_who_ignore_it(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    script = (
        f"trap '' TERM; setsid sleep {token} & setsid nohup sleep {token} & "
        f"echo early; while :; do sleep 0.01; done # {token}"
    )

    done = await run(host, env, tmp_path, script, timeout=0.2, grace=0.1)

    assert alive() == []
    assert (done.exit_code, done.outcome) == (-9, Outcome.TIMEOUT)
    assert done.out.data() == b"early\n"
    assert done.leftovers >= 2
    assert 0.3 <= done.duration < 5


@pytest.mark.parametrize("attempt", range(10))
async def test_cancellation_ends_the_tree_before_it_leaves(
    attempt: int,
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
    until: Until,
) -> None:
    script = f"trap '' TERM; setsid sleep {token} & (sleep {token} &); : >up; sleep {token}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, host, env, tmp_path, script)
        if attempt:
            await until((tmp_path / "up").exists)
        nursery.cancel_scope.cancel()

    assert alive() == []


async def test_a_command_that_kills_its_keeper_is_ended_by_the_guardian(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    script = f"env -i setsid sleep {token} & echo said; kill -KILL $PPID; exec sleep {token}"

    done = await run(host, env, tmp_path, script)

    assert alive() == []
    assert (done.exit_code, done.outcome, done.out.data()) == (-9, Outcome.EXITED, b"said\n")
    assert (await run(host, env, tmp_path, "echo on")).out.data() == b"on\n"


async def test_a_command_that_kills_keeper_and_guardian_is_found_by_its_tag(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive, until: Until
) -> None:
    guardian = "$(cut -d ' ' -f 4 /proc/$PPID/stat)"
    script = f"setsid sleep {token} & kill -KILL {guardian} $PPID; exec sleep {token}"
    beside = f"setsid sleep {token}0 & : >beside; sleep 0.3; exit 6"
    results = []

    async def other() -> None:
        results.append(await run(host, env, tmp_path, beside))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await until((tmp_path / "beside").exists)
        done = await run(host, env, tmp_path, script)
        mine = alive(f"{token}\0")

    assert mine == []
    assert done.exit_code == -9
    assert results[0].exit_code == 6  # its keeper lives, so it is left alone
    assert alive() == []
    assert (await run(host, env, tmp_path, "echo on")).out.data() == b"on\n"


@pytest.mark.parametrize("attempt", range(10))
async def test_a_command_that_stops_its_keeper_ends_like_any_other(
    attempt: int, host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    script = f"env -i setsid sleep {token} & kill -STOP $PPID; echo said; exit 3"

    done = await run(host, env, tmp_path, script)

    assert alive() == []
    assert (done.exit_code, done.outcome, done.out.data()) == (3, Outcome.EXITED, b"said\n")
    assert done.leftovers == 1


async def test_a_command_that_stops_its_keeper_again_and_again_is_ended_in_time(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    storm = "while kill -STOP $PPID; do :; done"
    script = f"({storm}) & ({storm}) & {storm} # {token}"

    done = await run(host, env, tmp_path, script, timeout=0.3, grace=0.1)

    assert alive() == []
    assert done.outcome is Outcome.TIMEOUT
    assert (await run(host, env, tmp_path, "echo on")).out.data() == b"on\n"


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie; whoever inherits it reaps it when it likes."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


GUARDIAN = "$(cut -d ' ' -f 4 /proc/$PPID/stat)"


async def test_a_command_that_stops_keeper_and_guardian_is_ended_like_any_other(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    left = f"env -i setsid sleep {token} & kill -STOP {GUARDIAN} $PPID"

    done = await run(host, env, tmp_path, f"{left}; exec sleep {token}", timeout=0.2)

    assert alive() == []
    assert (done.exit_code, done.outcome, done.leftovers) == (-15, Outcome.TIMEOUT, 1)
    with trio.move_on_after(0.2):
        await run(host, env, tmp_path, f"{left}; exec sleep {token}")
    assert alive() == []
    assert (await run(host, env, tmp_path, "echo on")).out.data() == b"on\n"


async def test_a_command_that_stops_both_whenever_they_go_on_is_ended_in_time(
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GuardianLink, "go_on", lambda _: None)  # as if it did so at once
    monkeypatch.setattr("runner.processes.pump.PATIENCE", 0.1)
    monkeypatch.setattr("runner.processes.keepers.PATIENCE", 0.5)
    stop = f"kill -STOP {GUARDIAN} $PPID"
    script = f"echo $PPID; setsid sleep {token} & {stop}; exec sleep {token}"

    done = await run(host, env, tmp_path, script, timeout=0.2, grace=0.1)

    assert alive() == []
    assert (done.exit_code, done.outcome) == (-9, Outcome.TIMEOUT)
    await host.aclose()
    assert not is_running(int(done.out.data())), "nor is its keeper left"


PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207


@pytest.fixture
def ptrace() -> Callable[[int, int], None]:
    """ptrace(2), with which a process is held in ways that SIGKILL and SIGCONT do not end."""
    function = ctypes.CDLL(None, use_errno=True).ptrace

    def call(request: int, pid: int) -> None:
        if function(request, pid, None, None) != 0:
            raise OSError(ctypes.get_errno(), "ptrace")

    with subprocess.Popen(["sleep", "100"]) as child:
        try:
            call(PTRACE_SEIZE, child.pid)
        except OSError as error:
            pytest.skip(f"needs ptrace(2), which a container may refuse: {error}")
        finally:
            child.kill()
    return call


@pytest.mark.parametrize("limit", ["timeout", "silence"])
async def test_a_leader_that_ends_in_time_is_not_timed_out_by_what_it_left_behind(
    limit: str,
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    until: Until,
    ptrace: Callable[[int, int], None],
) -> None:
    """What has a tracer is not over for its parent until that has let it go."""
    script = f"sleep {token} & echo $! >pid; mv pid up; until [ -e seized ]; do :; done; exit 7"
    results = []

    async def command() -> None:
        results.append(await run(host, env, tmp_path, script, **{limit: 2.0}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(command)
        late = trio.current_time() + 2.1
        await until((tmp_path / "up").exists)
        left = int((tmp_path / "up").read_text())
        ptrace(PTRACE_SEIZE, left)
        (tmp_path / "seized").touch()
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        await until(lambda: os.waitid(os.P_PID, left, ended))  # so the leader has ended too
        await trio.sleep_until(late)  # the limit goes by: now both are told to end
        assert results == []
        os.waitpid(left, 0)  # the tracer lets go

    assert (results[0].exit_code, results[0].outcome) == (7, Outcome.EXITED)
    assert results[0].leftovers == 1
    assert results[0].duration < 2.0


async def test_a_keeper_that_hangs_is_ended_with_its_command(
    host: ProcessHost,
    env: dict[str, str],
    tmp_path: Path,
    token: str,
    alive: Alive,
    until: Until,
    ptrace: Callable[[int, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runner.processes.pump.PATIENCE", 0.1)
    script = f"env -i setsid sleep {token} & echo $PPID >pid; mv pid up; exec sleep {token}"
    results = []

    async def command() -> None:
        results.append(await run(host, env, tmp_path, script, timeout=0.5, grace=0.1))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(command)
        await until((tmp_path / "up").exists)
        keeper = int((tmp_path / "up").read_text())
        ptrace(PTRACE_SEIZE, keeper)
        ptrace(PTRACE_INTERRUPT, keeper)
        await until(lambda: os.WIFSIGNALED(os.waitpid(keeper, os.WNOHANG)[1]))

    assert alive() == []
    assert (results[0].exit_code, results[0].outcome) == (-9, Outcome.TIMEOUT)
    assert (await run(host, env, tmp_path, "echo on")).out.data() == b"on\n"


async def test_a_leader_that_ends_is_not_waited_for_by_its_pipe(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive
) -> None:
    began = trio.current_time()
    done = await run(host, env, tmp_path, f"sleep {token} & printf last-words")

    assert trio.current_time() - began < 5
    assert done.out.data() == b"last-words"
    assert alive() == []


async def test_closing_the_host_ends_what_runs(
    host: ProcessHost, env: dict[str, str], tmp_path: Path, token: str, alive: Alive, until: Until
) -> None:
    errors = []

    async def long() -> None:
        try:
            await run(host, env, tmp_path, f"setsid sleep {token} & : >up; sleep {token}")
        except ExecFailed as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(long)
        await until((tmp_path / "up").exists)
        await host.aclose()
        left = alive()

    assert left == []
    assert "closed" in str(errors[0])
    assert not [pid for pid in alive(host.run_id) if pid != os.getpid()]
