"""AgentFS's names on top of workspaces: what its page leaves open, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

import runner.compat.agentfs as ours
from runner.agents.secret import Secret
from runner.compat.agentfs import (
    AgentFS,
    AgentFSError,
    CommandTimeoutError,
    Config,
    ConfigError,
    ConfigWarning,
    syncing,
)
from runner.compat.agentfs.rules import Rules
from runner.compat.agentfs.snapshots import Snapshots
from runner.compat.agentfs.streams import Batch, Stream
from runner.compat.agentfs.syncing import Sync
from runner.compat.agentfs.testing import TemporaryWorkspace


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A home and a state directory of the test's own, and no variables of AgentFS's."""
    for name, inner in (("HOME", "home"), ("XDG_STATE_HOME", "state")):
        (tmp_path / inner).mkdir()
        monkeypatch.setenv(name, str(tmp_path / inner))
    for name in ("AGENTFS_BASE", "AGENTFS_CONFIG", "AGENTFS_WORKSPACE", "TURSO_TOKEN", "TURSO_ORG"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "app"
    (path / "src").mkdir(parents=True)
    (path / "src/a.py").write_text("one\n")
    (path / "b.txt").write_text("b\n")
    return path


@pytest.fixture
def afs(base):
    with AgentFS(base) as afs:
        yield afs


@pytest.fixture
def workspace(afs):
    return afs.workspace.create("work")


def is_gone(workspace, word):
    """Whether no process has that word as its argument any more; waited for."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for each in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError), open(f"/proc/{each}/cmdline", "rb") as file:
                if word.encode() in file.read().split(b"\0"):
                    break
        else:
            return True
        threading.Event().wait(0.01)
    return False


# ---------------------------------------------------------------- each method twice


@pytest.mark.parametrize(
    "cls",
    [AgentFS, ours.Workspaces, ours.Workspace, ours.Audit, Snapshots, Sync, Stream, Batch],
    ids=lambda cls: cls.__name__,
)
def test_every_method_that_waits_has_a_twin_for_asyncio(cls):
    blocks = {"temp", "batch", "open_stream", "open"}
    names = [n for n in dir(cls) if n[0] != "_" and inspect.isfunction(getattr(cls, n))]
    plain = [n for n in names if not n.endswith("_async") and n not in blocks]

    assert plain
    for name in plain:
        twin = getattr(cls, f"{name}_async")
        assert (
            inspect.iscoroutinefunction(twin)
            or inspect.isasyncgenfunction(twin)
            or (name == "batch_process")
        )


def test_a_whole_life_under_asyncio(base):
    async def main():
        async with AgentFS(base) as afs:
            async with afs.workspace.temp("t") as workspace:
                async with workspace.batch() as batch:
                    await batch.write_file_async("/n/1", "1")
                    await batch.append_file_async("/n/1", "2")
                    await batch.copy_async("/n/1", "/n/2")
                    await batch.move_async("/b.txt", "/c.txt")
                    await batch.mkdir_async("/empty")
                    await batch.chmod_async("/c.txt", 0o600)
                async with workspace.snapshot.temp() as snapshot:
                    async with workspace.open_stream("/n/1", "w") as stream:
                        assert 3 == await stream.write_async("new")
                    await workspace.snapshot.restore_async(snapshot.name)
                async with workspace.open_stream("/n/1", "r") as stream:
                    read = [await stream.read_async(1), await stream.read_async()]
                results = workspace.batch_process_async(
                    ["/n/2", "/nope"], workspace.read_file_async, limit=1
                )
                found = [(each.path, each.value, each.ok) async for each in results]
                assert 0o600 == (await workspace.stat_async("/c.txt")).mode
            return read, found, await afs.workspace.list_async()

    read, found, left = asyncio.run(main())

    assert ["1", "2"] == read
    assert [("/n/2", "12", True), ("/nope", None, False)] == found
    assert [] == left


def test_many_threads_may_use_one(workspace):
    def work(number):
        workspace.write_file(f"/{number}", str(number))
        return workspace.read_file(f"/{number}")

    with ThreadPoolExecutor(8) as pool:
        assert [str(n) for n in range(40)] == list(pool.map(work, range(40)))


def test_a_task_that_is_cancelled_leaves_no_program(workspace):
    async def main():
        task = asyncio.ensure_future(workspace.run_async("touch began; sleep 987651"))
        while not await workspace.exists_async("/began"):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert is_gone(workspace, "987651")


# ---------------------------------------------------------------- programs


def test_what_a_program_says_is_text_and_who_may_not_fail_sees_why(workspace):
    done = workspace.run(["sh", "-c", "cat; echo err >&2; exit 3"], input="in")

    assert (3, "in", "err\n", False, False) == (
        done.returncode,
        done.stdout,
        done.stderr,
        done.ok,
        done.timed_out,
    )
    assert workspace.run("echo $ONE", env={"ONE": "1"}, workdir="/src").ok


def test_a_program_whose_time_is_up_is_ended_with_all_that_it_has_started(workspace):
    with pytest.raises(TimeoutError) as caught:
        workspace.run("echo early; sleep 987652 & sleep 987652", timeout=0.3)

    assert isinstance(caught.value, ours.CommandTimeoutError)
    assert isinstance(caught.value, ours.AgentFSError)
    assert ("early\n", True) == (caught.value.result.stdout, caught.value.result.timed_out)
    assert is_gone(workspace, "987652")


def test_output_that_is_not_captured_is_passed_on(workspace, capsys):
    done = workspace.run("echo out; echo err >&2; printf end", capture_output=False)

    assert ("", "", 0) == (done.stdout, done.stderr, done.returncode)
    assert ("out\nend", "err\n") == tuple(capsys.readouterr())


def test_a_stream_that_is_left_early_ends_its_program(workspace):
    for line in workspace.run_stream("echo one; sleep 987653", env={"A": "1"}, workdir="src"):
        assert "one\n" == line
        break

    assert is_gone(workspace, "987653")


@pytest.mark.parametrize("closing", [True, False])
def test_an_asyncio_stream_that_is_left_early_ends_its_program(workspace, closing):
    async def main():
        lines = workspace.run_stream_async("echo one; sleep 987654")
        async for line in lines:
            assert "one\n" == line
            break
        if closing:
            await lines.aclose()
            assert is_gone(workspace, "987654")

    asyncio.run(main())

    assert is_gone(workspace, "987654")


def test_a_stream_has_both_outputs_and_the_last_line_as_it_is(workspace):
    found = list(workspace.run_stream("echo one; echo two >&2; printf three"))

    assert {"one\n", "two\n", "three"} == {*found}


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("path", ["/../x", "../x", "/src/../../x", "/out/passwd"])
def test_paths_that_lead_out_are_refused(workspace, path):
    workspace.run("ln -s /etc out")
    for work in (
        lambda: workspace.read_file(path),
        lambda: workspace.write_file(path, "x"),
        lambda: workspace.run("true", workdir=path),
        lambda: workspace.delete(path),
    ):
        with pytest.raises(ours.AgentFSError):
            work()


def test_files_are_text_or_bytes_with_and_without_a_slash_in_front(workspace):
    workspace.write_file("/new/a.bin", b"\xff\0")
    workspace.write_file("new/latin", "é", "latin-1")
    workspace.append_file("/new/latin", "!")

    assert b"\xff\0" == workspace.read_file("new/a.bin", encoding=None)
    assert b"\xe9!" == workspace.read_file("/new/latin", None)
    assert ["a.bin", "latin"] == [each.name for each in workspace.list_dir("new/")]
    info = workspace.list_dir("/new")[0]
    assert ("/new/a.bin", 2, True, False) == (info.path, info.size, info.is_file, info.is_dir)
    assert info.modified.tzinfo is not None
    assert info.mtime == workspace.stat("/new/a.bin").mtime
    with pytest.raises(ours.AgentFSError, match="utf-8"):
        workspace.read_file("/new/a.bin")


def test_a_directory_is_moved_copied_and_deleted(workspace):
    workspace.copy("/src", "/copied")
    workspace.move("/src", "/deep/moved")
    workspace.mkdir("/empty")
    workspace.delete("/empty")
    with pytest.raises(ours.BatchError):
        workspace.delete("/copied")
    workspace.delete("/copied", recursive=True)

    assert ["R src/a.py -> deep/moved/a.py"] == [str(c) for c in workspace.status().renamed]


def test_a_stream_that_is_left_by_an_error_changes_nothing(workspace):
    with pytest.raises(ZeroDivisionError), workspace.open_stream("/b.txt", "wb") as stream:
        stream.write(b"half")
        raise ZeroDivisionError
    with workspace.open_stream("/b.txt", "ab") as stream:
        stream.write(b"more")
    with workspace.open_stream("/b.txt") as stream:
        assert (b"b\nm", b"ore", b"") == (stream.read(3), stream.read(10), stream.read(10))
        with pytest.raises(ours.AgentFSError, match="to be read"):
            stream.write(b"x")
    with pytest.raises(ours.AgentFSError, match="no mode"), workspace.open_stream("/b.txt", "x"):
        pass
    with workspace.open_stream("/n", "wb") as stream:
        with pytest.raises(ours.AgentFSError, match="to be written"):
            stream.read()


@pytest.mark.parametrize("wrong", ["delete", "raise"])
def test_a_batch_is_all_or_nothing(workspace, wrong):
    with (
        pytest.raises((ours.BatchError, ZeroDivisionError)),
        workspace.batch() as batch,
    ):
        batch.write_file("/b.txt", "changed")
        batch.delete("/nope") if wrong == "delete" else 1 / 0

    assert not workspace.status().has_changes


def test_items_are_processed_some_at_a_time_in_their_order(workspace):
    most, now, lock = 0, 0, threading.Lock()

    def work(number):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        content = workspace.read_file("/b.txt")
        with lock:
            now -= 1
        return number, content

    found = list(workspace.batch_process(range(20), work, limit=3))
    assert [(n, "b\n") for n in range(20)] == [each.value for each in found]
    assert most <= 3

    results = workspace.batch_process(iter(range(1000)), work)
    assert 0 == next(results).item
    results.close()
    with pytest.raises(ours.ConfigError):
        next(workspace.batch_process([1], work, limit=0))


# ---------------------------------------------------------------- workspaces


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b", "-f", "x" * 129, 7])
def test_names_that_no_workspace_can_have(afs, name):
    with pytest.raises(ours.AgentFSError):
        afs.workspace.create(name)
    assert [] == afs.workspace.list()


def test_a_workspace_says_what_it_is(afs, base):
    made = afs.workspace.create(
        "w", description="why", tags=["a"], tag="b", agent_id="me", read_only=True
    )

    assert ("w", "why", ("a", "b"), "me") == (
        made.name,
        made.description,
        made.tags,
        made.agent_id,
    )
    assert os.path.isfile(f"{made.path}/src/a.py")
    assert datetime.now(made.created_at.tzinfo) - made.created_at < timedelta(minutes=1)
    assert ["w"] == [each.name for each in afs.workspace.list(tag="b")]
    assert [] == afs.workspace.list(tag="c")
    assert made.id == afs.workspace.get("w").id
    assert made.id in repr(made)
    with pytest.raises(ours.AgentFSError, match="reading only"):
        made.write_file("/x", "x")


def test_what_is_not_there_or_there_already_is_named(afs, workspace):
    with pytest.raises(ours.WorkspaceNotFoundError, match="did you mean 'work'"):
        afs.workspace.get("wrk")
    with pytest.raises(ours.WorkspaceNotFoundError):
        afs.workspace.delete("nope")
    with pytest.raises(ours.WorkspaceExistsError):
        afs.workspace.create("work")
    workspace.snapshot.create("s")
    with pytest.raises(ours.SnapshotExistsError):
        workspace.snapshot.create("s")
    with pytest.raises(ours.SnapshotNotFoundError):
        afs.workspace.create("new", from_snapshot="t")
    assert "s" == workspace.snapshot.show("s").name
    assert not afs.workspace.exists("new")


def test_a_bare_snapshot_name_is_looked_for_everywhere_and_may_be_ambiguous(afs, workspace):
    workspace.write_file("/only", "here")
    workspace.snapshot.create("s")
    assert "here" == afs.workspace.create("two", from_snapshot="s").read_file("/only")
    afs.workspace.get("two").snapshot.create("s")

    with pytest.raises(ours.SnapshotNotFoundError, match="'two/s' or 'work/s'"):
        afs.workspace.create("three", from_snapshot="s")
    assert afs.workspace.create("three", from_snapshot="work/s").exists("/only")
    assert afs.workspace.create("four", from_workspace="three").exists("/only")
    assert not afs.workspace.create("five", base="empty").exists("/b.txt")


def test_changes_are_not_deleted_without_force_and_a_handle_says_so_afterwards(afs, workspace):
    workspace.write_file("/b.txt", "changed")
    with pytest.raises(ours.UncommittedChangesError):
        afs.workspace.delete("work")
    workspace.rename("renamed")
    assert "renamed" == workspace.name
    afs.workspace.rename("renamed", "again")
    afs.workspace.delete("again", force=True)

    assert not workspace.exists()
    with pytest.raises(ours.WorkspaceNotFoundError):
        workspace.read_file("/b.txt")


def test_a_temporary_workspace_goes_also_by_an_error_and_takes_another_name(afs, workspace):
    with pytest.raises(ZeroDivisionError), afs.workspace.temp("work") as other:
        assert other.name.startswith("work-")
        raise ZeroDivisionError
    with afs.workspace.temp() as other:
        other.write_file("/x", "x")
    workspace.snapshot.create("s")
    with afs.workspace.temp("t", from_snapshot="work/s") as other:
        assert other.exists("/b.txt")

    assert ["work"] == [each.name for each in afs.workspace.list()]


def test_a_restore_is_exact_and_gives_what_was_there(workspace):
    workspace.snapshot.create("s")
    workspace.write_file("/later", "x")
    workspace.delete("/b.txt")
    with pytest.raises(ours.UncommittedChangesError):
        workspace.snapshot.restore("s", force=False)
    undo = workspace.snapshot.restore("s")

    assert not workspace.status().has_changes
    assert ["s"] == [each.name for each in workspace.snapshot.list()]
    assert undo.name in [each.name for each in workspace.snapshot.list(all=True)]
    workspace.snapshot.restore(undo.name)
    assert workspace.exists("/later")
    assert workspace.snapshot.restore(undo.name) is None


# ---------------------------------------------------------------- where it goes


def test_a_commit_of_what_both_changed_is_refused_with_the_conflicts(workspace, base):
    assert workspace.commit("nothing yet") is None
    workspace.write_file("/b.txt", "ours")
    (base / "b.txt").write_text("theirs")
    with pytest.raises(ours.CommitError) as caught:
        workspace.commit("both")

    assert ["b.txt"] == [each.path for each in caught.value.conflicts]
    assert "theirs" == (base / "b.txt").read_text()
    workspace.write_file("/src/a.py", "two\n")
    done = workspace.commit("one of them", author="A <a@b>", exclude=["*.txt"])
    assert (("src/a.py",), "A <a@b>") == (done.paths, done.author)
    assert [] == workspace.commit("none", include=["docs/**"], dry_run=True)


def test_workspaces_are_merged_and_exported(afs, workspace, tmp_path):
    other = afs.workspace.create("other")
    other.write_file("/new", "n\n")
    workspace.merge("other")
    other.write_file("/newer", "n\n")
    workspace.merge(other)

    assert ["new", "newer"] == [each.path for each in workspace.status().added]
    assert not workspace.diff(other)
    workspace.export(tmp_path / "x.patch")
    assert "+n\n" in (tmp_path / "x.patch").read_text()


def test_conflicts_of_a_sync_are_said_and_decided(afs, workspace, tmp_path):
    other = afs.workspace.create("other")
    url = f"file://{tmp_path}/remote"
    with pytest.raises(ours.ConfigError, match="either"):
        workspace.sync.enable()
    with pytest.raises(ours.ConfigError, match="TURSO_ORG"):
        workspace.sync.enable(turso_db="mydb")
    with pytest.raises(ours.ConfigError):
        workspace.sync.enable(url, conflict_resolution="any")
    (tmp_path / "remote").mkdir()
    workspace.sync.enable(url)
    workspace.sync.push()
    other.sync.enable(url)
    afs.workspace.get("other").sync.config(mode="manual", interval=60)
    assert "manual" == other.sync.status().mode


def test_a_database_is_named_in_an_organisation_and_tokens_by_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("TURSO_ORG", "org")
    assert "libsql://mydb-org.turso.io" == syncing._url("mydb")
    assert "" == syncing._token(None, None)
    monkeypatch.setenv("TURSO_TOKEN", "secret")

    assert Secret(env="TURSO_TOKEN") == syncing._token(None, None)
    assert Secret(env="OTHER") == syncing._token("env:OTHER", None)
    assert Secret(file=str(tmp_path / "t")) == syncing._token("", tmp_path / "t")
    assert "text" == syncing._token("text", None)


def two_places(base, tmp_path):
    """A workspace in two places, which have changed the same file."""
    for number in (1, 2):
        (tmp_path / f"state{number}").mkdir()
    first, second = (AgentFS(base, {}, state=tmp_path / f"state{n}") for n in (1, 2))
    url = f"file://{tmp_path}/remote"
    made = []
    for each in (first, second):
        workspace = each.workspace.create("work")
        workspace.sync.enable(turso_db=url, conflict_resolution="manual")
        workspace.sync.pull()
        workspace.sync.push()
        made.append(workspace)
    for number, workspace in enumerate(made):
        workspace.write_file("/b.txt", str(number))
    made[0].sync.push()
    return first, second, made


def test_a_conflict_is_an_error_of_its_own_and_may_be_decided(base, tmp_path):
    first, second, (one, two) = two_places(base, tmp_path)
    with first, second:
        with pytest.raises(ours.SyncConflictError) as caught:
            two.sync.push()
        assert isinstance(caught.value, ours.SyncError)
        assert ["b.txt"] == [each.path for each in caught.value.conflicts]
        status = two.sync.status()
        assert (1, "conflicts", True) == (status.pending_conflicts, status.state, status.enabled)
        with pytest.raises(ours.ConfigError, match="either"):
            two.sync.resolve()
        two.sync.resolve(*two.sync.conflicts(), use_local=True)
        two.sync.push()
        one.sync.pull()

        assert "1" == one.read_file("/b.txt")


# ---------------------------------------------------------------- audit, hooks


def test_entries_are_in_agentfs_words(workspace, tmp_path):
    workspace.write_file("/a", "12")
    workspace.move("/a", "/c")
    workspace.delete("/c")
    workspace.run("true")
    assert ["hi\n"] == list(workspace.run_stream("echo hi"))

    def names(**filters):
        return [(e.operation, e.path) for e in workspace.audit.logs(**filters)]

    assert [("write", "/a")] == names(operation="write", path="/*a")
    assert [("delete", "/c")] == names(operation="delete")
    assert ("rename", "/a") in names(operation="rename")
    assert ["run", "run"] == [operation for operation, _ in names(operation="run")]
    assert [] == names(to_time=datetime.now() - timedelta(hours=1))  # noqa: DTZ005 - as on the page
    assert [] == names(agent_id="nobody")
    written = workspace.audit.logs(operation="write")[0]
    assert (2, None) == (written.details.size_after, written.details.size_before)
    assert written.details.checksum_after.startswith("sha256:")
    assert written.timestamp.tzinfo is not None
    assert workspace.audit.export(tmp_path / "x.csv", format="csv", operation="write") == 1
    assert workspace.audit.verify().ok


def test_entries_are_followed(workspace):
    entries = workspace.audit.stream(operation="write")
    thread = threading.Timer(0.05, lambda: workspace.write_file("/later", "x"))
    thread.start()
    found = next(entries)
    entries.close()
    thread.join()

    async def main():
        async with contextlib.aclosing(workspace.audit.stream_async(path="/more")) as entries:
            return (await anext(entries)).path

    async def both():
        task = asyncio.ensure_future(main())
        for number in range(1000):
            await workspace.write_file_async("/more", str(number))
            if task.done():
                break
            await asyncio.sleep(0.01)
        return await task

    assert ("/later", "/more") == (found.path, asyncio.run(both()))


def test_without_an_audit_nothing_is_written_down(base):
    with AgentFS(base, {"audit_enabled": False}) as afs:
        workspace = afs.workspace.create("w")
        workspace.write_file("/x", "x")

        assert [] == workspace.audit.logs()


def test_hooks_are_called_where_the_caller_is_and_may_use_agentfs(afs):
    told = []

    @afs.hooks.workspace_create
    def first(workspace):
        told.append((1, workspace.name, workspace.run("echo hi").stdout, threading.get_ident()))

    @afs.hooks.workspace_create
    async def second(workspace):
        await asyncio.sleep(0)
        told.append((2, workspace.name, await workspace.read_file_async("/b.txt"), 0))

    afs.hooks.on_snapshot = lambda workspace, snapshot: told.append((3, snapshot))
    here = threading.get_ident()
    afs.workspace.create("one").snapshot.create("s")
    assert [(1, "one", "hi\n", here), (2, "one", "b\n", 0)] == told[:2]
    assert isinstance(told[2][1], ours.Snapshot)

    async def main():
        afs.hooks.workspace_create(first_async)
        await afs.workspace.create_async("two")

    async def first_async(workspace):
        told.append((4, await workspace.exists_async("/b.txt"), asyncio.get_running_loop()))

    told.clear()
    afs.hooks.on_snapshot = None
    assert afs.hooks.on_snapshot is None
    with AgentFS(afs.path) as other:
        other.hooks.on_delete = lambda workspace: told.append(workspace.name)
        other.workspace.delete("one", force=True)
    assert ["one"] == told
    asyncio.run(main())
    assert (4, True) == told[-1][:2]


def test_hooks_may_refuse_and_those_that_fail_lose_nothing(afs, workspace):
    afs.hooks.on_before_snapshot = lambda workspace, name: name != "never"
    afs.hooks.on_workspace_create = lambda workspace: 1 / 0
    with pytest.raises(ours.HookVeto):
        workspace.snapshot.create("never")
    assert "s" == workspace.snapshot.create("s").name
    assert afs.workspace.create("fine").exists()
    with pytest.raises(ours.ConfigError, match="no event"):
        afs.hooks.on_workspace_created = print
    with pytest.raises(ours.ConfigError):
        afs.hooks.on_commit = "no function"
    with pytest.raises(ours.ConfigError):
        afs.hooks.commit = print
    with pytest.raises(AttributeError):
        _ = afs.hooks.comit


# ---------------------------------------------------------------- configuration


def test_a_configuration_is_read_by_attribute_and_item(tmp_path):
    path = tmp_path / "c.toml"
    path.write_text(
        '[core]\naudit_enabled = false\n[sync]\ninterval = 5\n[profile.dev]\n"sync.interval" = 9\n'
        "[profile.dev.core]\nmax_workspaces = 1\n"
    )
    config, dev = Config.load(path), Config.load(path, profile="dev")

    assert (5, 9, 1) == (config.sync.interval, dev["sync"]["interval"], dev.core.max_workspaces)
    assert config.core.audit_enabled is dev.core.audit_enabled is False
    assert (None, None) == (config.cache_size, config.storage.cache_size_mb)
    assert {"audit_enabled": False} == dict(config.core)
    assert config.to_dict()["sync"] == {"interval": 5}
    assert "interval" in repr(config)
    with pytest.raises(AttributeError):
        _ = config.nothing
    with pytest.raises(ours.ConfigError, match="no profile"):
        Config.load(path, profile="prod")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"audit_enable": True}, "no key 'audit_enable'; did you mean 'audit_enabled'"),
        ({"sync": {"intervall": 3}}, "no key 'sync.intervall'; did you mean 'interval'"),
        ({"zzz": 1}, "no key 'zzz'"),
    ],
)
def test_unknown_keys_are_warned_of_with_those_that_may_be_meant(values, words):
    with pytest.warns(ours.ConfigWarning, match=words):
        Config(values)


@pytest.mark.parametrize(
    "values",
    [
        {"audit_enabled": "no"},
        {"sync": {"interval": True}},
        {"core": 3},
        7,
        {"sync": {"interval": "5"}},
    ],
)
def test_values_that_cannot_be_are_refused(values):
    with pytest.raises(ours.ConfigError):
        Config(values)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sync": {"exclude": ["*.key"]}}, "sync.exclude has no effect: a workspace is synced as"),
        ({"security": {"allow_symlinks": False}}, "never followed out"),
        ({"core": {"audit_retention_days": 30}}, "audit.retain"),
        ({"storage": {"backend": "memory"}}, "kept on the disk"),
    ],
)
def test_what_would_promise_something_that_is_not_so_is_warned_of(values, words):
    with pytest.warns(ConfigWarning, match=words):
        Config(values)
    Config({"security": {"allow_symlinks": True}, "performance": {"worker_threads": 4}})
    with pytest.raises(ConfigError, match="not encrypted"):
        Config({"security": {"encrypt_local_db": True}})


def test_rules_hold_for_the_programs_of_a_workspace_and_are_kept(afs, base):
    workspace = afs.workspace.create("ruled", max_runtime=0.2, description="first")
    with pytest.raises(CommandTimeoutError):
        workspace.run("sleep 60")
    assert 0 == workspace.run("sleep 0.3", timeout=30).returncode
    said = workspace.config(max_runtime=60, max_processes=50, description="second", tags=["a"])
    again = afs.workspace.get("ruled")
    assert said == again.config()
    assert ("second", ("a",), 60, 50) == tuple(
        said[name] for name in ("description", "tags", "max_runtime", "max_processes")
    )
    assert "second" == next(each.description for each in afs.workspace.list())
    assert 0 == again.run("true").returncode
    with pytest.raises(CommandTimeoutError):
        again.config(idle_timeout=0.2)
        again.run("sleep 60")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ({"expires": "1d"}, "'expires' is not there in runner"),
        ({"netwrok": False}, "there is no 'netwrok'; there are sandbox"),
        ({"max_memory": 0}, "max_memory is 0: it must be a number of MiB"),
        ({"max_memory": True}, "a number of MiB"),
        ({"network": 1}, "true or false"),
        ({"allow_hosts": "pypi.org"}, "a list of hosts"),
        ({"allow_hosts": ["no host!"]}, "no host"),
    ],
)
def test_rules_that_cannot_hold_are_refused_and_nothing_is_changed(afs, rules, words):
    with pytest.raises(ConfigError, match=words):
        afs.workspace.create("none", **rules)
    assert not afs.workspace.exists("none")


def test_a_sandbox_is_asked_for_by_any_rule_that_needs_one():
    held = [{"sandbox": True}, {"network": False}, {"allow_hosts": ["pypi.org"]}]
    for each in held:
        isolation = Rules().changed(**each).options()["isolation"]
        assert ("auto", True) == (isolation.mode, isolation.required)
    assert "full" == Rules().changed(sandbox=True).options()["isolation"].network
    assert "none" == Rules().changed(max_memory=64).options()["isolation"].mode
    assert {} == Rules().options()


def test_what_is_frozen_is_not_changed_by_anybody_until_it_is_not_frozen(afs, workspace):
    workspace.write_file("/a", "1")
    workspace.snapshot.create("s")
    workspace.write_file("/a", "2")
    workspace.freeze()
    for handle in (workspace, afs.workspace.get(workspace.name)):
        assert handle.read_only
        assert "2" == handle.read_file("/a")
        for act in (
            lambda handle=handle: handle.write_file("/a", "3"),
            lambda handle=handle: handle.run("rm a"),
            lambda handle=handle: handle.snapshot.restore("s"),
        ):
            with pytest.raises(AgentFSError):
                act()
    workspace.unfreeze()
    assert 0 == workspace.run("rm a").returncode


def test_events_are_told_by_name_once_or_until_it_is_enough(afs):
    told = []

    def first(workspace):
        told.append(f"first {workspace.name}")

    afs.hooks.once("workspaceCreate", lambda workspace: told.append("once"))
    afs.hooks.on("workspaceCreate", first)
    afs.workspace.create("a", base="empty")
    afs.workspace.create("b", base="empty")
    afs.hooks.off("workspaceCreate", first)
    afs.hooks.on("workspace_create", lambda workspace: told.append("other"))
    afs.workspace.create("c", base="empty")
    afs.hooks.off("workspaceCreate")
    afs.workspace.create("d", base="empty")
    assert ["once", "first a", "first b", "other"] == told
    with pytest.raises(ConfigError, match="no event 'sneeze'; the events are workspace_create"):
        afs.hooks.on("sneeze", first)


def test_a_commit_is_synced_if_that_is_configured(base, tmp_path):
    config = {"sync": {"url": f"file://{tmp_path}/share", "auto_sync_on_commit": True}}
    with AgentFS(base, config, state=tmp_path / "state") as afs:
        workspace = afs.workspace.create("w")
        workspace.write_file("/new", "1")
        workspace.commit("why")
        assert "synced" == workspace.sync.status().state
        os.rename(tmp_path / "share", tmp_path / "away")
        workspace.write_file("/new", "2")
        assert workspace.commit("it stands all the same")


def test_files_and_variables_say_what_holds_if_nobody_else_does(base, tmp_path, monkeypatch):
    for top, text in (
        (tmp_path / "home", "cache_size = 1\n[sync]\ninterval = 1\nurl = 'file:///u'\n"),
        (base, "cache_size = 2\n[core]\nmax_workspaces = 1\n"),
    ):
        (top / ".agentfs").mkdir()
        (top / ".agentfs/config.toml").write_text(text)
    monkeypatch.setenv("AGENTFS_BASE", str(base))
    afs = AgentFS()
    assert (str(base), 2, 1) == (afs.path, afs.config.cache_size, afs.config.sync.interval)
    afs.workspace.create("one")
    with pytest.raises(ours.AgentFSError, match="max_workspaces"):
        afs.workspace.create("two")
    afs.close()

    (tmp_path / "more.toml").write_text("[sync]\ninterval = 3\n")
    monkeypatch.setenv("AGENTFS_CONFIG", str(tmp_path / "more.toml"))
    monkeypatch.setenv("AGENTFS_CACHE_SIZE", "9")
    monkeypatch.setenv("AGENTFS_LOG_LEVEL", "debug")
    config = Config.found(base)
    assert (9, 3, "debug") == (config.cache_size, config.sync.interval, config.logging.level)
    monkeypatch.setenv("AGENTFS_CACHE_SIZE", "much")
    with pytest.raises(ours.ConfigError, match="AGENTFS_CACHE_SIZE"):
        Config.found(base)
    monkeypatch.setenv("AGENTFS_CONFIG", str(tmp_path / "nope.toml"))
    with pytest.raises(ours.ConfigError, match="cannot be read"):
        AgentFS(base)


def test_a_project_s_own_file_does_not_say_where_things_are_sent_or_kept(base):
    (base / ".agentfs").mkdir()
    (base / ".agentfs/config.toml").write_text(
        "audit_enabled = false\n[core]\naudit_enabled = false\nmax_workspaces = 4\n"
        '[storage]\ndatabase_path = "/tmp/x"\n[sync]\nurl = "file:///x"\ntoken = "env:HOME"\n'
    )
    with pytest.warns(ours.ConfigWarning, match="not taken from a project's own"):
        config = Config.found(base)

    assert {"core": {"max_workspaces": 4}, "storage": {}, "sync": {}} == config.to_dict()


def test_a_store_elsewhere_and_a_project_that_is_not_there(base, tmp_path):
    with AgentFS(base, {"storage": {"database_path": str(tmp_path / "else")}}) as afs:
        afs.workspace.create("w")
        assert (tmp_path / "else/store.db").exists()
    with AgentFS(tmp_path / "nope") as afs, pytest.raises(ours.AgentFSError, match="no such"):
        afs.workspace.list()


# ---------------------------------------------------------------- how long it lives


def test_several_of_one_project_share_its_workspaces(base):
    one, two = AgentFS(base), AgentFS(base)
    workspace = one.workspace.create("w")
    other = two.workspace.get("w")
    one.close()
    other.write_file("/b.txt", "changed")
    assert "changed" == workspace.read_file("/b.txt")
    one.close()
    two.close()
    with pytest.raises(ours.AgentFSError, match="shut down"):
        workspace.read_file("/b.txt")
    assert ["w"] == [each.name for each in one.workspace.list()]
    one.close()
    one.close()


@pytest.mark.parametrize("attempt", range(2))
def test_one_that_is_forgotten_lets_go_of_its_workspaces(base, attempt):
    workspace = AgentFS(base).workspace.create("w")
    workspace.write_file("/x", "1")
    del workspace
    gc.collect()
    again = AgentFS(base, {"audit_enabled": True}).workspace.get("w")

    assert "1" == again.read_file("/x")


def test_it_is_begun_anew_after_a_fork(workspace, place):
    workspace.status()  # nothing goes on in the store any more, whose locks a fork would copy
    (place / "other").mkdir()
    child = os.fork()
    if not child:
        try:
            with AgentFS(place / "other") as mine:
                mine.workspace.create("w").write_file("/x", "from the child")
            os._exit(0)
        finally:
            os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    with AgentFS(place / "other") as other:
        assert "from the child" == other.workspace.get("w").read_file("/x")


# ---------------------------------------------------------------- for tests


def test_a_decorated_test_gets_a_workspace_that_pytest_does_not_look_for(tmp_path):
    seen = []

    @TemporaryWorkspace({"/a.txt": "one"})
    def plain(tmp_path, workspace, *, more=1):
        seen.append(workspace)
        return tmp_path, workspace.read_file("/a.txt"), more

    @TemporaryWorkspace()
    async def coroutine(self, workspace):
        seen.append(workspace)
        await workspace.write_file_async("/x", "x")
        return workspace.name

    assert ["tmp_path", "more"] == list(inspect.signature(plain).parameters)
    assert ["self"] == list(inspect.signature(coroutine).parameters)
    assert inspect.iscoroutinefunction(coroutine)
    assert ("t", "one", 2) == plain("t", more=2)
    assert "temporary" == asyncio.run(coroutine(None))
    assert [False, False] == [os.path.exists(each.path) for each in seen]


def test_a_temporary_workspace_in_a_block(base):
    with TemporaryWorkspace(base_path=base, name="mine") as workspace:
        assert ("mine", "b\n") == (workspace.name, workspace.read_file("/b.txt"))

    async def main():
        async with TemporaryWorkspace() as workspace:
            assert not await workspace.list_dir_async("/")

    asyncio.run(main())
    with AgentFS(base) as afs:
        assert [] == afs.workspace.list()


def test_all_errors_are_agentfs_errors():
    names = [n for n in ours.__all__ if n.endswith("Error") or n in {"HookVeto", "InvalidPath"}]

    assert len(names) > 12
    assert all(issubclass(getattr(ours, name), ours.AgentFSError) for name in names)
