"""Permissions and the lint of scopes, as `Runner.scope` and `Scope.scope` give them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import runner
from runner.errors import ConfigError, DangerousCommand, Denied
from runner.scopes.permissions import Permissions, Rule, Rules, Ruleset
from runner.scopes.safety import Lint


@pytest.fixture
async def r(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        yield r


async def test_a_scope_without_permissions_may_do_everything_in_it(r, tmp_path):
    scope = r.scope(tmp_path / "w")
    await scope.write(".env", "x")

    assert await scope.read(".env") == "x"


async def test_a_scope_keeps_its_permissions(r, tmp_path):
    scope = r.scope(tmp_path / "w")
    await scope.write("a", "x")
    await scope.write(".env", "x")
    reading = r.scope(tmp_path / "w", permissions="read-only")

    assert await reading.read("a") == "x"
    assert [each.name for each in (await reading.ls()).entries] == ["a"]
    with pytest.raises(Denied) as caught:
        await reading.write("a", "y")
    assert caught.value.scope == str(tmp_path / "w")
    with pytest.raises(Denied):
        await reading.exec("true")
    with pytest.raises(Denied):
        await reading.read(".env")


async def test_a_scope_in_a_scope_only_narrows(r, tmp_path):
    outer = r.scope(
        tmp_path / "w",
        permissions=Ruleset(
            default="allow", write=Rules(rules=(Rule(pattern="in/locked/**", action="deny"),))
        ),
    )
    await outer.mkdir("in")
    (tmp_path / "w" / "way").symlink_to("in")
    for path in ("in", "way"):
        inner = outer.scope(
            path, permissions=Ruleset(default="allow", remove=Rules(default="deny"))
        )
        await inner.write("free", "x")
        with pytest.raises(Denied):
            await inner.write("locked/x", "x")
        with pytest.raises(Denied):
            await inner.remove("free")
        with pytest.raises(Denied):
            await inner.scope(".", permissions="permissive").write("locked/x", "x")
    await outer.remove("in/free")


async def test_scopes_with_other_permissions_share_the_order_of_their_directory(r, tmp_path):
    free = r.scope(tmp_path / "w")
    bound = r.scope(tmp_path / "w", permissions="permissive")
    await free.write("n", "0")

    async def count(scope):
        for _ in range(10):
            await scope.exec("echo $(( $(cat n) + 1 )) > n")

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(count, free)
            nursery.start_soon(count, bound)

    assert await free.read("n") == "20\n"


async def test_who_is_asked_is_asked_in_the_callers_task(r, tmp_path):
    tasks, decisions = [], []

    def ask(question):
        tasks.append(trio.lowlevel.current_task())
        return True

    permissions = Permissions(rules=runner.PRESETS["default"], ask=ask, record=decisions.append)
    await r.scope(tmp_path / "w", permissions=permissions).write("a", "x")

    assert tasks == [trio.lowlevel.current_task()]
    assert [(each.op, each.by) for each in decisions] == [("write", "answer")]


async def test_an_unknown_preset_is_told_at_once(r):
    with pytest.raises(ConfigError, match="read-only"):
        r.scope("w", permissions="read_only")
    with pytest.raises(ConfigError, match="read-only"):
        r.scope("w").scope("x", permissions="read_only")


async def test_an_agent_is_not_let_into_a_scope_that_allows_no_programs(r, tmp_path):
    for permissions in ("read-only", "default", "strict"):
        with pytest.raises(ConfigError, match="is one that they cannot hold"):
            r.session(r.scope(tmp_path / "w", permissions=permissions), agent="shell")
    (tmp_path / "w").mkdir()
    async with r.session(
        r.scope(tmp_path / "w", permissions="permissive"), agent="shell"
    ) as session:
        assert (await session.send("echo hi")).ok


async def test_who_is_asked_need_be_neither_hashable_nor_comparable(r, tmp_path):
    class Desk(list):
        def ask(self, question):
            self.append(question)
            return True

    desk = Desk()
    permissions = Permissions(rules=runner.PRESETS["default"], ask=desk.ask, record=desk.append)
    await r.scope(tmp_path / "w", permissions=permissions).write("a", "x")

    assert len(desk) == 2


# ---------------------------------------------------------------- the lint


async def test_the_lint_is_on_by_default_and_refuses_accidents(r, tmp_path):
    scope = r.scope(tmp_path / "w")
    with pytest.raises(DangerousCommand) as caught:
        await scope.exec("rm -rf *")

    error = caught.value
    assert (error.op, error.path, error.scope, error.rule) == (
        "exec",
        "rm -rf *",
        str(tmp_path / "w"),
        "rm",
    )
    assert error.reason == "dangerous command 'rm' is not allowed"
    assert "working directory" in error.hint
    assert (await scope.exec("mkdir -p a && cd a && echo $(pwd)")).ok
    assert not scope.lints[0].allowed


async def test_the_lint_can_be_off_or_strict(r, tmp_path):
    off = r.scope(tmp_path / "w", lint="off")
    strict = r.scope(tmp_path / "w", lint="strict")
    await off.write("a", "x")

    assert (await off.exec("rm -rf *")).ok
    assert not await off.exists("a")
    with pytest.raises(DangerousCommand, match="Directory change"):
        await strict.exec("cd a")


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("answer", [True, False, None])
async def test_on_dangerous_is_told_and_true_lets_it_run(r, tmp_path, answer, is_async):
    told = []

    def on_dangerous(danger):
        told.append(danger)
        return answer

    async def later(danger):
        await trio.lowlevel.checkpoint()
        return on_dangerous(danger)

    scope = r.scope(tmp_path / "w", on_dangerous=later if is_async else on_dangerous)
    if answer:
        assert (await scope.exec("echo 'echo hi' | sh")).stdout == "hi\n"
    else:
        with pytest.raises(DangerousCommand):
            await scope.exec("echo 'echo hi' | sh")
    assert [each.rule for each in told] == ["piped-shell"]


async def test_what_is_allowed_passes(r, tmp_path):
    lint = Lint(policy="strict", allowed=(re.compile(r"^eval "),))
    scope = r.scope(tmp_path / "w", lint=lint)

    assert (await scope.exec("eval 'echo hi'")).stdout == "hi\n"


async def test_a_scope_in_a_scope_is_looked_at_by_both_lints(r, tmp_path):
    outer = r.scope(tmp_path / "w")
    inner = outer.scope("x", lint="strict")

    with pytest.raises(DangerousCommand):
        await outer.scope("x", lint="off").exec("rm -rf *")
    with pytest.raises(DangerousCommand):
        await inner.exec("cd a")
    with pytest.raises(DangerousCommand):
        await outer.scope("x", lint="strict", on_dangerous=lambda _: True).exec("rm -rf *")
    assert (await outer.scope("x", lint="strict", on_dangerous=lambda _: True).exec("cd .")).ok


def test_the_readmes_example_does_what_it_says(tmp_path):
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    code = readme.partition("<!-- permissions -->\n```python\n")[2].partition("```")[0]
    env = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    done = subprocess.run(
        [sys.executable, "-c", code + "print([each.by for each in decisions])"],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )

    first, decisions = done.stdout.splitlines()
    assert first.startswith("write 'app.py' in scope 'work/site/src': write is denied for")
    assert decisions == "['rule', 'answer', 'default']"
    assert (tmp_path / "work/site/notes.txt").read_text() == "x\n"
