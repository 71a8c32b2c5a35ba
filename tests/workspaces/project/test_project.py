"""Workspaces of a project: made from this and that, found, renamed, taken away."""

import os
import shutil
import socket
import subprocess

import pytest
import trio

import runner
from runner.config import WorkspaceConfig
from runner.errors import (
    ConfigError,
    Destroyed,
    InvalidName,
    NotFound,
    ReadOnly,
    SnapshotNotFound,
    UncommittedChanges,
    WorkspaceError,
    WorkspaceExists,
    WorkspaceNotFound,
)


async def test_a_workspace_is_made_from_the_projects_directory_which_it_never_changes(
    project, base, way, said
):
    ws = await project.create("one", way=way, description="for a test", tags=["a", "b"])
    await ws.write("src/a.py", "two\n")
    await ws.remove("b.txt")
    await ws.write("deep/er/c", b"\xff")

    assert (way, "for a test", ("a", "b")) == (ws.way, ws.description, ws.tags)
    assert ("directory", str(base)) == (ws.base.kind, ws.base.path)
    assert ["A deep/er/c", "D b.txt", "M src/a.py"] == sorted(said((await ws.status()).changes))
    assert "one\n" == (base / "src/a.py").read_text()
    assert (base / "b.txt").exists()
    done = await ws.exec(["pwd"])
    assert ws.path == done.stdout.strip()


async def test_what_a_copy_of_the_base_does_not_have_is_in_the_audit(project, base):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(base / "sock"))
        ws = await project.create("one", way="copy")
    (row,) = await ws.audit.logs(operation="create")

    assert not (await ws.exists("sock"))
    assert [["sock", "a socket"]] == row.details["left_out"]


async def test_a_workspace_from_nothing_another_one_and_a_snapshot(project, said):
    empty = await project.create("empty", base="empty")
    await empty.write("a", "1")
    await empty.snapshots.create("s")
    await empty.write("a", "2")
    of_snapshot = await project.create("of-snapshot", snapshot="empty/s")
    bare = await project.create("bare", snapshot="s")
    of_other = await project.create("of-other", workspace="empty")

    assert ["A a"] == said((await empty.status()).changes)
    assert "1" == await of_snapshot.read("a") == await bare.read("a")
    assert "2" == await of_other.read("a")
    assert not (await of_other.status()).has_changes
    assert ("empty", "snapshot", "snapshot", "workspace") == tuple(
        each.base.kind for each in (empty, of_snapshot, bare, of_other)
    )
    await of_other.write("a", "3")
    assert "2" == await empty.read("a")


async def test_a_workspace_from_another_directory_and_from_a_git_ref(project, base, tmp_path, said):
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_text("x")
    git = ["git", "-C", str(base), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"], ["tag", "v1"]):
        subprocess.run([*git, *words], check=True)
    (base / "src/a.py").write_text("dirty\n")
    before = (base / ".git/index").read_bytes()
    one = await project.create("one", base=other)
    two = await project.create("two", ref="v1")

    assert ["x"] == [each.name for each in (await one.ls()).entries]
    assert "one\n" == await two.read("src/a.py")
    assert ("git", "v1", 40) == (two.base.kind, two.base.ref, len(two.base.commit))
    assert not (await two.status()).has_changes
    assert before == (base / ".git/index").read_bytes()
    with pytest.raises(WorkspaceError, match="no-such-ref"):
        await project.create("three", ref="no-such-ref")
    assert ["one", "two"] == [each.name for each in await project.list()]


async def test_a_bare_name_that_several_workspaces_have_is_refused_with_the_candidates(project):
    for name in ("one", "two"):
        ws = await project.create(name)
        await ws.snapshots.create("same")
    with pytest.raises(SnapshotNotFound) as caught:
        await project.create("three", snapshot="same")

    assert ("one/same", "two/same") == caught.value.candidates
    with pytest.raises(SnapshotNotFound, match="did you mean 'same'"):
        await project.create("three", snapshot="sane")
    with pytest.raises(WorkspaceNotFound, match="did you mean 'two'"):
        await project.create("three", snapshot="tow/same")
    assert 2 == len(await project.list())


async def test_a_workspace_is_found_by_its_name_and_renamed(project):
    made = await project.create("one")
    await made.write("x", "1")
    await project.rename("one", "another")
    found = await project.get("another")

    assert (made.id, made.path) == (found.id, found.path)
    assert "1" == await found.read("x")
    assert await project.exists("another")
    assert not await project.exists("one")
    with pytest.raises(WorkspaceNotFound, match="did you mean 'another'"):
        await project.get("anothr")
    await project.create("two")
    with pytest.raises(WorkspaceExists):
        await project.rename("another", "two")
    with pytest.raises(WorkspaceExists):
        await project.create("two")
    await found.rename("another")


async def test_uncommitted_work_is_not_deleted_without_force_and_rescued_with_it(
    project, way, said
):
    ws = await project.create("one", way=way)
    await ws.write("x", "1")
    inside = ws.scope("src")
    with pytest.raises(UncommittedChanges) as caught:
        await project.delete("one")
    assert ["A x"] == said(caught.value.changes)
    assert "1" == await ws.read("x")
    rescue = await project.delete("one", force=True)

    assert ("rescue", ws.id) == (rescue.kind, rescue.workspace)
    assert not os.path.exists(os.path.dirname(ws.path))
    assert not await ws.exists()
    assert [] == await project.list()
    for handle in (ws, inside):
        with pytest.raises(WorkspaceNotFound):
            await handle.write("y", "2")
    with pytest.raises(WorkspaceNotFound):
        await ws.snapshots.create("s")
    assert not os.path.exists(os.path.dirname(ws.path))
    back = await project.create("one", snapshot=rescue.name)
    assert "1" == await back.read("x")


async def test_what_is_as_its_base_is_deleted_without_a_word_with_its_programs(project, way):
    ws = await project.create("one", way=way)
    program = await ws.start(["sh", "-c", "echo $$; exec sleep 1000"])
    with trio.fail_after(10):
        async for line in program:
            pid = line.text
            break

    assert await project.delete("one") is None
    assert not os.path.exists(f"/proc/{pid}")
    with pytest.raises(WorkspaceNotFound):
        await project.delete("one")


async def test_a_temporary_workspace_is_there_for_a_block(project):
    with pytest.raises(ValueError, match="of the block"):
        async with project.temp("mine") as ws:
            await ws.write("x", "1")
            assert "mine" == ws.name
            async with project.temp("mine") as other:
                assert other.name.startswith("mine-")
                assert not await other.exists("x")
            raise ValueError("of the block")
    async with project.temp(base="empty") as ws:
        assert () == (await ws.ls()).entries

    assert [] == await project.list()
    assert [] == os.listdir(os.path.join(project.directory, "workspaces"))


async def test_a_workspace_for_reading_only_and_one_with_permissions(project):
    ws = await project.create("one", read_only=True)
    with pytest.raises(ReadOnly):
        await ws.write("x", "1")
    with pytest.raises(ReadOnly):
        await ws.exec(["true"])
    assert "b\n" == await ws.read("b.txt")
    held = await project.create("two", permissions="read-only")
    other = await project.create("three", way="copy")
    await other.remove("b.txt")
    await other.snapshots.create("s")
    with pytest.raises(ReadOnly):
        await ws.snapshots.restore("three/s", force=True)
    assert ["one is taken"] == [(await ws.snapshots.create("one is taken")).name]
    assert "b\n" == await ws.read("b.txt")
    with pytest.raises(runner.Denied):
        await held.write("x", "1")
    async with held.batch() as batch:
        assert batch
    with pytest.raises(runner.Denied):
        async with held.batch() as batch:
            await batch.write("x", "1")
    assert "b\n" == await held.read("b.txt")


@pytest.mark.parametrize(
    ("error", "what", "given"),
    [
        (InvalidName, "a `/`", {"name": "a/b"}),
        (InvalidName, "begins with `-`", {"name": "-a"}),
        (ConfigError, "one of", {"snapshot": "s", "workspace": "w"}),
        (ConfigError, "one of", {"base": "empty", "snapshot": "s"}),
        (ConfigError, "no ref", {"base": "empty", "ref": "main"}),
        (ConfigError, "way=", {"way": "fast"}),
        (ConfigError, "read_only=", {"read_only": 1}),
        (ConfigError, "tags=", {"tags": "a"}),
        (ConfigError, "a tag", {"tags": ["x" * 70_000]}),
        (ConfigError, "description", {"description": None}),
        (ConfigError, "base=", {"base": 7}),
        (ConfigError, "base=", {"base": "a\0b"}),
        (ConfigError, "ref is empty", {"ref": ""}),
        (ConfigError, "no such directory", {"base": "/no/such/directory"}),
        (InvalidName, "is empty", {"snapshot": "a/"}),
        (WorkspaceNotFound, "no workspace", {"workspace": "none"}),
        (SnapshotNotFound, "no snapshot", {"snapshot": "none"}),
        (WorkspaceError, "git", {"ref": "main"}),
        (ConfigError, "preset", {"permissions": "no such preset"}),
    ],
)
async def test_what_cannot_be_made_is_refused_and_leaves_nothing(project, error, what, given):
    given = {"name": "one", **given}
    with pytest.raises(error, match=what):
        await project.create(given.pop("name"), **given)

    assert [] == await project.list()
    assert not os.path.isdir(project.directory) or [] == os.listdir(
        f"{project.directory}/workspaces"
    )


async def test_a_store_inside_its_own_base_is_refused(tmp_path, base):
    async with runner.open_runner(state=base / "state") as r:
        with pytest.raises(ConfigError, match="inside itself"):
            r.project(base)
        with pytest.raises(ConfigError, match="inside itself"):
            r.project(base, store=base / "store")
        project = r.project(base, store=tmp_path / "store")
        await project.create("one")

    assert (tmp_path / "store/store.db").exists()


async def test_a_project_on_no_directory_is_refused_and_makes_nothing(r, tmp_path):
    project = r.project(tmp_path / "typo")
    with pytest.raises(ConfigError, match="no such directory"):
        await project.list()

    assert not os.path.exists(project.directory)


async def test_the_workspaces_outlive_their_base(project, base, said):
    ws = await project.create("one", way="copy")
    await ws.write("x", "1")
    await ws.status()
    shutil.rmtree(base)

    assert ["A x"] == said((await ws.status()).changes)
    with pytest.raises(ConfigError, match="no such directory"):
        await project.create("two")


async def test_two_handles_on_a_project_are_one(r, base):
    one, other = r.project(base), r.project(str(base) + "/src/..")
    ws = await one.create("one")
    again = await other.get("one")
    await ws.write("x", "1")

    assert "1" == await again.read("x")
    assert 1 == r.statistics().workspaces.actors
    with pytest.raises(NotFound):
        await again.read("y")
    assert issubclass(Destroyed, runner.RunnerError)


async def test_a_store_is_checked_measured_and_collected(project):
    ws = await project.create("one")
    await ws.write("x", "1" * 10_000)
    await ws.snapshots.create("s")
    checked, sizes = await project.check(), await project.sizes()

    assert () == checked.problems
    assert sizes.objects == checked.objects > 0
    assert 0 == (await project.collect(dry_run=True)).objects


async def test_what_no_person_made_is_kept_for_a_time_and_said_to_go(tmp_path, base):
    options = WorkspaceConfig(keep_undo=1, keep_undo_for=0.0, keep_deleted_for=0.0)
    config = runner.RunnerConfig(workspace=options)
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        project = r.project(base)
        ws, other = await project.create("one"), await project.create("two")
        for name in ("s", "t", "u"):
            await ws.write("x", name)
            await ws.snapshots.create(name)
        undone = [(await ws.snapshots.restore(name)).name for name in ("s", "t", "s")]
        await other.write("x", "1")
        await other.snapshots.create("by-a-person")
        await other.write("x", "2")
        rescue = await project.delete("two", force=True)
        said = await project.collect(dry_run=True)
        before = [each.name for each in await project.snapshots()]
        done = await project.collect()
        left = [each.name for each in await project.snapshots()]
        (row, *_) = await project.audit.logs(operation="snapshot_delete")

    assert [*undone[:2], rescue.name] == [each.snapshot.name for each in said.snapshots]
    assert "1 of its workspace are newer" in said.snapshots[0].why
    assert "was deleted" in said.snapshots[-1].why
    assert said.snapshots == done.snapshots
    assert {*left, *undone[:2], rescue.name} == set(before)
    assert ["s", "t", "u", undone[2], "by-a-person"] == left
    assert row.details["why"] == said.snapshots[0].why


async def test_a_workspace_whose_programs_are_held_is_made_so_that_they_can_be(project):
    isolation = runner.Isolation(mode="bwrap", required=True)
    ws = await project.create("held", isolation=isolation)
    done = await ws.exec("cat src/a.py; echo 2 > src/a.py")

    assert (0, "bwrap", "one\n") == (done.exit_code, done.isolation.mode, done.stdout)
    assert "2\n" == await ws.read("src/a.py")


async def test_the_live_tree_of_another_workspace_is_copied_as_it_changes(r, project, said):
    ws = await project.create("one", way="overlay")
    for path in (ws.path, f"{ws.path}/src"):
        inner = await r.project(path).create("inner")
        assert "copy" == inner.way
    await ws.write("src/a.py", "2")

    assert "one\n" == await inner.read("a.py")
    assert [] == said((await inner.status()).changes)
