"""The composition root: what `open_runner` puts together, and takes apart again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import runner
from runner.errors import ConfigError, InvalidPath, NotFound, PathEscapes, SupervisorClosed
from runner.processes.sweep import sweep_run
from runner.sessions.passing import passing_name
from runner.testing.scripted import ScriptedAgent


async def test_a_config_is_a_file_a_record_or_nothing(tmp_path):
    (tmp_path / "runner.toml").write_text('default_agent = "codex"\ngrace = "1s"\n')
    async with runner.open_runner(tmp_path / "runner.toml", state=tmp_path / "s") as r:
        assert ("codex", 1.0) == (r.config.default_agent, r.config.grace)
    async with runner.open_runner(runner.RunnerConfig(grace=2.0), state=tmp_path / "s") as r:
        assert 2.0 == r.config.grace
    async with runner.open_runner(state=tmp_path / "s") as r:
        assert runner.RunnerConfig() == r.config
        assert str(tmp_path / "s") in repr(r)


async def test_a_broken_config_is_one_error_before_anything_is_made(tmp_path):
    (tmp_path / "runner.toml").write_text("gracee = 1\n")

    with pytest.raises(ConfigError, match="runner.toml:1: gracee: .*grace"):
        async with runner.open_runner(tmp_path / "runner.toml", state=tmp_path / "s"):
            pytest.fail("it was opened")

    assert not (tmp_path / "s").exists()


async def test_the_state_directory_is_the_argument_then_the_config_then_the_platforms(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    config = runner.RunnerConfig(state=str(tmp_path / "config"))
    async with runner.open_runner(config, state=tmp_path / "argument") as r:
        assert str(tmp_path / "argument") == r.state
    async with runner.open_runner(config) as r:
        assert str(tmp_path / "config") == r.state
    async with runner.open_runner() as r:
        assert str(tmp_path / "xdg/runner") == r.state
        assert 0o700 == os.stat(r.state).st_mode & 0o777


async def test_a_state_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="state directory .*file/s' cannot be made"):
        async with runner.open_runner(state=tmp_path / "file/s"):
            pytest.fail("it was opened")


async def test_an_error_of_the_block_leaves_it_bare(tmp_path):
    with pytest.raises(ZeroDivisionError):
        async with runner.open_runner(state=tmp_path) as r:
            await r.scope(tmp_path / "w").write("a", "b")
            raise ZeroDivisionError


async def test_a_cancelled_block_leaves_no_process(tmp_path):
    with trio.fail_after(30), trio.CancelScope() as cancel_scope:
        async with runner.open_runner(state=tmp_path / "s") as r, trio.open_nursery() as nursery:
            scope = r.scope(tmp_path / "w")
            nursery.start_soon(scope.exec, "echo $$ > pid; sleep 1000")
            while not await scope.exists("pid") or not await scope.read("pid"):
                await trio.lowlevel.checkpoint()
            cancel_scope.cancel()

    assert not Path(f"/proc/{(tmp_path / 'w/pid').read_text().strip()}").exists()


@pytest.mark.parametrize("durable", [True, False])
async def test_a_runner_that_is_cancelled_in_a_turn_is_left_at_once(tmp_path, durable):
    # The session's closing asks its supervisor from behind a shield, when that is cancelled already.
    with trio.fail_after(15), trio.CancelScope() as cancel_scope:
        async with runner.open_runner(state=tmp_path / "s") as r, trio.open_nursery() as nursery:
            scope = r.scope(tmp_path)

            async def cancel_when_it_runs():
                while not await scope.exists("there"):
                    await trio.lowlevel.checkpoint()
                cancel_scope.cancel()

            nursery.start_soon(cancel_when_it_runs)
            async with r.session(scope, "shell", durable=durable) as session:
                await session.send("touch there; sleep 1000")

    assert cancel_scope.cancelled_caught


async def test_leaving_drains_what_is_asked_for(tmp_path):
    said = []

    async def ask(scope):
        said.append((await scope.exec("sleep 0.2; echo drained")).stdout)

    async with trio.open_nursery() as nursery, runner.open_runner(state=tmp_path / "s") as r:
        scope = r.scope(tmp_path / "w")
        nursery.start_soon(ask, scope)
        while not r.statistics().workers.actors:
            await trio.lowlevel.checkpoint()

    assert ["drained\n"] == said
    with pytest.raises(SupervisorClosed):
        await scope.exists("a")


async def test_a_scope_of_a_scope_cannot_leave_it_by_a_link(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("s")
    (tmp_path / "w").mkdir()
    (tmp_path / "w/link").symlink_to(tmp_path / "outside")
    (tmp_path / "w/real").mkdir()
    (tmp_path / "w/inner").symlink_to("real")
    async with runner.open_runner(state=tmp_path / "s") as r:
        outer = r.scope(tmp_path / "w")

        with pytest.raises(PathEscapes):
            await outer.scope("link").read("secret")
        with pytest.raises(PathEscapes):
            await outer.scope("link").write("secret", "x")
        with pytest.raises(InvalidPath):
            outer.scope("../outside")
        await outer.scope("inner").write("a", "b")

    assert "b" == (tmp_path / "w/real/a").read_text()
    assert "s" == (tmp_path / "outside/secret").read_text()


async def test_an_observation_of_a_scope_that_is_not_there_makes_nothing(tmp_path):
    async with runner.open_runner(state=tmp_path / "s") as r:
        scope = r.scope(tmp_path / "typo")

        assert not await scope.exists("a")
        with pytest.raises(NotFound):
            await scope.read("a")
        with pytest.raises(NotFound):
            await scope.ls()

    assert not (tmp_path / "typo").exists()


async def test_a_scope_needs_a_path(tmp_path):
    async with runner.open_runner(state=tmp_path) as r:
        with pytest.raises(ConfigError, match="needs a path"):
            r.scope("")


async def test_a_scope_can_be_used_while_a_session_works_in_it(tmp_path):
    async with runner.open_runner(state=tmp_path / "s") as r:
        scope = r.scope(tmp_path / "w")
        await scope.mkdir(".")
        async with r.session(scope) as session, trio.open_nursery() as nursery:
            nursery.start_soon(session.send, "while ! test -e go; do sleep 0.01; done; echo went")
            await scope.write("go", "")


async def test_a_session_takes_a_driver_of_ones_own_and_the_scopes_variables(tmp_path):
    async with runner.open_runner(state=tmp_path / "s") as r:
        scope = r.scope(tmp_path / "w", env={"COLOUR": "green"})
        await scope.mkdir(".")
        async with r.session(scope, agent=ScriptedAgent()) as session:
            assert "hello" == (await session.send("!say hello")).final_message
        async with r.session(scope, agent="shell", durable=False) as session:
            assert "green" == (await session.send("echo $COLOUR")).final_message


async def test_a_batch_runs_through_the_api(tmp_path):
    batch = runner.Batch(
        name="tiny",
        prompt="echo {{ row.n }}",
        verify=("test {{ row.n }} = 1",),
        data=None,
        repeat=1,
        agent="shell",
    )
    async with runner.open_runner(state=tmp_path / "s") as r:
        with pytest.raises(ConfigError, match="row"):
            await r.run_batch(batch, output=tmp_path / "out")
        assert not (tmp_path / "out").exists()

        report = await r.run_batch(
            runner.Batch(name="tiny", prompt="echo {{ id }}", repeat=3), output=tmp_path / "out"
        )

    assert {"ok": 3} == report.counts
    assert 0 == report.exit_code
    assert 3 == len((tmp_path / "out/results.jsonl").read_text().splitlines())


VICTIM = """
import sys, trio, runner

async def main():
    async with runner.open_runner(state=sys.argv[1]) as r:
        scope = r.scope(sys.argv[2])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scope.exec, "setsid sh -c 'echo $$ > pid; sleep 1000'; sleep 1000")
            while not await scope.exists("pid") or not await scope.read("pid"):
                await trio.lowlevel.checkpoint()
            print("there", flush=True)

trio.run(main)
"""


async def test_what_a_killed_run_left_is_swept_and_its_marker_is_removed(tmp_path):
    argv = [sys.executable, "-c", VICTIM, str(tmp_path / "s"), str(tmp_path / "w")]
    victim = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert "there\n" == await trio.to_thread.run_sync(victim.stdout.readline)
    finally:
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
    (run_id,) = os.listdir(tmp_path / "s/runs")

    async with runner.open_runner(state=tmp_path / "s"):
        assert run_id not in os.listdir(tmp_path / "s/runs")

    pid = (tmp_path / "w/pid").read_text().strip()
    with trio.fail_after(20):
        while Path(f"/proc/{pid}").exists():
            await trio.sleep(0.01)
    assert 0 == sweep_run(run_id)


async def test_what_sessions_that_are_not_kept_had_goes_with_their_run(tmp_path):
    sessions = tmp_path / "s/sessions"
    async with runner.open_runner(state=tmp_path / "s"):
        (run,) = (tmp_path / "s/runs").iterdir()
        mine, dead, kept = (
            sessions / name for name in (passing_name(run.name, 0), passing_name("gone", 0), "kept")
        )
        for each in (mine, dead, kept):
            (each / "home").mkdir(parents=True)

        async with runner.open_runner(state=tmp_path / "s"):
            assert [mine.exists(), dead.exists(), kept.exists()] == [True, False, True]

    assert [kept] == list(sessions.iterdir())
