"""What programs change in a workspace stands in its audit, each path by itself."""

import hashlib
import os

import pytest

from runner.errors import StoreError
from runner.watching import walking
from runner.watching.watch import Watch
from runner.workspaces import glancing, glimpses
from runner.workspaces.capturing import Capture


def sha(text):
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def told(rows):
    return sorted((each.operation, each.path, each.size_before, each.size_after) for each in rows)


async def changes(ws):
    return [each for each in await ws.audit.logs() if "by" in each.details]


@pytest.fixture
async def ws(project, base, way):
    (base / "old").mkdir()
    for name in ("x", "y"):
        (base / "old" / name).write_text(name)
    (base / "empty").mkdir()
    made = await project.create("one", way=way)
    await made.snapshots.create("first")
    return made


async def test_each_file_that_a_command_changed_is_a_row_with_sizes_and_digests(ws):
    await ws.exec(
        "echo two >> src/a.py; rm b.txt; mkdir -p new/er; ln -s a.py src/l; echo 1 >new/n"
    )
    rows = await changes(ws)
    (run,) = await ws.audit.logs(operation="exec")

    assert [
        ("mkdir", "new/er", None, None),
        ("remove", "b.txt", 2, None),
        ("write", "new/n", None, 2),
        ("write", "src/a.py", 4, 8),
        ("write", "src/l", None, 4),
    ] == told(rows)
    (edited,) = [each for each in rows if each.path == "src/a.py"]
    assert (sha("one\n"), sha("one\ntwo\n")) == (edited.sha_before, edited.sha_after)
    assert ("exec", run.time_ns) == (edited.details["by"], edited.details["began"])
    assert 5 == run.details["changes"]


async def test_a_command_that_changes_nothing_has_no_other_row(ws):
    await ws.exec("cat src/a.py; ls; touch -r b.txt b.txt; chmod 644 b.txt; echo one > src/a.py")
    (run,) = await ws.audit.logs(operation="exec")

    assert [] == told(await changes(ws))
    assert 0 == run.details["changes"]


async def test_modes_directories_and_what_is_in_them_are_said(ws):
    await ws.exec("chmod 600 b.txt; chmod 700 src; rmdir empty; rm -r old")
    first = told(await changes(ws))
    last = (await ws.audit.logs())[-1].seq
    await ws.exec("mkdir old; echo z > old/x; mv src lib")
    second = told([each for each in await changes(ws) if each.seq > last])

    assert [
        ("chmod", "b.txt", 2, 2),
        ("chmod", "src", None, None),
        ("remove", "empty", None, None),
        ("remove", "old/x", 1, None),
        ("remove", "old/y", 1, None),
    ] == first
    assert [
        ("move", "lib/a.py", None, 4),
        ("move", "src/a.py", 4, None),
        ("write", "old/x", None, 2),
    ] == second


async def test_a_directory_that_is_made_anew_hides_what_was_in_it(ws):
    await ws.exec("rm -r old; mkdir old; echo z > old/x")
    await ws.exec("echo y > old/y")

    assert [
        ("remove", "old/y", 1, None),
        ("write", "old/x", 1, 2),
        ("write", "old/y", None, 2),
    ] == told(await changes(ws))


async def test_what_was_done_by_others_while_a_program_ran_is_not_its(ws):
    program = await ws.start("read line; echo 1 > mine; echo 2 > both", writes=True)
    await ws.write("other", "o")
    await ws.write("both", "b")
    await ws.remove("b.txt")
    await ws.exec("echo e > theirs")
    await program.write("go\n")
    await program.wait()
    rows = await changes(ws)
    mine = [each for each in rows if each.details["by"] == "start"]

    assert [("write", "both", 1, 2), ("write", "mine", None, 2)] == told(mine)
    assert sha("b") == next(each.sha_before for each in mine if each.path == "both")
    assert [("write", "theirs", None, 2)] == told([each for each in rows if each not in mine])
    assert 2 == (await ws.audit.logs(operation="exit"))[0].details["changes"]


async def test_more_than_a_thousand_are_one_row_with_their_number(ws, monkeypatch):
    monkeypatch.setattr(glancing, "MOST", 10)
    await ws.exec("mkdir many; cd many; touch 1 2 3 4 5 6 7 8 9 a b")
    (row,) = await changes(ws)

    assert ("changes", ".", 11) == (row.operation, row.path, row.details["changes"])


async def test_a_large_tree_is_watched_from_its_first_command_on(project, base, monkeypatch):
    monkeypatch.setattr(glimpses, "ENTRIES", 1)
    monkeypatch.setattr(glimpses, "WALKED", 1)
    ws = await project.create("one", way="copy")
    await ws.exec("echo two >> src/a.py; mkdir d; rm b.txt")
    await ws.exec("echo three >> src/a.py")
    first, second = await ws.audit.logs(path="src/a.py")

    assert ("", sha("one\ntwo\n")) == (first.sha_before, first.sha_after)
    assert first.sha_after == second.sha_before
    assert [3, 1] == [each.details["changes"] for each in await ws.audit.logs(operation="exec")]


async def test_what_nobody_can_know_is_said(ws, monkeypatch):
    monkeypatch.setattr(glimpses, "ENTRIES", 1)
    monkeypatch.setattr(glimpses, "WALKED", 1)
    monkeypatch.setattr(Watch, "start", lambda _self: None)
    monkeypatch.setattr(Capture, "glance", lambda _self: None)
    await ws.exec("touch 1 2 3 4 5 6 7 8 9 a b")
    await ws.exec("touch c")
    (row,) = (await ws.audit.logs(operation="exec"))[1:]

    assert [] == await changes(ws)
    assert row.details["changes"] is None
    assert "more than 1 files to look at, and no hints" in row.details["changes_unknown"]


async def test_what_a_command_removes_that_nobody_had_seen_yet_is_said(project, base, way):
    (base / "l").symlink_to("b.txt")
    (base / "d").mkdir()
    (base / "d" / "deep").write_text("deep")
    ws = await project.create("one", way=way)
    await ws.exec("rm l; mv src/a.py moved; rm -r d; chmod 600 b.txt")
    rows = {each.path: each for each in await changes(ws)}

    assert [
        ("move", "moved", None, 4),
        ("move", "src/a.py", 4, None),
        ("remove", "d/deep", 4, None),
        ("remove", "l", 5, None),
    ] == [each for each in told(rows.values()) if each[1] != "b.txt"]
    assert "chmod" == rows["b.txt"].operation or way == "copy"  # nobody had read it before
    assert "600" == rows["b.txt"].details["mode_after"]
    assert "src/a.py" == rows["moved"].details["source"]
    assert "moved" == rows["src/a.py"].details["target"]
    assert way == "copy" or sha("deep") == rows["d/deep"].sha_before


async def test_who_ran_beside_another_says_so(ws):
    program = await ws.start("read line; echo 1 > mine", writes=True)
    await ws.exec("echo e > theirs")
    await program.write("go\n")
    await program.wait()
    await ws.exec("echo e > alone")

    assert {"mine": True, "theirs": True, "alone": None} == {
        each.path: each.details.get("shared") for each in await changes(ws)
    }


async def test_of_much_that_was_written_there_are_the_sizes(ws, monkeypatch):
    monkeypatch.setattr(glancing, "BYTES", 3)
    await ws.exec("echo 12345678 > x")
    (row,) = await changes(ws)

    assert (9, "") == (row.size_after, row.sha_after)


async def test_a_tree_that_was_replaced_meanwhile_tells_nothing_of_a_program(ws):
    program = await ws.start("read line", writes=True)
    await ws.write("x", "1")
    await ws.snapshots.restore("first", force=True)
    await program.write("go\n")
    await program.wait()
    (end,) = await ws.audit.logs(operation="exit")

    assert (None, "all files were set back meanwhile") == (
        end.details["changes"],
        end.details["changes_unknown"],
    )
    assert not os.path.exists(f"{ws.path}/x")


async def test_a_command_that_failed_or_was_ended_has_changed_what_it_changed(ws):
    await ws.exec("echo 1 > x; exit 3")
    await ws.exec("echo 1 > y; sleep 60", timeout=0.2)

    assert [("write", "x", None, 2), ("write", "y", None, 2)] == told(await changes(ws))


async def test_of_a_large_tree_the_hints_tell(project, base, monkeypatch):
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    monkeypatch.setattr(glimpses, "ENTRIES", 1)
    ws = await project.create("one", way="copy")
    await ws.snapshots.create("first")  # from here on it is watched
    await ws.exec("echo two >> src/a.py; mkdir d; rm b.txt")
    (edited,) = await ws.audit.logs(operation="write")

    assert [
        ("mkdir", "d", None, None),
        ("remove", "b.txt", 2, None),
        ("write", "src/a.py", 4, 8),
    ] == told(await changes(ws))
    assert (sha("one\n"), sha("one\ntwo\n")) == (edited.sha_before, edited.sha_after)
    assert "M src/a.py" in [str(each) for each in (await ws.status()).changes]


async def test_what_became_of_another_type_is_said(ws):
    await ws.exec("rm b.txt; mkdir b.txt; echo 1 > b.txt/x; rm -r old; echo 2 > old; mkfifo pipe")
    rows = {each.path: each for each in await changes(ws)}

    assert {"b.txt", "b.txt/x", "old", "old/x", "old/y", "pipe"} == rows.keys()
    assert ("write", 2) == (rows["old"].operation, rows["old"].size_after)
    assert (2, None) == (rows["b.txt"].size_before, rows["b.txt"].size_after)
    assert {"type": "other"}.items() <= rows["pipe"].details.items()


async def test_what_a_command_leaves_running_has_an_end_of_its_own(ws):
    scope = ws.scope(".")
    await scope.exec("mkfifo fifo; (read line; echo 1 > late) <fifo &", leftover="keep")
    await scope.exec("echo go > fifo; until test -s late; do :; done")
    await scope.exec("true")
    await scope.destroy()
    (end,) = await ws.audit.logs(operation="exit")

    assert "late" in {each.path for each in await changes(ws)}
    assert "changes" in end.details


async def test_what_cannot_be_looked_at_is_said_and_ends_nothing(ws, monkeypatch):
    def fail(*_about):
        raise StoreError("an object is gone")

    monkeypatch.setattr(glancing.Glancer, "end", fail)
    await ws.exec("touch x")
    monkeypatch.setattr(glancing.Glancer, "begin", fail)
    await ws.exec("touch y")
    rows = await ws.audit.logs(operation="exec")

    assert [0, 0] == [each.details["exit_code"] for each in rows]
    assert ["an object is gone"] * 2 == [each.details["changes_unknown"] for each in rows]
