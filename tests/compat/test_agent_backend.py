"""agent-backend's names: values, defaults, exact texts, and what ours does better."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
import trio

from runner.compat.agent_backend import (
    ArrayOperationsLogger,
    BackendError,
    BackendPoolManager,
    BackendType,
    ConnectionStatus,
    ConsoleOperationsLogger,
    DangerousOperationError,
    ErrorCode,
    ExecOptions,
    FileStat,
    IsolationMode,
    LocalFilesystemBackend,
    LocalFilesystemBackendConfig,
    LoggingMode,
    MemoryBackend,
    MemoryBackendConfig,
    NotImplementedBackendError,
    OperationLogEntry,
    PathEscapeError,
    PoolManagerConfig,
    PoolStats,
    ReadOptions,
    SafetyConfig,
    ScopeConfig,
    ShellPreference,
    StatusChangeEvent,
    VercelAIAdapter,
    is_command_safe,
    is_dangerous,
    should_log_operation,
)

BUFFER = ReadOptions(encoding="buffer")


def local(root, **options):
    options.setdefault("isolation", IsolationMode.NONE)
    return LocalFilesystemBackend(LocalFilesystemBackendConfig(root_dir=str(root), **options))


async def error_of(work):
    with pytest.raises(BackendError) as raised:
        await work
    return type(raised.value), raised.value.code, str(raised.value)


def test_enums_have_the_peers_values():
    assert [*BackendType] == ["local-filesystem", "remote-filesystem", "memory"]
    assert [*ConnectionStatus] == [
        "connected", "connecting", "disconnected", "reconnecting", "destroyed"
    ]  # fmt: skip
    assert [*IsolationMode] == ["auto", "bwrap", "software", "none"]
    assert [*ShellPreference] == ["bash", "sh", "auto"]
    assert [*LoggingMode] == ["standard", "verbose"]
    assert len(ErrorCode) == 15


def test_configurations_have_the_peers_defaults():
    config = LocalFilesystemBackendConfig(root_dir="x")

    assert (config.isolation, config.prevent_dangerous, config.shell) == ("auto", True, "auto")
    assert (config.on_dangerous_operation, config.max_output_length) == (None, None)
    assert ExecOptions() == ExecOptions(encoding="utf8", cwd=None, env=None)
    assert MemoryBackendConfig() == MemoryBackendConfig(root_dir="/", initial_data=None)
    assert ScopeConfig() == ScopeConfig(env={}, operations_logger=None)
    pool = PoolManagerConfig(backend_factory=local)
    assert (pool.idle_timeout_ms, pool.cleanup_interval_ms) == (300_000, 60_000)


def test_files_of_a_local_backend(run, tmp_path):
    async def main():
        backend = local(tmp_path / "root")
        await backend.write("a/b.txt", "hi\n")
        await backend.write("a/b.bin", b"\xff\x00")
        assert await backend.read("a/b.txt") == "hi\n"
        assert await backend.read("a/b.bin", BUFFER) == b"\xff\x00"
        assert await backend.readdir("a") == ["b.bin", "b.txt"]
        assert await backend.readdir(".") == ["a"]
        await backend.rename("a/b.txt", "new/place/c.txt")
        await backend.touch("new/place/c.txt")
        assert await backend.read("new/place/c.txt") == "hi\n"
        await backend.touch("t/empty")
        found = await backend.stat("t/empty")
        assert found == FileStat(True, False, 0, found.modified)
        assert (await backend.stat("t")).is_directory
        await backend.mkdir("x/y/z")
        await backend.mkdir("x/y/z")
        await backend.mkdir("x/one", recursive=False)
        await backend.rm("x/y/z")
        await backend.rm("a", recursive=True)
        await backend.rm("nothing", force=True)
        assert [await backend.exists(p) for p in ("a", "x/y/z", "x/y")] == [False, False, True]
        assert (backend.type, backend.status) == ("local-filesystem", "connected")
        await backend.destroy()

    run(main)


def test_failures_have_the_peers_codes_and_texts(run, tmp_path):
    async def main():
        b = local(tmp_path)
        await b.write("dir/file", "x")
        await b.write("binary", b"\xff")
        e = BackendError
        assert [
            await error_of(b.read("no")),
            await error_of(b.read("dir")),
            await error_of(b.read("binary")),
            await error_of(b.write("dir", "x")),
            await error_of(b.rename("no", "there")),
            await error_of(b.rm("no")),
            await error_of(b.rm("dir")),
            await error_of(b.readdir("no")),
            await error_of(b.stat("no")),
            await error_of(b.mkdir("dir", recursive=False)),
            await error_of(b.mkdir("no/no", recursive=False)),
            await error_of(b.exec(" ")),
            await error_of(b.exec("echo out; echo bad >&2; exit 3")),
            await error_of(b.exec("echo out; exit 4")),
        ] == [
            (e, "READ_FAILED", "Failed to read file: no"),
            (e, "READ_FAILED", "Failed to read file: dir"),
            (e, "READ_FAILED", "Failed to read file: binary"),
            (e, "WRITE_FAILED", "Failed to write file: dir"),
            (e, "WRITE_FAILED", "Failed to rename no to there"),
            (e, "WRITE_FAILED", "Failed to delete: no"),
            (e, "WRITE_FAILED", "Failed to delete: dir"),
            (e, "LS_FAILED", "Failed to read directory: no"),
            (e, "READ_FAILED", "Failed to stat path: no"),
            (e, "WRITE_FAILED", "Failed to create directory: dir"),
            (e, "WRITE_FAILED", "Failed to create directory: no/no"),
            (e, "EMPTY_COMMAND", "Command cannot be empty"),
            (e, "EXEC_FAILED", "Command execution failed with exit code 3: bad"),
            (e, "EXEC_FAILED", "Command execution failed with exit code 4: out"),
        ]
        await b.destroy()

    run(main)


@pytest.mark.parametrize("path", ["../etc/passwd", "../../..", "a/b/../../../../etc", ".."])
def test_paths_that_lead_out_are_refused(run, tmp_path, path):
    async def main():
        b = local(tmp_path / "root")
        for scope in (b, b.scope("s"), MemoryBackend().scope("s")):
            expected = (PathEscapeError, "PATH_ESCAPE_ATTEMPT")
            found = await error_of(scope.read(path))
            assert found[:2] == expected
            assert found[2] == f"Path escapes scope boundary: {path}"
            with pytest.raises(PathEscapeError):
                scope.scope(path)
        await b.destroy()

    run(main)


def test_a_link_that_leads_out_is_refused_too(run, tmp_path):
    async def main():
        (tmp_path / "secret").write_text("s")
        b = local(tmp_path / "root")
        os.symlink("../secret", tmp_path / "root" / "link")
        assert await error_of(b.read("link")) == (
            PathEscapeError,
            "PATH_ESCAPE_ATTEMPT",
            "Path escapes scope boundary: link",
        )
        await b.destroy()

    run(main)


def test_absolute_paths_are_taken_as_inside(run, tmp_path):
    async def main():
        b = local(tmp_path)
        s = b.scope("s")
        await b.write("/etc/passwd", "mine")
        await s.write(f"{tmp_path}/s/file", "full")
        assert (tmp_path / "etc" / "passwd").read_text() == "mine"
        assert await b.read(f"{tmp_path}/etc/passwd") == "mine"
        assert await s.read("/file") == "full"
        await b.destroy()

    run(main)


def test_commands_run_in_their_scope_with_home_and_variables(run, tmp_path):
    async def main():
        b = local(tmp_path)
        s = b.scope("s", ScopeConfig(env={"A": "scope", "B": "scope"}))
        n = s.scope("n", ScopeConfig(env={"B": "nested"}))
        options = ExecOptions(env={"C": "call"}, cwd="deep")
        await n.mkdir("deep")
        assert await b.exec("pwd; printenv HOME") == f"{tmp_path}\n{tmp_path}"
        assert await n.exec('echo "$A $B $C"; pwd', options) == (
            f"scope nested call\n{tmp_path}/s/n/deep"
        )
        assert await b.exec("printf '\\377'", ExecOptions(encoding="buffer")) == b"\xff"
        assert await b.exec("cat") == ""
        assert await b.exec("echo ${BASH_VERSION:+bash}") == "bash"
        await b.destroy()

    run(main)


def test_sh_is_taken_when_it_is_asked_for(run, tmp_path):
    async def main():
        b = local(tmp_path, shell=ShellPreference.SH)
        assert await b.exec("readlink /proc/$$/exe") != ""
        await b.destroy()

    run(main)


def test_long_output_is_cut_with_the_peers_words(run, tmp_path):
    async def main():
        b = local(tmp_path, max_output_length=100)
        assert await b.exec("printf '%0100d' 0") == "0" * 100
        assert await b.exec("printf '%0101d' 0") == "0" * 50 + (
            "\n\n... [Output truncated. Full output was 101 characters, showing first 50]"
        )
        await b.destroy()

    run(main)


def test_dangerous_commands_are_refused_by_either_policy(run, tmp_path):
    async def main():
        told = []
        strict = local(tmp_path)
        footgun = local(tmp_path, policy="footgun")
        telling = local(tmp_path, on_dangerous_operation=told.append)
        free = local(tmp_path, prevent_dangerous=False)
        blocked = (DangerousOperationError, "DANGEROUS_OPERATION")
        assert await error_of(strict.exec("sudo ls")) == (
            *blocked,
            "Dangerous operation blocked: sudo ls",
        )
        kind, code, text = await error_of(strict.exec("cd /etc"))
        assert (kind, code) == (BackendError, "UNSAFE_COMMAND")
        assert "Directory change commands are not allowed" in text
        assert await footgun.exec("cd . && echo $(echo ok)") == "ok"
        assert (await error_of(footgun.exec("rm -rf /")))[:2] == blocked
        assert await telling.exec("rm -rf /") == ""
        assert told == ["rm -rf /"]
        assert await free.exec("cd . && echo ok") == "ok"
        for each in (strict, footgun, telling, free):
            await each.destroy()

    run(main)


def test_the_filter_alone():
    assert is_dangerous("rm -rf /")
    assert not is_dangerous("cd /etc")
    assert not is_dangerous("gcloud storage rsync a b")
    assert is_command_safe("npm install").safe
    assert "dangerous command 'sudo' is not allowed" in is_command_safe("sudo ls").reason
    assert "Parent directory traversal is not allowed" in is_command_safe("cat ../a").reason
    assert is_command_safe("cd /etc", SafetyConfig(policy="footgun")).safe


def test_what_is_destroyed_refuses_everything_and_says_so_once(run, tmp_path):
    async def main():
        for backend in (local(tmp_path), MemoryBackend()):
            events, closed = [], []

            class Client:
                async def close(self, closed=closed):
                    closed.append("closed")
                    raise OSError("swallowed")

            def broken(_event):
                raise ValueError("swallowed")

            scope = backend.scope("s")
            nested = scope.scope("n")
            backend.on_status_change(broken)
            scope.on_status_change(events.append)
            backend.on_status_change(lambda _: pytest.fail("not any more"))()
            nested.track_closeable(Client())
            assert await backend.list_active_scopes() == [scope.scope_path]
            await backend.destroy()
            await backend.destroy()

            assert closed == ["closed"]
            expected = StatusChangeEvent("connected", "destroyed", events[0].timestamp)
            assert events == [expected]
            for each in (backend, scope, nested):
                assert each.status == "destroyed"
                kind, code, _ = await error_of(each.write("a", "b"))
                assert (kind, code) == (BackendError, "CONNECTION_CLOSED")

    run(main)


def test_a_destroyed_scope_is_forgotten_and_its_backend_lives_on(run, tmp_path):
    async def main():
        for backend in (local(tmp_path), MemoryBackend()):
            scope = backend.scope("s")
            await scope.write("a", "b")
            await scope.destroy()
            assert await backend.list_active_scopes() == []
            assert (await error_of(scope.read("a")))[1] == "CONNECTION_CLOSED"
            assert await backend.read("s/a") == "b"
            await backend.destroy()

    run(main)


def test_programs_of_a_destroyed_backend_are_ended(run, tmp_path):
    async def main():
        b = local(tmp_path)
        return await b.exec("sleep 1000 & echo $!"), await b.destroy()

    pid = int(run(main)[0])

    assert not os.path.exists(f"/proc/{pid}")


def test_a_cancelled_command_is_put_down(tmp_path):
    backend = local(tmp_path)
    command = "echo $$ > new; mv new pid; exec sleep 1000"

    def is_gone():
        return not os.path.exists(f"/proc/{int((tmp_path / 'pid').read_text())}")

    async def in_asyncio():
        task = asyncio.create_task(backend.exec(command))
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone()
        os.unlink(tmp_path / "pid")

    async def in_trio():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(backend.exec, command)
            while not (tmp_path / "pid").exists():
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert is_gone()

    asyncio.run(in_asyncio())
    trio.run(in_trio)
    trio.run(backend.destroy)


def test_one_backend_serves_trio_and_asyncio_one_after_the_other(tmp_path):
    backend = local(tmp_path)

    async def use():
        await backend.write("n", "1")
        return await backend.exec("cat n")

    assert [trio.run(use), asyncio.run(use()), trio.run(use), asyncio.run(use())] == ["1"] * 4
    trio.run(backend.destroy)
    assert not any(each.name == "runner trio" for each in threading.enumerate())


def test_the_log_has_what_was_done_by_its_mode(run, tmp_path, capsys):
    async def main():
        standard, verbose = ArrayOperationsLogger(), ArrayOperationsLogger(LoggingMode.VERBOSE)
        b = local(tmp_path)
        s = b.scope("s", ScopeConfig(operations_logger=standard))
        v = b.scope("v", ScopeConfig(operations_logger=verbose)).scope("inherits")
        c = b.scope("c", ScopeConfig(operations_logger=ConsoleOperationsLogger()))
        for scope in (s, v):
            await scope.write("a", "b")
            await scope.read("a")
            await scope.exec("echo out")
            await error_of(scope.rm("no"))
        await error_of(c.exec("echo " + "x" * 300 + "; exit 7"))
        await c.exec("echo fine")

        assert [e.operation for e in standard.get_entries()] == ["write", "exec", "rm"]
        assert [e.operation for e in verbose.get_entries()] == ["write", "read", "exec", "rm"]
        entry = standard.get_entries_by_operation("exec")[0]
        assert (entry.command, entry.stdout, entry.exit_code) == ("echo out", "out", 0)
        assert (entry.workspace_name, entry.workspace_path) == ("s", f"{tmp_path}/s")
        assert entry.duration_ms > 0
        assert [e.error for e in standard.get_entries_by_status(False)] == ["Failed to delete: no"]
        assert standard.length == 3
        assert standard.get_entries_in_range(entry.timestamp, entry.timestamp) == [entry]
        standard.clear()
        assert standard.length == 0
        await b.destroy()

    run(main)
    lines = capsys.readouterr().err.splitlines()
    assert "/c] ✗ exec: echo xxx" in lines[0]
    assert lines[1].startswith("  error: Command execution failed with exit code 7: xxx")
    assert "/c] ✓ exec: echo fine (" in lines[2]
    assert lines[3] == "  stdout: fine"


def test_a_console_logger_shortens_what_is_long(capsys):
    entry = OperationLogEntry(0, "exec", "u", "w", "/w", "c", True, 1.4, "a\n" * 200, "bad")
    ConsoleOperationsLogger().log(entry)

    first, out, err = capsys.readouterr().err.splitlines()
    assert first == "[1970-01-01T00:00:00+00:00] [u/w] ✓ exec: c (1ms)"
    assert out == "  stdout: " + ("a\\n" * 200)[:200] + "..."
    assert err == "  stderr: bad"
    assert not should_log_operation("read", LoggingMode.STANDARD)


def test_keys_of_a_memory_backend(run):
    async def main():
        m = MemoryBackend(MemoryBackendConfig(initial_data={"a/b": "text", "a": b"\xff"}))
        s = m.scope("a")
        assert await m.read("a/b") == "text"
        assert await m.read("a", BUFFER) == b"\xff"
        assert await s.read("b", BUFFER) == b"text"
        await s.write("c/d", "x")
        await s.rename("b", "e")
        await s.touch("e")
        assert await s.list_keys() == ["c/d", "e"]
        assert await s.list_keys("c") == ["c/d"]
        assert await m.list_keys() == ["a", "a/c/d", "a/e"]
        assert (await s.readdir("."), await m.readdir("a")) == (["c", "e"], ["c", "e"])
        assert (await s.readdir("c"), await m.readdir("none")) == (["d"], [])
        assert await s.scope("c").read("d") == "x"
        assert (s.scope_path, s.root_dir, s.parent) == ("a/", "/a/", m)
        assert (await m.stat("a/e")).size == 4
        await m.mkdir("nothing")
        await s.delete("e")
        await s.delete("e")
        await m.rm("a", recursive=True)
        assert await m.list_keys() == []
        await s.write("x", "y")
        await m.write("other", "z")
        await s.clear()
        assert await m.list_keys() == ["other"]
        missing = (BackendError, "KEY_NOT_FOUND", "Key not found: no")
        for work in (m.read("no"), m.rename("no", "x"), m.rm("no"), m.stat("no")):
            assert await error_of(work) == missing
        await m.rm("no", force=True)
        assert await error_of(m.exec("ls")) == (
            NotImplementedBackendError,
            "NOT_IMPLEMENTED",
            "Operation 'exec' not implemented for memory backend",
        )
        await m.write("b", b"\xff")
        assert (await error_of(m.read("b")))[1] == "READ_FAILED"

    run(main)


def test_a_pool_has_one_backend_for_a_key(run, tmp_path):
    async def main():
        made = []

        def factory(**options):
            made.append(options)
            return local(**options)

        pool = BackendPoolManager(PoolManagerConfig(factory, {"root": tmp_path}, idle_timeout_ms=0))
        one, release = await pool.acquire_backend("k")
        same, release_too = await pool.acquire_backend("k", {"root": "ignored"})
        own, release_own = await pool.acquire_backend()
        assert same is one is not own
        assert pool.get_stats() == PoolStats(1, 1, 0, {"k": 1})
        release()
        release()
        assert pool.get_stats().active_backends == 1
        release_too()
        release_own()
        assert pool.get_stats() == PoolStats(1, 0, 1, {"k": 1})

        async def use(backend):
            assert pool.get_stats().active_backends == 1
            raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await pool.with_backend(use, "k")
        assert pool.get_stats().active_backends == 0
        await one.destroy()
        again, release = await pool.acquire_backend("k")
        assert again is not one
        release()
        await pool.destroy_all()
        assert again.status == "destroyed"
        assert pool.get_stats().total_backends == 0
        assert (await pool.acquire_backend("k"))[0].status == "connected"
        await pool.destroy_all()
        assert made == [{"root": tmp_path}] * 4
        await own.destroy()

    run(main)


def test_a_pool_cleans_what_is_idle_and_logs_what_cannot_be_destroyed(run, caplog):
    class Broken(MemoryBackend):
        async def destroy(self):
            raise OSError("cannot")

    async def main():
        options = {"idle_timeout_ms": -1, "cleanup_interval_ms": 0}
        config = PoolManagerConfig(Broken, enable_periodic_cleanup=True, **options)
        pool = BackendPoolManager(config)
        (await pool.acquire_backend("a"))[1]()
        held, _ = await pool.acquire_backend("b")
        assert pool.get_stats().backends_by_key == {"b": 1}
        await pool.acquire_backend("b")
        assert pool.get_stats().backends_by_key == {"b": 1}
        assert held.status == "connected"

    run(main)
    assert "Error destroying backend for key a" in caplog.text


def test_what_needs_a_server_says_that_it_is_not_here(run, tmp_path):
    async def main():
        b = local(tmp_path)
        for work in (
            b.get_mcp_transport(),
            b.scope("s").get_mcp_client(),
            VercelAIAdapter(b).get_mcp_client(),
        ):
            assert (await error_of(work))[:2] == (NotImplementedBackendError, "NOT_IMPLEMENTED")
        await b.destroy()

    run(main)


def test_a_root_that_cannot_be_made_is_an_error_of_the_configuration(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BackendError) as raised:
        local(tmp_path / "file" / "root")

    assert raised.value.code == "INVALID_CONFIGURATION"


def test_bwrap_isolation_holds_or_says_that_it_cannot_be_had(run, tmp_path):
    async def main():
        b = local(tmp_path / "root", isolation=IsolationMode.BWRAP, policy="footgun")
        try:
            said = await b.exec(f"echo in > here; (echo out > {tmp_path}/there) 2>&1; ls")
        except BackendError as error:
            if error.code != "MISSING_UTILITIES":
                raise
            pytest.skip(f"no namespaces here: {error}")
        finally:
            await b.destroy()
        assert "here" in said
        assert not (tmp_path / "there").exists()

    run(main)
