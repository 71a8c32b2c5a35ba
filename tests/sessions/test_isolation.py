"""A session in a scope that holds its programs is held as well."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest
import trio

import runner
from runner.messages import Isolation
from runner.processes.isolation.seccomp import ARCHITECTURES

FULL = "danger-full-access"
HELD = Isolation(mode="bwrap", required=True)


@pytest.fixture
async def r(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        if (await r.scope(str(tmp_path)).exec(["true"])).exit_code:
            raise AssertionError
        yield r


async def held_scope(r, tmp_path):
    scope = r.scope(str(tmp_path / "work"), isolation=HELD)
    try:
        await scope.exec("true")
    except runner.ExecFailed as error:
        pytest.skip(str(error))
    return scope


@pytest.mark.parametrize("durable", [True, False])
async def test_what_an_agent_does_stays_in_its_scope(r, tmp_path, durable) -> None:
    (tmp_path / "secret").write_text("nobody's business")
    scope = await held_scope(r, tmp_path)

    async with r.session(scope, "shell", durable=durable) as session:
        turn = await session.send("echo made > file; cat ../secret; ls /proc | grep -c '^[0-9]'")

    assert (await scope.read("file")) == "made\n"
    assert "nobody" not in turn.final_message
    assert os.listdir(tmp_path / "work") == ["file"]


async def test_an_exec_is_held_and_says_so_and_a_scope_inside_is_held_as_well(r, tmp_path) -> None:
    scope = await held_scope(r, tmp_path)
    await scope.mkdir("sub")
    await scope.write("beside", "text")

    outer = await scope.exec("cat beside")
    inner = await scope.scope("sub").exec("cat ../beside; echo x > f")

    assert outer.isolation.mode == inner.isolation.mode == "bwrap"
    assert outer.stdout == "text"
    assert inner.stdout == ""
    assert await scope.exists("sub/f")


async def test_a_session_alone_can_be_held_in_a_scope_that_is_not(r, tmp_path) -> None:
    (tmp_path / "secret").write_text("nobody's business")
    await held_scope(r, tmp_path)
    scope = r.scope(str(tmp_path / "work"))

    async with r.session(scope, "shell", isolation=HELD) as session:
        turn = await session.send("echo made > file; cat ../secret; echo x > ../beside")
    free = await scope.exec("cat ../secret")

    assert "bwrap" == turn.isolation.mode
    assert "nobody" not in turn.final_message
    assert ("nobody's business", None) == (free.stdout, free.isolation)
    assert ["file"] == os.listdir(tmp_path / "work")
    assert not (tmp_path / "beside").exists()


async def test_a_session_by_itself_is_held(r, tmp_path) -> None:
    await held_scope(r, tmp_path)
    made = runner.make_session(
        tmp_path / "work", agent="shell", isolation=HELD, state=tmp_path / "state2"
    )
    async with made as session:
        turn = await session.send("echo x > ../beside; echo over")

    assert ("over", "bwrap") == (turn.final_message, turn.isolation.mode)
    assert not (tmp_path / "beside").exists()


async def test_the_isolation_of_a_session_only_narrows_that_of_its_scope(r, tmp_path) -> None:
    (tmp_path / "more").mkdir()
    scope = await held_scope(r, tmp_path)
    wider = Isolation(mode="none", network="full", writable=(str(tmp_path / "more"),))

    async with r.session(scope, "shell", isolation=wider) as session:
        turn = await session.send(f"echo x > {tmp_path}/more/file; echo over")

    assert ("bwrap", "none") == (turn.isolation.mode, turn.isolation.network)
    assert [] == os.listdir(tmp_path / "more")


async def test_what_cannot_hold_or_is_none_is_refused_before_anything_is_started(
    r, tmp_path
) -> None:
    scope = await held_scope(r, tmp_path)
    with pytest.raises(runner.ConfigError, match="`isolation` must be an Isolation, not 'bwrap'"):
        r.session(scope, "shell", isolation="bwrap")

    gone = attrs.evolve(HELD, readable=(str(tmp_path / "gone"),))
    for durable in (True, False):
        wide = r.scope(str(tmp_path / "work"))
        async with r.session(wide, "shell", isolation=gone, durable=durable) as session:
            with pytest.raises(runner.AgentUnavailable, match="gone"):
                await session.send("touch started")
    assert [] == os.listdir(tmp_path / "work")


async def test_a_program_that_is_not_to_be_seen_inside_is_refused_by_name(r, tmp_path) -> None:
    scope = await held_scope(r, tmp_path)
    program = tmp_path / "own" / "agent"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\ntouch started\n")
    program.chmod(0o755)
    agent = runner.CommandAgent(argv=(str(program),))

    async with r.session(scope, agent, isolation=HELD) as session:
        with pytest.raises(runner.AgentUnavailable, match="not to be seen inside.*`readable`"):
            await session.send("hi")
    assert [] == os.listdir(tmp_path / "work")


# ---------------------------------------------------------------- with the real programs


@pytest.fixture
async def provider(model_server):
    """The model server's address, at another address than this machine's own name for itself.

    What is asked for at that goes to no proxy.
    """
    port = urlsplit(model_server.url).port

    async def relay(ours):
        async with ours, await trio.open_tcp_stream("127.0.0.1", port) as theirs:
            async with trio.open_nursery() as nursery:

                async def pump(source, sink):
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        async for data in source:
                            await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump, ours, theirs)
                nursery.start_soon(pump, theirs, ours)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, relay, 0, host="127.0.0.2")
        (listener,) = await nursery.start(serve)
        yield f"127.0.0.2:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


@pytest.mark.real_agents
@pytest.mark.parametrize("kind", ["claude", "codex"])
async def test_a_real_agent_is_held_reaches_its_provider_and_goes_on_when_it_was_reaped(
    tmp_path, request, model_server, provider, kind
) -> None:
    program = request.getfixturevalue(f"{kind}_program")
    beside = {str(Path(program).parent)} | {
        str(each) for each in Path(os.path.realpath(program)).parents if each.name == "node_modules"
    }
    if kind == "claude":
        env = {**model_server.claude_env(), "ANTHROPIC_BASE_URL": f"http://{provider}"}
        agent = runner.ClaudeAgent(program=program, access=FULL, env=env)
    else:
        config = model_server.codex_config().replace(model_server.url, f"http://{provider}")
        env = model_server.codex_env()
        agent = runner.CodexAgent(program=program, access=FULL, env=env, config=config)
    held = attrs.evolve(HELD, network=(provider,), readable=tuple(beside))
    config = runner.RunnerConfig(idle_after_session=0.5)
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        await held_scope(r, tmp_path)
        free = r.scope(str(tmp_path / "work"))
        prompt = f"!run echo x > in; echo x > {tmp_path}/out; cat {__file__}\n!say done"
        async with r.session(free, agent, isolation=held, timeout=60.0) as session:
            turn = await session.send(prompt)
            with trio.fail_after(30):
                while session.statistics().pid is not None:
                    await trio.sleep(0.02)
            again = await session.send("!recall")
        kept = await free.exec("true")

    assert (True, "done") == (turn.ok, turn.final_message), turn
    assert again.ok, again
    assert "echo x > in" in again.final_message
    assert ("bwrap", "proxy", ()) == (
        turn.isolation.mode,
        turn.isolation.network,
        turn.isolation.lacking,
    )
    assert turn.isolation == again.isolation
    assert ["in"] == os.listdir(tmp_path / "work")
    assert not (tmp_path / "out").exists()
    assert None is kept.isolation


def test_the_readmes_example_runs(tmp_path) -> None:
    if platform.machine() not in ARCHITECTURES:
        pytest.skip("isolation is made for x86_64, aarch64 and riscv64")
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    code = readme.partition("<!-- isolation -->\n```python\n")[2].partition("```")[0]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}

    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )

    if "cannot be had here" in ended.stderr:
        pytest.skip(ended.stderr.splitlines()[-1])
    assert ended.returncode == 0, ended.stderr
    assert str(tmp_path / "work" / "held") in ended.stdout
    assert "Read-only file system" in ended.stdout
