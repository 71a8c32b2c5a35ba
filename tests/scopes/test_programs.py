"""Programs beside other operations, in the scopes of a runner: order, idle workers, ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from functools import partial

import pytest
import trio

import runner
from runner.config import RunnerConfig
from runner.errors import DangerousCommand, NotFound, OperationError
from runner.operations import Line

BOUND = 5.0


@pytest.fixture
def token():
    return str(random.randrange(10**14, 10**15))


@pytest.fixture
def alive(token):
    """Which living processes have the token in their command lines."""

    def find():
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if token.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass
        return found

    yield find

    for pid in find():
        os.kill(pid, 9)


async def until(fact, within=10):
    with trio.fail_after(within):
        while not fact():
            await trio.sleep(0.002)


def open_runner(tmp_path, **options):
    return runner.open_runner(RunnerConfig(**options), state=tmp_path / "state")


async def test_nothing_waits_behind_a_running_exec_but_another_start(tmp_path):
    async with open_runner(tmp_path) as r, trio.open_nursery() as nursery:
        scope = r.scope(tmp_path / "w")
        program = await scope.start("cat", writes=True)
        nursery.start_soon(scope.exec, ": >up; while [ ! -e go ]; do sleep 0.01; done")
        await until((tmp_path / "w/up").exists)
        with trio.fail_after(10):
            await program.write("x\n")
            assert await anext(program.follow()) == Line(stream="stdout", text="x")
            assert (await program.output()).stdout == "x\n"
            assert [each.id for each in await scope.processes()] == [program.id]
            assert await program.wait(0.01) is None
            assert await program.interrupt()
            assert (await program.done()).exit_code == -signal.SIGINT
            assert not await program.kill()
        with trio.move_on_after(0.1) as late:
            await scope.start("true")
        assert late.cancelled_caught

        (tmp_path / "w/go").touch()


async def test_a_program_keeps_no_effect_waiting(tmp_path):
    async with open_runner(tmp_path) as r:
        scope = r.scope(tmp_path / "w")
        async with scope.stream("sleep 1000") as program:
            follower = program.follow()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(program.wait)
                nursery.start_soon(anext, follower, None)
                with trio.fail_after(10):
                    await scope.write("a", "x")
                    assert (await scope.exec("cat a")).stdout == "x"
                nursery.cancel_scope.cancel()


async def test_other_handles_of_the_scope_see_it_and_other_scopes_do_not(tmp_path):
    async with open_runner(tmp_path) as r:
        program = await r.scope(tmp_path / "w").start("echo hi; sleep 1000")
        other = r.scope(tmp_path / "w")

        [info] = await other.processes()
        assert info.id == program.id
        again = await other.process(program.id)
        assert await anext(again.follow()) == Line(stream="stdout", text="hi")
        assert await again.kill()
        assert (await program.done()).exit_code == -9
        assert await r.scope(tmp_path / "v").processes() == ()


async def test_a_program_gets_the_variables_of_its_scope(tmp_path):
    async with open_runner(tmp_path) as r:
        scope = r.scope(tmp_path / "w", env={"A": "scope", "B": "scope"})
        program = await scope.start('echo "$A $B"', env={"B": "op"})
        assert (await program.done()).stdout == "scope op\n"


async def test_the_lint_looks_at_what_is_started(tmp_path):
    async with open_runner(tmp_path) as r:
        scope = r.scope(tmp_path / "w", lint="footgun")
        with pytest.raises(DangerousCommand) as refused:
            await scope.start("rm -rf /")
        assert refused.value.op == "start"


async def test_a_worker_is_not_reaped_while_a_program_runs(tmp_path, token, alive):
    async with open_runner(tmp_path, idle_after_worker=0.05) as r:
        scope = r.scope(tmp_path / "w")
        program = await scope.start(f"while [ ! -e go ]; do sleep 0.01; done # {token}")
        await trio.sleep(1.5)  # the passing of time is the point
        assert r.statistics().workers.reaped == 0
        assert alive() != []

        (tmp_path / "w/go").touch()
        await until(lambda: r.statistics().workers.reaped == 1)
        with pytest.raises(NotFound, match="ended with its scope"):
            await program.output()


async def test_a_worker_is_not_reaped_while_what_was_kept_runs(tmp_path, token, alive):
    async with open_runner(tmp_path, idle_after_worker=0.05) as r:
        scope = r.scope(tmp_path / "w")
        script = f"(while [ ! -e go ]; do sleep 0.01; done; : {token}) & : {token}"
        done = await scope.exec(script, leftover="keep")
        assert done.leftovers >= 1
        await trio.sleep(1.5)  # the passing of time is the point
        assert r.statistics().workers.reaped == 0
        assert alive() != []

        (tmp_path / "w/go").touch()
        await until(lambda: r.statistics().workers.reaped == 1)


@pytest.mark.parametrize("inner", [False, True])
async def test_what_a_command_has_left_running_ends_with_its_scope(tmp_path, token, alive, inner):
    async with open_runner(tmp_path) as r:
        scope = r.scope(tmp_path / "w")
        done = await (scope.scope("in") if inner else scope).exec(
            f"setsid sleep {token} & setsid sleep {token} &", leftover="keep"
        )
        assert done.leftovers == 2
        await r.scope(tmp_path / "w").scope("in").destroy()  # another one on the same directory
        await until(lambda: len(alive()) == 2)  # `setsid` may not have come to it yet
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(scope.destroy)

        assert alive() == []


async def test_what_a_command_leaves_running_in_a_destroyed_scope_ends_as_well(
    tmp_path, token, alive
):
    async with open_runner(tmp_path) as r, trio.open_nursery() as nursery:
        scope = r.scope(tmp_path / "w")
        script = f"touch up; while [ ! -e go ]; do sleep 0.01; done; setsid sleep {token} &"
        nursery.start_soon(partial(scope.exec, script, leftover="keep"))
        await until((tmp_path / "w/up").exists)
        await scope.destroy()
        (tmp_path / "w/go").touch()
        await until(lambda: not nursery.child_tasks)

        assert alive() == []


@pytest.mark.parametrize("attempt", range(10))
async def test_a_program_that_is_being_started_while_its_scope_is_destroyed_ends(
    tmp_path, token, alive, attempt
):
    async with open_runner(tmp_path) as r:
        scope = r.scope(tmp_path / "w")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scope.start, f"sleep {token}")
            for _ in range(attempt + 1):  # asked for already, at some point of its way
                await trio.lowlevel.checkpoint()
            nursery.start_soon(scope.destroy)

        assert alive() == []


@pytest.mark.parametrize("how", ["leaving", "error", "cancelled"])
async def test_all_that_runs_ends_with_the_runner(tmp_path, token, alive, how):
    with trio.CancelScope() as cancel_scope:
        try:
            async with open_runner(tmp_path) as r:
                scope = r.scope(tmp_path / "w")
                for _ in range(5):
                    await scope.start(f"setsid nohup sleep {token} & sleep {token}")
                await scope.exec(f"setsid nohup sleep {token} &", leftover="keep")
                await until(lambda: len(alive()) >= 11)
                if how == "error":
                    raise ZeroDivisionError
                if how == "cancelled":
                    cancel_scope.cancel()
                    await trio.sleep_forever()
        except ZeroDivisionError:
            pass

    assert alive() == []


async def test_a_stream_that_outlives_its_runner_is_left_in_peace(tmp_path, token, alive):
    async with open_runner(tmp_path) as r:
        stream = r.scope(tmp_path / "w").stream(f"sleep {token}")
        program = await stream.__aenter__()
    assert alive() == []

    await stream.__aexit__(None, None, None)
    with pytest.raises(runner.RunnerError):
        await program.output()


async def test_a_follower_is_told_when_its_worker_goes(tmp_path):
    with pytest.raises((OperationError, runner.RunnerError)):
        async with open_runner(tmp_path, grace=0.1) as r:
            program = await r.scope(tmp_path / "w").start("sleep 1000")
            async with trio.open_nursery() as nursery:

                async def follow():
                    async for _ in program:
                        pass

                nursery.start_soon(follow)
                await trio.sleep(0.05)
                nursery.cancel_scope.cancel()
            raise OperationError("x")


VICTIM = """
import os, sys, trio, runner
token, home = sys.argv[1:]

async def main():
    async with runner.open_runner(state=home + "/state") as r:
        scope = r.scope(home + "/w")
        for number in range(4):
            await scope.start(f"(setsid nohup sleep {token} &) ; sleep {token}")
        await scope.exec(f"( ( setsid sleep {token} & ) & )", leftover="keep")
        await scope.exec(f"env -i nohup sleep {token} >/dev/null 2>&1 &", leftover="keep")
        async with scope.stream(f"trap '' TERM; while :; do sleep {token}; done"):
            print("up", flush=True)
            await trio.sleep_forever()

trio.run(main)
"""


@pytest.mark.parametrize("attempt", range(3))
async def test_a_runner_that_is_killed_leaves_none_of_its_programs(tmp_path, token, alive, attempt):
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, token, str(tmp_path)], stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        await trio.to_thread.run_sync(victim.stdout.readline)
        await until(lambda: len(alive()) >= 11)
        victim.kill()

    await until(lambda: not alive(), BOUND)
