"""Who is told of what is done in a workspace: hooks, the audit; and programs that are not trio's."""

import asyncio
import os

import pytest

import runner
import runner.asyncio
from runner import blocking
from runner.errors import HookVeto, NotFound, WorkspaceNotFound


async def test_hooks_are_asked_before_and_told_afterwards(project, base):
    told = []
    hooks = project.hooks
    hooks.on_workspace_create = lambda ws: told.append(("create", ws.name))
    hooks.on_snapshot = lambda ws, snapshot: told.append(("snapshot", ws.name, snapshot.name))
    hooks.on_restore = lambda _ws, snapshot: told.append(("restore", snapshot.name))
    hooks.on_command = lambda _ws, command: told.append(("command", *command))
    hooks.on_delete = lambda ws: told.append(("delete", ws.name))

    @hooks.before_workspace_create
    async def no_mains(name):
        return name != "main"

    ws = await project.create("one")
    await ws.snapshots.create("s")
    await ws.exec(["touch", "x"])
    await ws.snapshots.restore("s", force=True)
    await project.delete("one", force=True)
    with pytest.raises(HookVeto, match="no_mains"):
        await project.create("main")

    assert [
        ("create", "one"),
        ("snapshot", "one", "s"),
        ("command", "touch", "x"),
        ("restore", "s"),
        ("delete", "one"),
    ] == told
    assert [] == await project.list()
    assert [] == os.listdir(f"{project.directory}/workspaces")


async def test_a_failing_hook_loses_nothing_and_is_in_the_audit(project):
    def fail(*_about):
        raise ZeroDivisionError("in a hook")

    project.hooks.on_snapshot = project.hooks.on_before_snapshot = fail
    ws = await project.create("one")
    await ws.snapshots.create("s")
    rows = await ws.audit.logs(operation="hook")

    assert ["before_snapshot", "snapshot"] == [each.details["event"] for each in rows]
    assert "ZeroDivisionError" in str(rows[0].details["reason"])
    assert ["s"] == [each.name for each in await ws.snapshots.list()]


async def test_a_hook_has_its_intent_before_it_and_what_it_refused_is_in_the_audit(project):
    found = []
    ws = await project.create("one")
    store = await project._shared.open()

    def refuse(*_about):
        found.extend(store.intents.rows(workspace=ws.id))
        return False

    project.hooks.on_before_snapshot = refuse
    with pytest.raises(HookVeto):
        await ws.snapshots.create("s")
    project.hooks.on_before_snapshot = lambda *_about: None
    await ws.snapshots.create("s")
    (row,) = await ws.audit.logs(operation="hook")

    assert [("hook", "before_snapshot")] == [
        (each.operation, each.details["details"]["event"]) for each in found
    ]
    assert (False, "before_snapshot", "HookVeto") == (
        row.ok,
        row.details["event"],
        row.details["error"],
    )
    assert [] == [*store.intents.rows()]


async def test_a_hook_that_is_a_file_refuses_a_delete(project):
    ws = await project.create("one")
    await ws.write("x", "1")
    os.mkdir(f"{project.directory}/hooks")
    path = f"{project.directory}/hooks/pre-delete"
    with open(path, "w") as file:
        file.write('#!/bin/sh\necho "not $1" >&2\nexit 1\n')
    os.chmod(path, 0o755)
    with pytest.raises(HookVeto, match="not one"):
        await project.delete("one", force=True)

    assert "1" == await ws.read("x")


async def test_hooks_that_are_files_are_told_what_it_is_about(project, tmp_path):
    ws = await project.create("one", base="empty")
    os.mkdir(f"{project.directory}/hooks")
    told = tmp_path / "told"
    for name, what in (("command", "COMMAND"), ("snapshot", "SNAPSHOT")):
        path = f"{project.directory}/hooks/post-{name}"
        with open(path, "w") as file:
            file.write(f'#!/bin/sh\necho "{name}: $RUNNER_HOOK_{what}" >> {told}\n')
        os.chmod(path, 0o755)
    await ws.exec(["echo", "a b"])
    await ws.snapshots.create("s")

    assert "command: echo 'a b'\nsnapshot: s\n" == told.read_text()


async def test_what_is_done_stands_in_the_audit_with_who_did_it(project, way):
    ws = await project.create("one", way=way, agent_id="agent-7")
    await ws.write("x", "1")
    await ws.exec(["true"])
    async with ws.batch() as batch:
        await batch.write("y", "2")
        await batch.remove("x")
    await ws.scope("src").write("b.py", "3")
    await ws.snapshots.create("s")
    await ws.snapshots.restore("s")
    await ws.rename("two")
    with pytest.raises(NotFound):
        await ws.edit("none", "a", "b")
    rows = await ws.audit.logs()
    done = [(each.operation, each.path) for each in rows]

    assert ("create", "") in done
    assert ("write", "x") in done
    assert ("write", "src/b.py") in done
    assert {"exec", "batch", "snapshot", "restore", "rename"} <= {each for each, _ in done}
    assert {"agent-7"} == {each.agent for each in rows}
    assert (await project.audit.verify()).ok


async def test_without_an_audit_nothing_is_written_down(tmp_path, base):
    options = runner.RunnerConfig(workspace=runner.config.WorkspaceConfig(audit=False, way="copy"))
    async with runner.open_runner(options, state=tmp_path / "state") as r:
        project = r.project(base)
        ws = await project.create("one")
        await ws.write("x", "1")

        assert "copy" == ws.way
        assert [] == await project.audit.logs()


async def test_patterns_and_places_of_the_configuration_count(tmp_path, base, said):
    held = runner.config.WorkspaceConfig(place=str(tmp_path / "elsewhere"), ignore=("*.log",))
    options = runner.RunnerConfig(workspace=held)
    async with runner.open_runner(options, state=tmp_path / "state") as r:
        project = r.project(base)
        ws = await project.create("one")
        await ws.write("a.log", "1")
        await ws.write("a.txt", "1")

        assert ["A a.txt"] == said((await ws.status()).changes)
        assert project.directory.startswith(str(tmp_path / "elsewhere"))
    wrong = runner.RunnerConfig(workspace=runner.config.WorkspaceConfig(ignore=("../a",)))
    with pytest.raises(runner.ConfigError, match=r"workspace\.ignore"):
        async with runner.open_runner(wrong, state=tmp_path / "state"):
            pass


def test_a_program_without_trio_has_the_same(tmp_path, base):
    told = []
    with blocking.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        project.hooks.on_snapshot = lambda ws, snapshot: told.append(snapshot.name)
        ws = project.create("one")
        ws.write("x", "12")
        ws.snapshots.create("s")
        with ws.batch() as batch:
            batch.write("y", "3")
        with ws.snapshots.temp() as taken, project.temp(snapshot=f"one/{taken.name}") as other:
            assert "12" == other.read("x")
        done = ws.batch_process(["x", "y"], lambda path: len(ws.read(path)))

        assert [2, 1] == [each.value for each in done]
        assert ["A y"] == [str(each) for each in ws.diff("s")]
        assert ws.exists()
        assert "s" in told
        project.delete("one", force=True)
        with pytest.raises(WorkspaceNotFound):
            ws.read("x")


def test_a_program_of_asyncio_has_the_same(tmp_path, base):
    async def main():
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            ws = await r.project(base).create("one")
            await ws.write("x", "1")
            await ws.snapshots.create("s")
            return [str(each) for each in (await ws.status()).changes]

    assert ["A x"] == asyncio.run(main())


async def test_a_session_works_in_a_workspace_that_nobody_has_used_yet(r, project, way, said):
    ws = await project.create("one", way=way)
    async with r.session(ws.scope(), "shell") as session:
        turn = await session.send("cat b.txt; echo 1 > x")

    assert "b" == turn.final_message
    assert ["A x"] == said((await ws.status()).changes)
