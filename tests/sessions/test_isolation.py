"""A session in a scope that holds its programs is held as well."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import runner
from runner.messages import Isolation
from runner.processes.isolation.seccomp import ARCHITECTURES

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
