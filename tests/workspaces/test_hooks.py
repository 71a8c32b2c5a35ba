from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncIterator, Callable

import pytest
import trio

from runner.errors import ConfigError, HookVeto
from runner.processes.host import ProcessHost
from runner.workspaces.hook_files import HookFiles, Occasion, more_of
from runner.workspaces.hooks import EVENTS, Hooks


@pytest.fixture
def occasion(tmp_path) -> Occasion:
    tree = tmp_path / "tree"
    tree.mkdir()
    return Occasion(name="ws", path=str(tree), cwd=str(tmp_path), more={"message": "why"})


@pytest.fixture
async def host() -> AsyncIterator[ProcessHost]:
    made = ProcessHost()
    yield made
    await made.aclose()


@pytest.fixture
def script(tmp_path) -> Callable[..., str]:
    def make(name: str, text: str, mode: int = 0o755) -> str:
        path = tmp_path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(mode)
        return str(path)

    return make


async def forever(_ws: object) -> None:
    await trio.sleep_forever()


# ---------------------------------------------------------------- functions


async def test_an_attribute_is_the_one_hook_in_its_place_and_decorators_add_more(occasion):
    hooks, told = Hooks(), []
    hooks.on_commit = lambda _ws, message: told.append(("first", message))
    hooks.on_commit = lambda _ws, message: told.append(("second", message))

    @hooks.commit
    def one(_ws, message):
        told.append(("one", message))

    @hooks.commit
    async def other(_ws, message):
        await trio.lowlevel.checkpoint()
        told.append(("other", message))

    assert await hooks.after("commit", occasion, "ws", "why") == ()
    assert told == [("second", "why"), ("one", "why"), ("other", "why")]


async def test_a_place_can_be_read_and_emptied(occasion):
    hooks, told = Hooks(), []
    hooks.on_delete = told.append
    assert hooks.has("delete")

    assert hooks.on_delete is not None
    hooks.on_delete = None
    await hooks.after("delete", occasion, "ws")

    assert told == []
    assert hooks.on_delete is None
    hooks.on_delete = None  # once more is nothing
    assert not hooks.has("delete")


async def test_a_hook_before_it_can_refuse_it_by_raising_or_by_false(occasion):
    hooks, asked = Hooks(), []

    @hooks.before_restore
    async def grant(_ws, _snapshot):
        asked.append("grant")

    @hooks.before_restore
    def refuse(_ws, snapshot):
        if snapshot == "bad":
            raise HookVeto("refuse", "not that one")
        return snapshot != "worse"

    @hooks.before_restore
    def last(_ws, _snapshot):
        asked.append("last")

    assert await hooks.before("restore", occasion, "ws", "good") == ()
    assert asked == ["grant", "last"]
    with pytest.raises(HookVeto, match="not that one"):
        await hooks.before("restore", occasion, "ws", "bad")
    with pytest.raises(HookVeto, match="refuse refuses it"):
        await hooks.before("restore", occasion, "ws", "worse")
    assert asked == ["grant", "last", "grant", "grant"]


async def test_a_refusal_counts_though_a_task_of_the_hook_raised_it(occasion):
    hooks = Hooks()

    async def refuse():
        raise HookVeto("refuse", "not now")

    async def asks_two(_ws):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(refuse)

    hooks.on_before_delete = hooks.on_delete = asks_two
    with pytest.raises(HookVeto, match="refuse refuses it: not now"):
        await hooks.before("delete", occasion, "ws")
    (failure,) = await hooks.after("delete", occasion, "ws")
    assert "it is too late to refuse it: not now" == failure.reason


@pytest.mark.parametrize(
    ("event", "about", "more"),
    [
        ("commit", ("ws", "why"), {"message": "why"}),
        ("command", ("ws", "echo hi"), {"command": "echo hi"}),
        ("command", ("ws", ("echo", "a b")), {"command": "echo 'a b'"}),
        ("snapshot", ("ws", None), {}),
        ("restore", ("ws", Occasion(name="s", path="", cwd="")), {"snapshot": "s"}),
        ("sync", ("ws", "push"), {"direction": "push"}),
        ("delete", ("ws",), {}),
    ],
)
def test_a_file_is_told_what_an_event_is_about(event, about, more):
    assert more == more_of(event, about)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_that_fails_is_logged_and_answered_and_loses_nothing(
    occasion, caplog, is_async
):
    hooks, told = Hooks(), []

    def fails(_ws):
        raise RuntimeError("oh")

    async def fails_later(_ws):
        await trio.lowlevel.checkpoint()
        raise RuntimeError("oh")

    hooks.before_snapshot(fails_later if is_async else fails)
    hooks.snapshot(fails_later if is_async else fails)
    hooks.snapshot(told.append)

    before = await hooks.before("snapshot", occasion, "ws")
    after = await hooks.after("snapshot", occasion, "ws")

    assert [(each.event, each.reason) for each in (*before, *after)] == [
        ("before_snapshot", "RuntimeError: oh"),
        ("snapshot", "RuntimeError: oh"),
    ]
    assert told == ["ws"]
    assert "RuntimeError: oh" in caplog.text


async def test_after_it_a_veto_comes_too_late(occasion):
    hooks = Hooks()

    @hooks.sync
    def late(_ws):
        raise HookVeto("late", "no")

    (failure,) = await hooks.after("sync", occasion, "ws")

    assert failure.reason == "it is too late to refuse it: no"


async def test_a_hook_that_takes_too_long_is_ended_and_fails(occasion):
    hooks = Hooks(deadline=0.05)
    hooks.command(forever)

    (failure,) = await hooks.after("command", occasion, "ws")

    assert failure.reason == "it took more than 0.05 seconds"


async def test_who_leaves_meanwhile_leaves_at_once(occasion):
    hooks = Hooks()
    hooks.command(forever)

    with trio.move_on_after(0.05) as cancel_scope:
        await hooks.after("command", occasion, "ws")

    assert cancel_scope.cancelled_caught


def test_what_is_no_event_or_no_hook_is_refused_with_what_would_be_one():
    hooks = Hooks()

    with pytest.raises(ConfigError, match="the events are workspace_create"):
        hooks.on_comit = print
    with pytest.raises(ConfigError, match="cannot be called"):
        hooks.on_commit = 5
    with pytest.raises(ConfigError, match="cannot be called"):
        hooks.commit(5)
    with pytest.raises(ConfigError, match="`@hooks.before_commit` adds one"):
        hooks.before_commit = print


def test_every_event_has_its_places():
    for event in EVENTS:
        for name in (event, f"before_{event}", f"on_{event}", f"on_before_{event}"):
            assert hasattr(Hooks, name)


# ---------------------------------------------------------------- executable files


async def test_files_get_the_name_and_the_path_and_say_what_it_is_about_in_the_environment(
    host, script, tmp_path, occasion
):
    out = tmp_path / "out"
    line = f'echo "$0 $1 $2 $RUNNER_EVENT $RUNNER_HOOK_MESSAGE $RUNNER_WORKSPACE $PWD" > {out}\n'
    path = script("post-commit", line)
    hooks = Hooks(HookFiles(host, [tmp_path / "hooks"]))

    assert hooks.has("commit")
    assert await hooks.after("commit", occasion, "ws", "why") == ()
    assert out.read_text() == f"{path} ws {occasion.path} commit why ws {tmp_path}\n"


@pytest.mark.parametrize("name", ["pre-workspace_create", "pre-workspace-create"])
async def test_a_file_before_it_refuses_by_its_exit_code_and_its_stderr_says_why(
    host, script, tmp_path, occasion, name
):
    path = script(name, 'echo "not today" >&2; exit 3\n')
    hooks = Hooks(HookFiles(host, [tmp_path / "none", tmp_path / "hooks"]))

    with pytest.raises(HookVeto) as caught:
        await hooks.before("workspace_create", occasion, "ws")

    assert (caught.value.hook, caught.value.reason) == (path, "not today")


async def test_a_file_that_agrees_lets_it_go_on(host, script, tmp_path, occasion):
    script("pre-delete", "exit 0\n")

    await Hooks(HookFiles(host, [tmp_path / "hooks"])).before("delete", occasion, "ws")


async def test_a_file_that_fails_afterwards_loses_nothing(host, script, tmp_path, occasion):
    path = script("post-sync", "exit 4\n")
    hooks = Hooks(HookFiles(host, [tmp_path / "hooks"]))

    (failure,) = await hooks.after("sync", occasion, "ws")

    assert (failure.hook, failure.reason) == (path, "it ended with exit code 4")


async def test_a_file_that_takes_too_long_is_ended_and_refuses(host, script, tmp_path, occasion):
    script("pre-commit", "sleep 60\n")
    files = HookFiles(host, [tmp_path / "hooks"], deadline=0.1)
    begun = time.monotonic()

    with pytest.raises(HookVeto, match="more than 0.1 seconds"):
        await files.ask("commit", occasion)

    assert time.monotonic() - begun < 30


async def test_a_file_that_cannot_be_started_refuses(host, script, tmp_path, occasion):
    path = script("pre-commit", "")
    with open(path, "w") as file:
        file.write("#!/nowhere/at/all\n")

    with pytest.raises(HookVeto):
        await HookFiles(host, [tmp_path / "hooks"]).ask("commit", occasion)


async def test_a_file_that_is_not_executable_is_no_hook_and_that_is_said_once(
    host, script, tmp_path, occasion, caplog
):
    script("pre-commit", "exit 1\n", mode=0o644)
    files = HookFiles(host, [tmp_path / "hooks"])
    if os.access(tmp_path / "hooks" / "pre-commit", os.X_OK):  # pragma: no cover - no such system
        pytest.skip("everything is executable here")

    with caplog.at_level(logging.WARNING):
        await files.ask("commit", occasion)
        await files.ask("commit", occasion)

    assert caplog.text.count("is not executable") == 1


async def test_without_a_host_or_a_directory_there_are_no_files(host, tmp_path, occasion):
    assert not HookFiles(None, [tmp_path])
    assert not HookFiles(host, [tmp_path / "none"])
    assert not Hooks().has("commit")
    assert await HookFiles(None, [tmp_path]).tell("commit", occasion) == ()


async def test_a_variable_that_no_environment_takes_is_made_one_that_it_does(
    host, script, tmp_path, occasion
):
    out = tmp_path / "out"
    script("post-commit", f'printf "%s" "$RUNNER_HOOK_MESSAGE" > {out}\n')
    odd = Occasion(name="ws", path=occasion.path, cwd=occasion.cwd, more={"message": "a\0b"})

    assert await HookFiles(host, [tmp_path / "hooks"]).tell("commit", odd) == ()
    assert out.read_text() == "a\ufffdb"
