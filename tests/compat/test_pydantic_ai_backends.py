"""pydantic-ai-backend's names: constructors, answers, limits and exact texts of 0.2.29."""

from __future__ import annotations

import asyncio
import json
import os
import time

import pytest
import trio

from runner.compat.pydantic_ai_backends import (
    DEFAULT_RULESET,
    PERMISSIVE_RULESET,
    READONLY_RULESET,
    STRICT_RULESET,
    CompositeBackend,
    EditResult,
    ExecuteResponse,
    LocalBackend,
    OperationPermissions,
    PermissionAskError,
    PermissionChecker,
    PermissionDeniedError,
    PermissionRule,
    PermissionRuleset,
    StateBackend,
    WriteResult,
    apply_hashline_edit,
    apply_hashline_edit_with_summary,
    create_ruleset,
    format_hashline_output,
    line_hash,
)


@pytest.fixture
def backend(tmp_path):
    made = LocalBackend(tmp_path / "root")
    yield made
    made.close()


def names(entries):
    return [each["name"] for each in entries]


# ---------------------------------------------------------------- local: files


def test_a_file_is_written_read_edited_and_listed(backend, tmp_path):
    path = str(tmp_path / "root" / "a" / "b.txt")

    assert backend.write("a/b.txt", "one\r\ntwo\nthree") == WriteResult(path=path)
    assert (tmp_path / "root" / "a" / "b.txt").read_bytes() == b"one\ntwo\nthree"
    assert backend.write("raw", b"\r\n\xff").path
    assert backend.read("a/b.txt") == "     1\tone\n     2\ttwo\n     3\tthree"
    assert backend.read("a/b.txt", 1, 1) == "     2\ttwo\n\n... (1 more lines)"
    assert backend.read(path) == backend.read("a/b.txt")
    assert backend.read_bytes("raw") == b"\r\n\xff"
    assert backend.read("raw") == "     1\t\n     2\t\ufffd"
    assert backend.edit("a/b.txt", "two", "2") == EditResult(path=path, occurrences=1)
    assert backend.edit("a/b.txt", "e", "E", replace_all=True).occurrences == 3
    assert backend.read_bytes("a/b.txt") == b"onE\n2\nthrEE"
    assert [backend.exists(p) for p in ("a/b.txt", "a", "no", "\0", "../x")] == [
        True, False, False, False, False,
    ]  # fmt: skip
    (entry,) = backend.ls_info("a/b.txt")
    assert (entry["name"], entry["path"], entry["is_dir"], entry["size"]) == (
        "b.txt", path, False, 11,
    )  # fmt: skip
    assert names(backend.ls_info(".")) == ["a", "raw"]
    assert backend.ls_info("/")[:0] == backend.ls_info("no") == []


def test_failures_have_the_peers_texts(backend, tmp_path):
    root = tmp_path / "root"
    backend.write("dup", "x x")
    backend.write("raw", b"\xff")
    (root / "dir").mkdir()
    outside = f"Access denied: '../x' is outside allowed directories ({root})"

    assert backend.read("no") == "Error: File 'no' not found"
    assert backend.read("dir") == "Error: 'dir' is a directory"
    assert backend.read("dup", 5) == "Error: Offset 5 exceeds file length (1 lines)"
    assert backend.read("../x") == f"Error: {outside}"
    assert backend.read_bytes("../x") == backend.read_bytes("dir") == b""
    assert backend.write("../x", "") == WriteResult(error=outside)
    assert backend.write("dir", "").error
    assert backend.edit("../x", "a", "b") == EditResult(error=outside)
    assert backend.edit("no", "a", "b") == EditResult(error="File 'no' not found")
    assert backend.edit("raw", "a", "b").error == (
        "'raw' is not valid UTF-8 text and cannot be edited"
    )
    assert backend.edit("dup", "y", "b").error == "String 'y' not found in file"
    assert backend.edit("dup", "x", "b").error == (
        "String 'x' found 2 times. Use replace_all=True to replace all, or provide more context."
    )
    assert backend.grep_raw("x", "../x") == outside
    assert backend.grep_raw("x", "no") == f"Error: Path '{root}/no' not found"
    assert str(backend.grep_raw("(")).startswith("Error: Invalid regex pattern: ")
    assert backend.glob_info("*", "../x") == backend.ls_info("../x") == []


def test_a_read_is_held_to_its_limits(backend):
    backend.write("long", "x" * 300 + "\n" + ("y" * 99 + "\n") * 3000)

    shown = backend.read("long")
    assert shown[200_000:] == (
        "\n\n... (truncated at 200,000 chars — pass a smaller `limit`/`offset` or use"
        " `grep` to read the rest)"
    )
    assert backend.read("long", 0, 2500).startswith(
        "Error: The requested range is too large to return ("
    )
    assert backend.read("long", 0, 2500).endswith(
        " chars, limit 200,000). Read a smaller slice with a lower `limit`, or use `grep` to"
        " locate the part you need."
    )


def test_links_that_lead_out_are_refused_and_not_listed(backend, tmp_path):
    (tmp_path / "secret").write_text("secret")
    os.symlink("../secret", tmp_path / "root" / "link")
    backend.write("inside", "secret")
    os.symlink("inside", tmp_path / "root" / "fine")

    assert "outside allowed directories" in backend.read("link")
    assert "outside allowed directories" in backend.write("link", "x").error
    assert names(backend.ls_info(".")) == ["fine", "inside"]
    assert [m["path"] for m in backend.grep_raw("secret")] == [str(tmp_path / "root" / "inside")]
    assert (tmp_path / "secret").read_text() == "secret"


def test_several_directories_may_be_allowed(tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    backend = LocalBackend(allowed_directories=[one, two])

    assert str(backend.root_dir) == one
    assert backend.write("a", "in one").path == f"{one}/a"
    assert backend.write(f"{two}/b", "in two").path == f"{two}/b"
    assert backend.read(f"{two}/b") == "     1\tin two"
    assert names(backend.ls_info(two)) == ["b"]
    assert f"allowed directories ({one}, {two})" in backend.read("/etc/passwd")
    backend.close()


def test_glob_gives_files_the_latest_first(backend, tmp_path):
    now = time.time()
    for age, name in enumerate(["new.py", "sub/mid.py", "old.py", "a.txt"]):
        backend.write(name, "x")
        os.utime(tmp_path / "root" / name, (now - age, now - age))
    backend.write("dir.py/x", "")

    assert names(backend.glob_info("**/*.py")) == ["new.py", "mid.py", "old.py"]
    assert names(backend.glob_info("*.py")) == ["new.py", "old.py"]
    (found,) = backend.glob_info("*.py", "sub")
    assert found["path"] == str(tmp_path / "root" / "sub" / "mid.py")
    assert backend.glob_info("*", "no") == []


def test_grep_gives_lines_and_its_pattern_is_no_option(backend, tmp_path):
    backend.write("a.py", "one\ntwo --files\n")
    backend.write("sub/b.txt", "two\n")
    backend.write(".hidden/c.py", "two\n")
    backend.write("node_modules/d.py", "two\n")
    root = tmp_path / "root"

    assert backend.grep_raw("tw.") == [
        {"path": str(root / "a.py"), "line_number": 2, "line": "two --files"},
        {"path": str(root / "sub" / "b.txt"), "line_number": 1, "line": "two"},
    ]
    assert len(backend.grep_raw("two", ignore_hidden=False)) == 4
    assert [m["path"] for m in backend.grep_raw("two", glob="*.py")] == [str(root / "a.py")]
    assert [m["line"] for m in backend.grep_raw("--files")] == ["two --files"]
    assert len(backend.grep_raw("two", ".hidden/c.py")) == 1
    assert len(backend.grep_raw("two", "sub")) == 1
    assert backend.grep_raw("nothing here") == []


# ---------------------------------------------------------------- local: commands


def test_a_command_gives_its_output_and_exit_code(backend, tmp_path):
    assert backend.execute("echo out; echo err >&2; exit 3") == ExecuteResponse("out\nerr\n", 3)
    assert backend.execute("pwd").output == f"{tmp_path}/root\n"
    assert backend.execute("sleep 100", timeout=1) == ExecuteResponse(
        "Error: Command timed out", 124
    )
    done = backend.execute("yes é | head -c 3000000; exit 1")
    assert (len(done.output), done.exit_code, done.truncated) == (100_000, 1, True)
    assert done.output == "é\n" * 50_000
    assert backend.execute("cat") == ExecuteResponse("", 0)


def test_what_cannot_be_reached_is_an_answer_and_no_exception(tmp_path):
    backend = LocalBackend(tmp_path / "root")
    backend.write("file", "x")
    (tmp_path / "root" / "dir").mkdir()
    os.mkfifo(tmp_path / "root" / "fifo")

    assert backend.read("fifo").startswith("Error: ")
    assert backend.edit("dir", "a", "b").error
    assert backend.write("file/below", "x").error
    assert backend.read("\0").startswith("Error: Access denied")
    assert backend.grep_raw("x", "\0").startswith("Access denied")
    assert backend.glob_info("[", "file") == []
    assert backend.execute("nul\0byte").exit_code == 1
    backend.close()


def test_commands_can_be_disabled(tmp_path):
    backend = LocalBackend(tmp_path, enable_execute=False, sandbox_id="mine")

    assert (backend.id, backend.execute_enabled) == ("mine", False)
    for call in (backend.execute, backend.execute_background):
        with pytest.raises(RuntimeError) as raised:
            call("ls")
        assert str(raised.value) == (
            "Shell execution is disabled for this backend. Initialize with enable_execute=True"
            " to enable."
        )


def test_an_async_command_is_put_down_when_it_is_cancelled(backend, tmp_path):
    command = "echo $$ > new; mv new pid; exec sleep 1000"
    pid = tmp_path / "root" / "pid"

    async def in_asyncio():
        assert (await backend.async_execute("echo hi")).output == "hi\n"
        task = asyncio.create_task(backend.async_execute(command))
        while not pid.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not os.path.exists(f"/proc/{int(pid.read_text())}")

    async def in_trio():
        assert (await backend.async_execute("echo hi")).output == "hi\n"
        assert (await backend.async_execute("sleep 100", 1)).exit_code == 124

    asyncio.run(in_asyncio())
    trio.run(in_trio)


def test_background_commands_are_read_bit_by_bit_listed_and_ended(backend):
    backend.execute("mkfifo fifo")
    handle = backend.execute_background("echo one; read line < fifo; echo $line; exit 5")
    assert handle.shell_id == "bg_1"
    seen = ""
    while "one" not in seen:
        seen += backend.read_background("bg_1").stdout
    assert seen == "one\n"
    assert backend.list_background()[0].running
    backend.execute("echo two > fifo")
    while (now := backend.read_background("bg_1")).running:
        seen += now.stdout
    assert (seen + now.stdout, now.exit_code) == ("one\ntwo\n", 5)
    (listed,) = backend.list_background()
    assert (listed.shell_id, listed.pid) == ("bg_1", handle.pid)

    long = backend.execute_background("sleep 1000")
    assert backend.read_background(long.shell_id).running
    assert backend.kill_background(long.shell_id)
    assert not backend.kill_background(long.shell_id)
    assert not os.path.exists(f"/proc/{long.pid}")
    ended = backend.read_background(long.shell_id)
    assert (ended.running, ended.stdout) == (False, "")
    assert ended.exit_code is not None
    assert backend.read_background("no").stderr == "No such background shell: no"
    assert not backend.kill_background("no")
    backend.kill_all_background()
    assert backend.list_background() == []


# ---------------------------------------------------------------- permissions


def test_permissions_refuse_and_hide(tmp_path):
    rules = PermissionRuleset(
        default="allow",
        read=OperationPermissions(
            rules=[
                PermissionRule(pattern="**/.env", action="deny", description="no secrets"),
                PermissionRule(pattern="**/quiet", action="deny"),
            ]
        ),
        write=OperationPermissions(default="deny"),
        edit=OperationPermissions(default="ask"),
        ls=OperationPermissions(rules=[PermissionRule(pattern="**/quiet", action="deny")]),
        glob=OperationPermissions(rules=[PermissionRule(pattern="**/quiet", action="deny")]),
    )
    (tmp_path / ".env").write_text("word")
    (tmp_path / "quiet").write_text("word")
    (tmp_path / "plain").write_text("word")
    os.symlink(".env", tmp_path / "link")
    b = LocalBackend(tmp_path, permissions=rules, ask_fallback="deny")
    plain = f"{tmp_path}/plain"

    assert b.permissions is rules
    assert b.permission_checker.is_denied("write", "/x")
    assert b.read(".env") == b.read("link") == "Error: Permission denied: no secrets"
    assert b.read("quiet") == f"Error: Permission denied for read on '{tmp_path}/quiet'"
    assert b.read_bytes(".env") == b""
    assert b.write("plain", "x").error == f"Permission denied for write on '{plain}'"
    assert b.edit("plain", "word", "x").error == (
        f"Permission denied for edit on '{plain}' (approval required)"
    )
    assert names(b.ls_info(".")) == [".env", "link", "plain"]
    assert sorted(names(b.glob_info("*"))) == [".env", "link", "plain"]
    assert [m["path"] for m in b.grep_raw("word")] == [plain]
    assert (
        b.execute("cat .env").output
        == (
            f"Error: Permission denied: command references '{tmp_path}/.env',"
            " which is denied for read"
        )
        or "denied for write" in b.execute("cat .env").output
    )
    b.close()

    asking = LocalBackend(tmp_path, permissions=STRICT_RULESET)
    with pytest.raises(PermissionAskError, match="Permission required for read on"):
        asking.read("plain")
    asking.close()


def test_the_checker_asks_denies_and_matches_in_order():
    async def yes(_operation, _target, reason):
        return reason == "please"

    async def main():
        ask = PermissionChecker(DEFAULT_RULESET, yes)
        assert await ask.check("read", "/a/b")
        assert await ask.check("write", "/a/b", "please")
        with pytest.raises(PermissionDeniedError, match="^Permission denied for write on '/a'$"):
            await ask.check("write", "/a")
        with pytest.raises(PermissionDeniedError, match="'/a/.env': Protect sensitive files"):
            await ask.check("read", "/a/.env")
        nobody = PermissionChecker(DEFAULT_RULESET)
        with pytest.raises(PermissionAskError, match="^Permission required for write on '/a': r"):
            await nobody.check("write", "/a", "reason")
        with pytest.raises(PermissionDeniedError):
            await PermissionChecker(DEFAULT_RULESET, None, "deny").check("write", "/a")

    asyncio.run(main())
    trio.run(main)
    checker = PermissionChecker(PERMISSIVE_RULESET)
    assert checker.is_denied("write", "/etc/hosts")
    assert checker.is_denied("execute", "mkfs.ext4")
    assert checker.is_allowed("execute", "ls")
    assert PermissionChecker(READONLY_RULESET).is_denied("execute", "ls")
    assert PermissionChecker(STRICT_RULESET).requires_approval("ls", "/")
    made = PermissionChecker(create_ruleset(allow_write=True, deny_secrets=False))
    assert made.is_allowed("write", "/.env")
    assert made.requires_approval("execute", "ls")


@pytest.mark.parametrize(
    ("pattern", "target", "matches"),
    [
        ("**/.env", ".env", True),
        ("**/.env", "/a/b/.env", True),
        ("**/.env", "/a/.env.x", False),
        ("/etc/**", "/etc/a/b", True),
        ("*.py", "a/b.py", False),
        ("a?c", "a/c", False),
        ("[!a]x", "bx", True),
        ("[^a]x", "ax", False),
        ("[a-c]x", "bx", True),
        ("[x", "[x", True),
        ("[]x", "[]x", True),
        ("[!]?", "[!]y", True),
        ("[]x]y", "]y", True),
        ("[z-a]", "z", False),
        ("a.b", "axb", False),
    ],
)
def test_patterns_match_as_the_peers(pattern, target, matches):
    rules = OperationPermissions("allow", [PermissionRule(pattern, "deny")])
    checker = PermissionChecker(PermissionRuleset(read=rules))

    assert checker.is_denied("read", target) is matches


# ---------------------------------------------------------------- state


def test_a_state_backend_is_one_json_document():
    state = StateBackend()

    assert state.write("src//./a.py", "one\ntwo") == WriteResult(path="/src/a.py")
    assert state.write("/bin", b"\xff\x00").path == "/bin"
    assert state.write("/text", b"plain").path == "/text"
    again = StateBackend(json.loads(json.dumps(state.files)))
    assert again.read_bytes("/bin") == b"\xff\x00"
    assert again.read("/src/a.py") == "     1\tone\n     2\ttwo"
    assert again.read("/text") == "     1\tplain"
    assert again.edit("/src/a.py", "two", "2") == EditResult("/src/a.py", None, 1)
    assert names(again.ls_info("/")) == ["src", "bin", "text"]
    assert names(again.ls_info("/src/a.py")) == names(again.glob_info("**/*.py")) == ["a.py"]
    assert again.glob_info("*.py", "/src")[0]["size"] == 5
    assert again.grep_raw("^o") == [{"path": "/src/a.py", "line_number": 1, "line": "one"}]
    again.write("/.hid/a.py", "one")
    assert len(again.grep_raw("one")) == len(again.grep_raw("one", "/.hid/a.py")) == 1
    assert len(again.grep_raw("one", ignore_hidden=False)) == 2
    assert again.grep_raw("one", "/src", glob="**/*.txt") == []
    assert again.read("/src/a.py", 0, 1) == "     1\tone\n\n... (1 more lines)"
    again.files["/cut"] = {
        "content": ["x"],
        "created_at": "",
        "modified_at": "",
        "encoding": "base64",
    }
    assert again.read_bytes("/cut") == b""
    assert (again.exists("/src"), again.exists("/bin")) == (False, True)


def test_a_state_backends_failures_have_the_peers_texts():
    state = StateBackend()
    state.write("/bin", b"\xff")
    state.write("/a", "x x")

    assert state.read("a/../b") == "Error: Path cannot contain '..'"
    assert state.write("~/x", "").error == "Path cannot start with '~'"
    assert state.edit("C:x", "a", "b").error == "Windows absolute paths are not allowed"
    assert state.grep_raw("x", "..") == "Error: Path cannot contain '..'"
    assert state.read("no") == "Error: File '/no' not found"
    assert state.read("a", 9) == "Error: Offset 9 exceeds file length (1 lines)"
    assert state.read("bin") == "Error: File '/bin' is binary; read it as bytes instead"
    assert state.edit("bin", "a", "b").error == (
        "File '/bin' is binary and cannot be edited as text"
    )
    assert state.edit("no", "a", "b").error == "File '/no' not found"
    assert state.edit("a", "x", "y").error.startswith("String 'x' found 2 times. Use")
    assert str(state.grep_raw("(")).startswith("Error: Invalid regex pattern: ")
    assert state.ls_info("..") == state.glob_info("*", "..") == []
    assert state.read_bytes("..") == state.read_bytes("no") == b""


# ---------------------------------------------------------------- composite


def test_a_composite_routes_by_the_longest_prefix_and_passes_paths_as_they_are(backend, tmp_path):
    one, two = StateBackend(), StateBackend()
    both = CompositeBackend(backend, {"/mem/": one, "/mem/deep": two})
    both.write("real.txt", "word")
    both.write("/mem/a.txt", "word")
    both.write("/mem/deep/b.txt", "word")
    both.write("/memory.txt", "x")

    assert list(one.files) == ["/mem/a.txt"]
    assert list(two.files) == ["/mem/deep/b.txt"]
    assert both.exists("/mem/a.txt")
    assert both.read("/mem/deep/b.txt") == "     1\tword"
    assert both.read_bytes("/mem/a.txt") == b"word"
    assert both.edit("/mem/a.txt", "word", "more").occurrences == 1
    assert names(both.ls_info("/")) == ["mem"]
    assert names(both.ls_info("/mem")) == ["a.txt"]
    assert [m["path"] for m in both.grep_raw("word")] == [
        str(tmp_path / "root" / "real.txt"),
        "/mem/deep/b.txt",
    ]
    assert len(both.grep_raw("word", "/mem/deep")) == 1
    assert str(both.grep_raw("(")).startswith("Error: Invalid regex pattern: ")
    assert names(both.glob_info("*.txt", "/mem")) == ["a.txt"]
    assert names(both.glob_info("*.txt", "/")) == ["a.txt", "b.txt"]


# ---------------------------------------------------------------- hashline


def test_hashline_shows_and_edits_with_the_peers_texts():
    text = "one\ntwo\nthree\n"
    one, two, three = map(line_hash, ["one", "two", "three"])

    assert (one, len(two)) == ("f9", 2)
    assert format_hashline_output(text) == f"1:{one}|one\n2:{two}|two\n3:{three}|three"
    assert format_hashline_output(text, 1, 1) == f"2:{two}|two\n\n... (1 more lines)"
    assert format_hashline_output(text, 7) == "Error: Offset 7 exceeds file length (3 lines)"
    edit = apply_hashline_edit_with_summary
    assert edit(text, 2, two, "2") == ("one\n2\nthree\n", None, "Replaced 1 line(s) at line 2")
    assert edit(text, 1, one, "", 2, two) == ("three\n", None, "Deleted 2 line(s) at line 1")
    assert edit(text, 1, one, "a\nb", insert_after=True) == (
        "one\na\nb\ntwo\nthree\n",
        None,
        "Inserted 2 line(s) after line 1",
    )
    assert edit("a", 1, line_hash("a"), "b\nc") == (
        "b\nc",
        None,
        "Replaced 1 line(s) with 2 line(s) at line 1",
    )
    errors = [
        apply_hashline_edit(text, 9, "00", ""),
        apply_hashline_edit(text, 1, "zz", ""),
        apply_hashline_edit(text, 2, two, "", 1),
        apply_hashline_edit(text, 2, two, "", 9),
        apply_hashline_edit(text, 1, one, "", 2, "zz"),
        apply_hashline_edit(text, 1, one, "", 2, insert_after=True),
    ]
    again = "File may have changed — re-read it first."
    assert errors == [
        (text, "Line 9 out of range (file has 3 lines)"),
        (text, f"Hash mismatch at line 1: expected 'zz', got '{one}'. {again}"),
        (text, "end_line (1) must be >= start_line (2)"),
        (text, "End line 9 out of range (file has 3 lines)"),
        (text, f"Hash mismatch at line 2: expected 'zz', got '{two}'. {again}"),
        (text, "end_line/end_hash cannot be combined with insert_after"),
    ]
