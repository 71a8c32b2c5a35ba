"""Sync as a user has it: real workspaces of two states, real remotes between them."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio

import runner
from runner.agents.secret import Secret
from runner.errors import (
    ConfigError,
    HookVeto,
    RemoteRefused,
    RemoteUnreachable,
    SyncError,
    UncommittedChanges,
)
from runner.workspaces.project import Project
from runner.workspaces.workspace import Workspace

Open = Callable[[str], "AsyncIterator[Project]"]


@pytest.fixture
def place(tmp_path: Path) -> Callable[..., object]:
    """A project on another machine, so to say."""

    @asynccontextmanager
    async def place(name: str) -> AsyncIterator[Project]:
        base = tmp_path / name / "base"
        base.mkdir(parents=True, exist_ok=True)
        async with runner.open_runner(state=tmp_path / name / "state") as opened:
            yield opened.project(base)

    return place


async def until(is_so: Callable[[], object]) -> None:
    """Wait for a fact."""
    with trio.fail_after(30):
        while not await is_so():
            await trio.sleep(0.02)


async def text_of(workspace: Workspace, path: str) -> str | None:
    return await workspace.read(path) if await workspace.exists(path) else None


async def test_a_workspace_is_in_two_places(place, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'share'}"
    told = []
    async with place("one") as here, place("two") as there:
        ours, theirs = await here.create("w", base="empty"), await there.create("w", base="empty")
        here.hooks.on_sync = lambda workspace, direction: told.append((workspace.name, direction))
        assert "off" == (await ours.sync.status()).state
        await ours.write("src/a.txt", "one")
        await ours.exec("printf two > by-a-program")
        await ours.sync.enable(url)
        status = await ours.sync.status()
        assert ("pending", 2) == (status.state, status.pending_changes)
        await ours.sync.push()
        status = await ours.sync.status()
        assert ("synced", 0, url) == (status.state, status.pending_changes, status.url)
        assert status.last_sync is not None

        await theirs.sync.enable(url)
        await theirs.sync.pull()
        assert "one" == await theirs.read("src/a.txt")
        assert "two" == await theirs.read("by-a-program")
        await theirs.write("src/a.txt", "theirs")
        await theirs.sync.push()
        await ours.write("src/b.txt", "ours")
        await ours.sync.push()

        assert ("theirs", "ours") == (await ours.read("src/a.txt"), await ours.read("src/b.txt"))
        assert [("w", "push"), ("w", "push")] == told
        kinds = [each.kind for each in await ours.snapshots.list()]
        assert ["undo"] == kinds  # of what the push took over
        operations = [each.operation async for each in logs(ours)]
        assert 2 == operations.count("sync")
        pushed = (await ours.audit.logs(operation="sync"))[-1]
        assert ("push", 3, True) == (
            pushed.details["direction"],
            pushed.details["version"],
            pushed.ok,
        )
        await ours.sync.disable()
        assert "off" == (await ours.sync.status()).state
        with pytest.raises(SyncError, match="not synced"):
            await ours.sync.push()


async def logs(workspace: Workspace) -> AsyncIterator[object]:
    for each in await workspace.audit.logs():
        yield each


async def test_conflicts_are_listed_and_decided(place, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'share'}"
    async with place("one") as here, place("two") as there:
        ours, theirs = await here.create("w", base="empty"), await there.create("x", base="empty")
        await ours.sync.enable(url)
        await theirs.sync.enable(url, under="w")
        await ours.write("a", "ours")
        await ours.write("b", "ours")
        await theirs.write("a", "theirs")
        await theirs.write("b", "theirs")
        await ours.sync.push()
        with pytest.raises(SyncError) as caught:
            await theirs.sync.push()
        assert ["a", "b"] == [each.path for each in caught.value.conflicts]
        assert "conflicts" == (await theirs.sync.status()).state
        assert {None} == {each.choice for each in await theirs.sync.conflicts()}

        with pytest.raises(SyncError, match="no conflict at 'c'"):
            await theirs.sync.resolve("c", use="local")
        with pytest.raises(ConfigError, match="'local' or 'remote'"):
            await theirs.sync.resolve(use="mine")
        await theirs.sync.resolve(use="local")
        await theirs.sync.resolve("b", use="remote")
        assert {"a": "local", "b": "remote"} == {
            each.path: each.choice for each in await theirs.sync.conflicts()
        }
        await theirs.sync.push()
        await ours.sync.pull()
        for each in (ours, theirs):
            assert ("theirs", "ours") == (await each.read("a"), await each.read("b"))
        assert () == await theirs.sync.conflicts()


async def test_what_was_can_be_had_back_from_the_remote(place, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'share'}"
    async with place("one") as here, place("two") as there:
        ours, theirs = await here.create("w", base="empty"), await there.create("w", base="empty")
        await ours.sync.enable(url)
        await ours.write("a", "1")
        await ours.snapshots.create("first")
        await ours.sync.push()
        await ours.write("a", "2")
        await ours.sync.push()
        await theirs.sync.enable(url)
        await theirs.write("mine", "not kept")

        with pytest.raises(UncommittedChanges):
            await theirs.sync.pull(version="first")
        with pytest.raises(ConfigError, match="both"):
            await theirs.sync.pull(version="first", at=datetime.now(UTC))
        undo = await theirs.sync.pull(version="first", force=True)
        assert ("1", None) == (await theirs.read("a"), await text_of(theirs, "mine"))
        assert undo is not None
        await theirs.snapshots.restore(undo.name, force=True)
        assert "not kept" == await theirs.read("mine")


async def test_what_is_changed_goes_out_by_itself_and_comes_in(place, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'share'}"
    async with place("one") as here, place("two") as there:
        ours, theirs = await here.create("w", base="empty"), await there.create("w", base="empty")
        await ours.sync.enable(url, mode="real-time", interval=0.2)
        await theirs.sync.enable(url)
        await theirs.sync.config(mode="periodic", interval=0.1)
        await ours.exec("echo hi > a")
        await until(lambda: text_of(theirs, "a"))
        await theirs.write("b", "back")
        await until(lambda: text_of(ours, "b"))
        for each in (ours, theirs):
            await each.sync.config(mode="manual")
            assert "manual" == (await each.sync.status()).mode


async def test_it_goes_on_when_the_runner_is_opened_again(place, tmp_path: Path) -> None:
    url = f"file://{tmp_path / 'share'}"
    async with place("one") as here:
        ours = await here.create("w", base="empty")
        await ours.sync.enable(url, mode="periodic", interval=0.05)
    async with place("one") as here, place("two") as there:
        theirs = await there.create("w", base="empty")
        await theirs.sync.enable(url)
        await theirs.write("a", "late")
        await theirs.sync.push()
        ours = await here.get("w")
        await until(lambda: text_of(ours, "a"))


async def test_offline_nothing_is_lost_and_it_goes_out_later(place, tmp_path: Path) -> None:
    share = tmp_path / "mounted" / "share"
    share.parent.mkdir()
    async with place("one") as here:
        ours = await here.create("w", base="empty")
        await ours.sync.enable(f"file://{share}")
        await ours.write("a", "1")
        await ours.sync.push()
        os.rename(share.parent, tmp_path / "away")
        await ours.write("a", "2")
        for act in (ours.sync.push, ours.sync.pull):
            with pytest.raises(RemoteUnreachable, match="share"):
                await act()
        await ours.sync.config(mode="periodic", interval=0.05)

        async def is_said() -> bool:
            return (await ours.sync.status()).state == "trouble"

        await until(is_said)
        assert "2" == await ours.read("a")
        assert 1 == (await ours.sync.status()).pending_changes
        os.rename(tmp_path / "away", share.parent)

        async def is_synced() -> bool:
            return (await ours.sync.status()).state == "synced"

        await until(is_synced)


@pytest.mark.parametrize("kind", ["turso", "s3", "git"])
async def test_other_remotes_do_the_same(place, kind: str, request, tmp_path: Path) -> None:
    if kind == "turso":
        url = request.getfixturevalue("turso")()
    elif kind == "s3":
        url = request.getfixturevalue("bucket")
    else:
        url = f"git+file://{request.getfixturevalue('repository')}"
    async with place("one") as here, place("two") as there:
        ours, theirs = await here.create("w", base="empty"), await there.create("w", base="empty")
        for each in (ours, theirs):
            await each.sync.enable(url)
        await ours.write("a/b", "1" * 100_000)
        await ours.sync.push()
        await theirs.write("c", "2")
        await theirs.sync.push()
        await ours.sync.pull()

        assert await ours.read("a/b") == await theirs.read("a/b") == "1" * 100_000
        assert await ours.read("c") == await theirs.read("c") == "2"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("nowhere", {}, "no scheme"),
        ("ftp://x/y", {}, "no remote of the kind ftp://"),
        ("file://", {}, "says no place"),
        ("file://relative/path", {}, "absolute"),
        ("git+file://relative.git", {}, "absolute, git[+]file:///"),
        ("git+file://--upload-pack=touch x", {}, "absolute"),
        ("https://user:secret@host", {}, "password"),
        ("libsql://db.turso.io?authToken=secret", {}, "more than a host"),
        ("libsql://secret@db.turso.io", {}, "more than a host"),
        ("git+https://secret_0123456789_0123456789@host/x.git", {}, "looks like a token"),
        ("s3:///nothing", {}, "no place in S3"),
        ("file:///tmp/x", {"mode": "often"}, "`mode` is 'often'; it can be manual, periodic"),
        ("file:///tmp/x", {"strategy": "mine"}, "`strategy` is 'mine'"),
        ("file:///tmp/x", {"interval": 0}, "`interval` is 0"),
        ("file:///tmp/x", {"interval": float("nan")}, "`interval`"),
        ("file:///tmp/x", {"interval": float("inf")}, "no end"),
    ],
)
async def test_what_cannot_be_synced_with_is_said_before_anything(
    place, url: str, options: dict[str, object], said: str
) -> None:
    async with place("one") as here:
        ours = await here.create("w", base="empty")
        with pytest.raises(ConfigError, match=said) as caught:
            await ours.sync.enable(url, **options)
        assert "secret" not in str(caught.value)
        assert "off" == (await ours.sync.status()).state


async def test_a_remote_that_cannot_be_used_is_not_enabled(place, tmp_path: Path, turso) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    async with place("one") as here:
        ours = await here.create("w", base="empty")
        with pytest.raises(RemoteRefused, match="something else"):
            await ours.sync.enable(f"file://{tmp_path / 'mine'}")
        with pytest.raises(RemoteUnreachable):
            await ours.sync.enable("http://127.0.0.1:9")
        with pytest.raises(RemoteRefused, match="NO_SUCH_VARIABLE"):
            await ours.sync.enable(turso(), token=Secret(env="NO_SUCH_VARIABLE"))
        assert "off" == (await ours.sync.status()).state
        here.hooks.on_before_sync = lambda *_about: False
        await ours.sync.enable(f"file://{tmp_path / 'share'}")
        with pytest.raises(HookVeto):
            await ours.sync.push()
        assert [] == os.listdir(tmp_path / "share" / "refs")


async def test_a_token_as_text_is_kept_nowhere(place, tmp_path: Path, turso, monkeypatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "t0k3n-by-reference")
    async with place("one") as here:
        ours = await here.create("w", base="empty")
        url = turso()
        await ours.sync.enable(url, token="t0k3n-as-text")
        await ours.sync.push()
        await ours.sync.enable(url, token=Secret(env="MY_TOKEN"))
        await ours.sync.push()
    for path in (tmp_path / "one").rglob("*"):
        if path.is_file():
            assert b"t0k3n" not in path.read_bytes(), path


OTHER = """
import sys, trio, runner
async def main(base, state, *acts):
    async with runner.open_runner(state=state) as r:
        sync = (await r.project(base).get("w")).sync
        for act in acts:
            try:
                if act == "status":
                    print(type(await sync.status()).__name__)
                elif act == "enable":
                    await sync.enable("file:///nowhere")
                elif act == "config":
                    await sync.config(mode="periodic", interval=0.05)
                else:
                    await getattr(sync, act)()
            except runner.errors.RunnerError as exc:
                print(type(exc).__name__)
trio.run(main, *sys.argv[1:])
"""


async def test_another_process_says_how_it_is_synced_but_does_not_sync_it(
    place, tmp_path: Path
) -> None:
    async def other(*acts: str) -> list[str]:
        argv = [sys.executable, "-c", OTHER, tmp_path / "one/base", tmp_path / "one/state", *acts]
        done = await trio.run_process([*map(str, argv)], capture_stdout=True)
        return done.stdout.decode().split()

    async with place("one") as here:
        ours = await here.create("w", base="empty")
        await ours.sync.enable(f"file://{tmp_path / 'share'}", mode="real-time", interval=0.05)
        await ours.write("a", "1")

        async def is_synced() -> bool:
            return (await ours.sync.status()).state == "synced"

        await until(is_synced)
        said = await other("push", "pull", "enable", "status", "config")
        assert ["WorkspaceBusy", "WorkspaceBusy", "WorkspaceBusy", "SyncStatus"] == said
        status = await ours.sync.status()
        assert ("periodic", "") == (status.mode, status.trouble)  # it has not tried it unasked
        await ours.write("a", "2")
        await until(is_synced)  # here, in the way that was said there
        assert "periodic" == (await ours.sync.status()).mode
        assert [] == await other("disable")
        await ours.write("a", "3")
        with pytest.raises(SyncError, match="is not synced"):
            await ours.sync.push()
        assert "off" == (await ours.sync.status()).state


async def test_what_is_kept_for_a_sync_goes_with_it(place, tmp_path: Path, repository) -> None:
    caches = tmp_path / "one" / "state"
    async with place("one") as here:
        for number, gone in enumerate(("another", "disabled", "deleted", "failed")):
            ours = await here.create(f"w{number}", base="empty")
            if gone == "failed":
                with pytest.raises(SyncError):
                    await ours.sync.enable(f"git+file://{tmp_path}/none.git")
            else:
                await ours.sync.enable(f"git+file://{repository}")
                await ours.sync.push()
                assert [*caches.rglob("git-*")]
            if gone == "another":
                await ours.sync.enable(f"file://{tmp_path}/share")
            elif gone == "disabled":
                await ours.sync.disable()
            elif gone == "deleted":
                await ours.sync.enable(f"git+file://{repository}", mode="real-time")
                await here.delete(ours.name, force=True)
            assert [] == [*caches.rglob("git-*")], gone
        store = await here._shared.open()
        gone = ours.id
        assert [] == store.refs.list(gone) == store.remotes.list(gone)
        left = Path(here.directory) / "sync" / "nobody"
        left.mkdir(parents=True)
    async with place("one") as here:  # of one whose deleter was killed
        await here.list()
        assert not left.exists()


async def test_two_workspaces_of_a_project_use_one_repository_at_once(
    place, repository: str
) -> None:
    async with place("one") as here:
        made = [await here.create(f"w{number}", base="empty") for number in range(3)]
        for each in made:
            await each.sync.enable(f"git+file://{repository}")

        async def push(workspace: Workspace) -> None:
            for number in range(3):
                await workspace.write("a", f"{workspace.name} {number}")
                await workspace.sync.push()

        async with trio.open_nursery() as nursery:
            for each in made:
                nursery.start_soon(push, each)
        assert {"synced"} == {(await each.sync.status()).state for each in made}
