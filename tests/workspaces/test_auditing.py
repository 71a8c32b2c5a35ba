from __future__ import annotations

import errno
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from runner.backends import files as local_files
from runner.backends.base import Backend
from runner.backends.local import LocalBackend
from runner.backends.threads import in_thread
from runner.errors import (
    Denied,
    ExecFailed,
    NoSpace,
    NotFound,
    RunnerError,
    StoreError,
    WrongType,
)
from runner.scopes.permitted import PermittedBackend
from runner.scopes.who import Who
from runner.workspaces import pending as waiting
from runner.workspaces import trail as trails
from runner.workspaces import witness as looking
from runner.workspaces.audit import Audit
from runner.workspaces.auditing import AuditedBackend
from runner.workspaces.digests import digest_of
from runner.workspaces.objects import CHUNK
from runner.workspaces.records import AuditRecord
from runner.workspaces.settling import settle
from runner.workspaces.store import Store
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Witness

WHO = Who(session="s-1", job="j-1", agent="claude")


def sha(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@attrs.define
class Place:
    """A live tree whose changes are audited, and the audit."""

    tree: Any
    store: Store
    trail: Trail
    witness: Witness
    files: AuditedBackend
    audit: Audit

    def rows(self) -> list[AuditRecord]:
        self.store.audit.catch_up()
        return list(self.store.audit.rows())

    def told(self) -> list[tuple[str, str, int | None, int | None]]:
        return [
            (each.operation, each.path, each.size_before, each.size_after) for each in self.rows()
        ]


def make_place(directory: Any, store: Store, inner: Backend | None = None) -> Place:
    tree = directory / "tree"
    tree.mkdir(exist_ok=True)
    trail, witness = Trail(store, "w-1", secrets=["hunter2hunter2"]), Witness(str(tree))
    local = LocalBackend(tree)
    files = AuditedBackend(inner or local, trail, WHO, witness, write_seen=local.write_seen)
    settle(trail, witness)

    async def do(work: Callable[[Store], Any]) -> Any:
        return await trio.to_thread.run_sync(work, store)

    return Place(tree, store, trail, witness, files, Audit(do, "w-1"))


@pytest.fixture
def store(tmp_path) -> Iterator[Store]:
    made = Store.open(str(tmp_path / "store.db"))
    yield made
    made.close()


@pytest.fixture
async def place(tmp_path, store) -> AsyncIterator[Place]:
    made = make_place(tmp_path, store)
    yield made
    await made.files.aclose()
    made.trail.close()
    assert not list(store.intents.rows())
    assert (await made.audit.verify()).ok


# ---------------------------------------------------------------- one path


async def test_a_write_is_a_row_with_sizes_and_digests_before_and_after_and_who(place):
    await place.files.write("a.txt", "one")
    await place.files.write("a.txt", "three")

    first, second = place.rows()
    assert (first.seq, first.workspace, first.operation, first.path) == (1, "w-1", "write", "a.txt")
    assert (first.session, first.job, first.agent, first.ok) == ("s-1", "j-1", "claude", True)
    assert (first.size_before, first.size_after) == (None, 3)
    assert (first.sha_before, first.sha_after) == ("", sha(b"one"))
    assert (second.sha_before, second.sha_after) == (sha(b"one"), sha(b"three"))
    assert second.previous == first.hash
    assert first.time_ns <= second.time_ns


async def test_every_kind_of_change_to_a_file_has_its_row(place):
    files = place.files
    await files.write("d/a", "one\n")
    await files.append("d/a", "two\n")
    await files.edit("d/a", "one", "three")
    await files.touch("b")
    await files.chmod("b", 0o600)
    await files.mkdir("e")
    await files.remove("b")

    assert place.told() == [
        ("write", "d/a", None, 4),
        ("append", "d/a", 4, 8),
        ("edit", "d/a", 8, 10),
        ("touch", "b", None, 0),
        ("chmod", "b", 0, 0),
        ("mkdir", "e", None, None),
        ("remove", "b", 0, None),
    ]
    rows = place.rows()
    assert rows[2].sha_after == sha(b"three\ntwo\n")
    assert rows[4].details == {"mode_before": "644", "mode_after": "600"}
    assert rows[5].details == {"type": "directory"}


async def test_a_write_that_fails_when_it_has_begun_is_a_row_with_what_is_there(place, monkeypatch):
    (place.tree / "a").write_text("old")

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as patched:
        patched.setattr(local_files, "put", fail)
        with pytest.raises(NoSpace):
            await place.files.write("a", "new")
    await place.files.write("a", "newer")

    first, second = place.rows()
    assert (first.ok, first.size_before, first.size_after) == (False, 3, 3)
    assert first.details["error"] == "NoSpace"
    assert (second.ok, second.size_before, second.size_after) == (True, 3, 5)


async def test_a_write_of_what_has_a_large_file_before_it_is_a_row_as_well(place):
    (place.tree / "a").write_bytes(b"x" * 100_000)
    (place.tree / "d").mkdir()
    await place.files.write("a", "new")
    with pytest.raises(WrongType):
        await place.files.write("d", "new")

    assert place.told() == [("write", "a", 100_000, 3), ("write", "d", None, None)]


async def test_what_only_looks_is_not_audited(place):
    await place.files.write("a", "x")
    await place.files.read("a")
    await place.files.stat("a")
    await place.files.ls(".")
    await place.files.glob("**")

    assert len(place.rows()) == 1


async def test_what_failed_is_a_row_with_the_reason(place):
    with pytest.raises(NotFound):
        await place.files.edit("none", "a", "b")
    with pytest.raises(RunnerError):
        await place.files.write("../out", "x")
    with pytest.raises(RunnerError):
        await place.files.write("/etc/out", "x")

    first, second, third = place.rows()
    assert (first.operation, first.path, first.ok) == ("edit", "none", False)
    assert first.details["error"] == "NotFound"
    assert (second.path, second.ok, second.details["error"]) == ("../out", False, "PathEscapes")
    assert (third.path, third.ok, third.details["error"]) == ("/etc/out", False, "PathEscapes")


async def test_a_path_is_told_by_where_it_really_lies(place):
    (place.tree / "real").mkdir()
    (place.tree / "link").symlink_to("real")
    (place.tree / "real" / "to").symlink_to("target")
    await place.files.write("link/./a", "x")
    await place.files.write(str(place.tree / "real" / "b"), "x")
    await place.files.write("link/to", "x")

    assert [each.path for each in place.rows()] == ["real/a", "real/b", "real/target"]


async def test_a_link_that_is_removed_or_moved_is_meant_itself(place):
    (place.tree / "a").write_text("long content")
    (place.tree / "link").symlink_to("a")
    await place.files.move("link", "other")
    await place.files.remove("other")

    assert place.told() == [
        ("move", "link", 1, None),
        ("move", "other", None, 1),
        ("remove", "other", 1, None),
    ]
    assert place.rows()[2].details["type"] == "link"


@pytest.mark.parametrize("name", [b"bad\xff", b"new\nline", b"-x", b"x" * 255])
async def test_names_of_any_bytes_are_kept(place, name):
    path = os.fsdecode(name)
    await place.files.write(path, "x")

    assert [each.path for each in await place.audit.logs(path=path)] == [path]


async def test_a_scope_inside_tells_paths_from_the_top(place):
    (place.tree / "sub").mkdir()
    inner = LocalBackend(place.tree / "sub", beneath=place.tree)
    files = AuditedBackend(inner, place.trail, WHO, place.witness, inside="sub")
    await files.write("a", "x")
    await files.upload({"b": b"y"})
    await files.exec(["true"])
    await files.aclose()

    assert [each.path for each in place.rows()] == ["sub/a", "sub/b", ""]
    assert place.rows()[2].details["cwd"] == "sub"


# ---------------------------------------------------------------- what takes longer


async def test_large_contents_have_the_digest_of_their_chunks_and_holes_are_not_read(place):
    content = b"x" * CHUNK + b"y" * 5
    await place.files.write("large", content)
    await place.files.append("large", "z")
    os.truncate(place.tree / "large", 1 << 40)  # sparse: a terabyte would take hours to read
    os.truncate(place.tree / "large", 1 << 32)
    await place.files.remove("large")

    first, second, third = place.rows()
    assert first.sha_after == digest_of(content) == second.sha_before
    assert second.sha_after == digest_of(content + b"z")
    assert first.sha_after.startswith("chunks:")
    assert third.size_before == 1 << 32


async def test_what_was_hashed_is_not_hashed_again_while_it_is_as_it_was(place, monkeypatch):
    await place.files.write("large", b"x" * (CHUNK + 1))
    await place.files.chmod("large", 0o600)
    monkeypatch.setattr(looking, "chunk_ids", None)  # would be called to hash it

    await in_thread(lambda: place.witness.look([looking.Spot("large")]))


async def test_durable_and_conditional_writes_are_audited_as_well(place):
    await place.files.write("a", "one", durable=True)
    await place.files.write("a", "two", expected=hashlib.sha256(b"one").hexdigest())

    assert place.told() == [("write", "a", None, 3), ("write", "a", 3, 3)]


async def test_an_upload_is_a_row_for_each_file_and_each_fails_by_itself(place):
    (place.tree / "directory").mkdir()
    await place.files.upload({"a": b"1", "directory": b"22", "c": b"333"})

    rows = place.rows()
    assert [(each.path, each.ok, each.size_after) for each in rows] == [
        ("a", True, 1),
        ("directory", False, None),
        ("c", True, 3),
    ]
    assert rows[1].details["error"] == "WrongType"


async def test_a_batch_is_a_row_for_each_path(place):
    async with place.files.batch() as batch:
        await batch.write("a", "1")
        await batch.write("b", "22")
        await batch.remove("a")

    assert place.told() == [("batch", "a", None, None), ("batch", "b", None, 2)]
    assert place.rows()[0].details["operations"] == ["write", "write", "remove"]


async def test_a_tree_is_a_row_for_each_path_in_it(place):
    await place.files.write("d/one", "1")
    await place.files.write("d/e/two", "22")
    await place.files.copy("d", "copy")
    await place.files.move("copy", "moved")
    await place.files.remove("moved", recursive=True)

    told = place.told()[2:]
    assert [each for each in told if each[0] == "copy"] == [
        ("copy", "copy", None, None),
        ("copy", "copy/e", None, None),
        ("copy", "copy/e/two", None, 2),
        ("copy", "copy/one", None, 1),
    ]
    assert ("move", "copy/e/two", 2, None) in told
    assert ("move", "moved/e/two", None, 2) in told
    assert ("remove", "moved/one", 1, None) in told
    assert len(told) == 4 + 8 + 4


async def test_a_directory_of_very_many_files_is_one_row_with_counts_and_a_digest(
    place, monkeypatch
):
    monkeypatch.setattr(looking, "MOST", 10)
    big = place.tree / "big"
    big.mkdir()
    for number in range(11):
        (big / str(number)).write_text("xy")
    await place.files.move("big", "other")
    await place.files.remove("other", recursive=True)

    gone, came, removed = place.rows()
    assert (gone.path, gone.size_before, gone.details["entries_before"]) == ("big", 22, 11)
    assert gone.sha_before.startswith("listing:")
    assert gone.sha_before == came.sha_after == removed.sha_before
    assert came.details["entries_after"] == 11


async def test_a_stream_that_is_put_in_place_is_a_row(place):
    (place.tree / "a").write_text("old")
    async with place.files.open_stream("a", "wb") as stream:
        await stream.send(b"new content")
    async with place.files.open_stream("b", "wb"):
        pass

    assert place.told()[0] == ("write", "a", 3, 11)
    assert place.rows()[0].sha_after == sha(b"new content")


# ---------------------------------------------------------------- programs


async def test_a_command_is_a_row_with_its_exit_code_and_its_duration_and_without_secrets(place):
    await place.files.exec("exit 3; : --password abcdefgh hunter2hunter2 $TOKEN", cwd=".")

    (row,) = place.rows()
    assert (row.operation, row.ok, row.path) == ("exec", True, "")
    assert row.details["exit_code"] == 3
    assert row.details["outcome"] == "exited"
    assert row.details["duration"] > 0
    assert "abcdefgh" not in row.details["command"]
    assert "hunter2" not in row.details["command"]


async def test_the_values_of_secret_variables_are_taken_out_of_the_command(place):
    await place.files.exec(["true", "xyzzyxyzzy"], env={"API_KEY": "xyzzyxyzzy"})

    assert place.rows()[0].details["command"] == "true [redacted]"


async def test_a_command_that_cannot_be_started_is_a_row(place):
    with pytest.raises(ExecFailed):
        await place.files.exec(["no-such-program-here"])

    (row,) = place.rows()
    assert (row.ok, row.details["error"]) == (False, "ExecFailed")


async def test_a_command_that_is_cancelled_is_a_row_of_unknown_end(place):
    with trio.move_on_after(0.2):
        await place.files.exec(["sleep", "60"])

    (row,) = place.rows()
    assert (row.ok, row.details["cancelled"]) == (None, True)


async def test_a_very_long_command_is_cut(place):
    await place.files.exec(["true", "x" * 5000])

    assert place.rows()[0].details["command"].endswith("… 909 more")


async def test_what_is_started_is_a_row_and_its_end_another(place):
    program = await place.files.start("exit 4")
    await program.wait()

    start, end = place.rows()
    assert (start.operation, start.ok, start.details["pid"]) == ("start", True, program.pid)
    assert (end.operation, end.ok, end.details["exit_code"]) == ("exit", True, 4)
    assert start.details["id"] == end.details["id"] == program.id


async def test_a_program_that_is_followed_to_its_end_is_two_rows(place):
    async with place.files.stream("echo hello") as program:
        lines = [each.text async for each in program]

    assert lines == ["hello"]
    assert [each.operation for each in place.rows()] == ["start", "exit"]
    assert place.rows()[1].details["exit_code"] == 0


async def test_a_program_that_is_ended_is_two_rows(place):
    async with place.files.stream(["sleep", "60"]):
        pass

    assert [each.operation for each in place.rows()] == ["start", "exit"]
    assert place.rows()[1].details["exit_code"] == -signal.SIGKILL


async def test_a_program_that_ends_with_its_scope_is_two_rows(place):
    await place.files.start(["sleep", "60"])
    await place.files.aclose()

    assert [each.operation for each in place.rows()] == ["start", "exit"]


# ---------------------------------------------------------------- order, others, permissions


async def test_what_permissions_deny_never_comes_to_the_audit(place):
    with pytest.raises(Denied):
        await PermittedBackend(place.files, "read-only").write("a", "x")

    assert place.rows() == []


async def test_what_permissions_allow_is_audited_by_its_real_path(place):
    (place.tree / "real").mkdir()
    (place.tree / "link").symlink_to("real")
    permitted = PermittedBackend(place.files, "permissive")
    await permitted.write("link/a", "x")

    assert place.told() == [("write", "real/a", None, 1)]


async def test_while_somebody_else_writes_to_the_store_what_is_done_at_once_is_done(place, store):
    await place.files.write("a", "0")

    with store.transaction():
        store.facts.set("x", b"y")
        await place.files.write("a", "1")
        assert (place.tree / "a").read_text() == "1"
        assert not place.trail.write_down(0)

    assert place.told() == [("write", "a", None, 1), ("write", "a", 1, 1)]


async def test_when_no_more_can_wait_for_the_store_a_write_waits_and_trio_does_not(
    place, store, monkeypatch
):
    monkeypatch.setattr(waiting, "MOST", 1)
    await place.files.write("a", "0")

    async with trio.open_nursery() as nursery:
        with store.transaction():
            store.facts.set("x", b"y")
            nursery.start_soon(place.files.write, "a", "1")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert (place.tree / "a").read_text() == "0"

    assert (place.tree / "a").read_text() == "1"
    assert place.told()[1] == ("write", "a", 1, 1)


async def test_who_waits_too_long_is_told_and_nothing_was_done(place, store, monkeypatch):
    monkeypatch.setattr(trails, "PATIENCE", 0.05)
    monkeypatch.setattr(waiting, "MOST", 0)

    with store.transaction(), pytest.raises(StoreError, match="others have been writing"):
        store.facts.set("x", b"y")
        await place.files.write("a", "1")

    assert not (place.tree / "a").exists()
    assert place.rows() == []


async def test_the_log_of_the_store_is_moved_into_it_every_now_and_then(place, store, monkeypatch):
    monkeypatch.setattr(trails, "EVERY", 10)
    for number in range(30):
        await place.files.write("a", str(number))
    grown = os.stat(store.path).st_size

    for number in range(300):
        await place.files.write("a", str(number))

    assert os.stat(store.path).st_size > grown
    assert len(place.rows()) == 330


async def test_many_at_once_have_their_rows_and_one_chain(place):
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(place.files.write, f"f{number}", b"x" * 70_000 * (number % 2))

    rows = place.rows()
    assert sorted(each.path for each in rows) == sorted(f"f{number}" for number in range(20))
    assert all(each.sha_after == sha(b"x" * (each.size_after or 0)) for each in rows)


async def test_a_cancelled_change_says_what_is_there(place):
    (place.tree / "d").mkdir()
    for number in range(300):
        (place.tree / "d" / str(number)).write_text("x")
    with trio.move_on_after(0.001) as cancel_scope:
        for _ in range(100):
            await place.files.copy("d", "copy", overwrite=True)
    rows = place.rows()

    assert cancel_scope.cancelled_caught
    last = [each for each in rows if each.ok is None]
    assert all(each.details["cancelled"] for each in last)
    here = {each for each in os.listdir(place.tree) if each == "copy"}
    assert bool(here) is any(each.size_after is not None for each in rows)
