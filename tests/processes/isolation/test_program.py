"""The program bwrap makes the namespaces, where we are refused: refused for real, by a filter."""

from __future__ import annotations

import base64
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Isolation, Limits
from runner.processes import guardian_link
from runner.processes.host import ProcessHost
from runner.processes.isolation import probe, program, users
from runner.processes.isolation.choosing import choose
from runner.processes.isolation.probe import Probe
from runner.processes.isolation.seccomp import NAMESPACES, Filter
from runner.processes.isolation.syscalls import MACHINE

HELD = Isolation(mode="bwrap", required=True)
ENV = {"PATH": os.defpath, "HOME": "/nonexistent"}
VICTIMS = 12
# What comes before the guardian: root may set a filter and leave programs their set-uid bits.
FILTERED = """\
import base64, ctypes, os, struct, sys
code = ctypes.create_string_buffer(base64.b64decode(sys.argv[1]))
holder = ctypes.create_string_buffer(struct.pack("@HP", len(code) // 8, ctypes.addressof(code)))
libc = ctypes.CDLL(None)
if os.geteuid():
    libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, ctypes.c_ulong(ctypes.addressof(holder)), 0, 0) == 0
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def refusing(as_ordinary, python):
    """Let the guardian of an ordinary user, and all that it starts, run under a filter."""
    with as_ordinary() as uid, pytest.MonkeyPatch.context() as patch:

        def refuse(code: Filter) -> int:
            text = base64.b64encode(code.bytes()).decode()
            command = [python, "-c", FILTERED, text, *guardian_link.GuardianLink.command()]
            patch.setattr(guardian_link.GuardianLink, "command", staticmethod(lambda: command))
            return uid

        yield refuse


@pytest.fixture
def scope(tmp_path):
    """A directory of somebody, that somebody can come to."""

    def make(uid: int) -> str:
        (tmp_path / "scope").mkdir(exist_ok=True)
        os.chown(tmp_path / "scope", uid, -1)
        for path in (tmp_path, *tmp_path.parents[:-2]):
            path.chmod(path.stat().st_mode | 0o011)
        return str(tmp_path / "scope")

    return make


async def hold(host: ProcessHost, directory: str):
    try:
        return await host.run(
            ["sh", "-c", "echo x > f; id -u; echo x > ../g"],
            cwd=directory,
            env=ENV,
            isolation=HELD,
        )
    except ExecFailed as error:
        if "is not installed" in str(error) or "older" in str(error):
            pytest.skip(f"needs bwrap: apt-get install bubblewrap ({error})")
        raise


async def test_on_a_kernel_that_is_too_old_for_us_the_program_is_asked(
    host, refusing, scope
) -> None:
    code = Filter(MACHINE)
    code.refuse("mount_setattr", errno.ENOSYS)
    uid = refusing(code)

    done = await hold(host, scope(uid))

    assert done.out.data().decode() == f"{uid}\n"
    assert done.isolation.layers[0].startswith("made by /")
    assert done.isolation.lacking == ()
    refusal = [each.reason for (way, _), each in probe._known.items() if way == "bwrap"]
    assert any("mount_setattr" in each for each in refusal)
    assert not os.path.exists(os.path.join(scope(uid), "..", "g"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a program its rights")
async def test_a_set_uid_program_is_of_no_use_and_that_is_told(
    host, refusing, scope, tmp_path, monkeypatch
) -> None:
    found = program.find_program()
    if not found:
        pytest.skip("needs bwrap: apt-get install bubblewrap")
    copy = shutil.copy(found, tmp_path / "bwrap")
    os.chmod(copy, 0o4755)
    monkeypatch.setattr(program, "FIRST", str(tmp_path))
    code = Filter(MACHINE)
    code.refuse_if("unshare", 0, bits=NAMESPACES & 0x10000000)
    code.refuse_if("clone", 0, bits=NAMESPACES & 0x10000000)
    code.refuse("clone3", errno.ENOSYS)
    uid = refusing(code)

    with pytest.raises(ExecFailed, match=r"bwrap program: .*not permitted in setuid mode"):
        await hold(host, scope(uid))


async def test_where_both_are_refused_nothing_is_held_and_both_are_told(
    host, refusing, scope
) -> None:
    code = Filter(MACHINE)
    code.refuse_if("unshare", 0, bits=NAMESPACES)
    code.refuse_if("clone", 0, bits=NAMESPACES)
    code.refuse("clone3", errno.ENOSYS)
    uid = refusing(code)

    with pytest.raises(ExecFailed, match=r"bwrap: .*; bwrap program: ") as refusal:
        await host.run(["true"], cwd=scope(uid), env=ENV, isolation=HELD)

    assert "user namespaces" in refusal.value.hint
    done = await host.run(["true"], cwd=scope(uid), env=ENV)
    assert done.exit_code == 0  # the guardian is none the worse


async def test_root_makes_its_namespaces_itself(monkeypatch) -> None:
    monkeypatch.setattr(users, "own_ids", lambda: (0, 0))
    refused = Probe(works=False, reason="refused")
    monkeypatch.setattr(probe, "_known", {("bwrap", "me"): refused, ("landlock", "me"): refused})

    async def run(*_: str):
        raise AssertionError

    choice = await choose(Isolation(mode="auto"), run, identity="me")

    assert (choice.mode, choice.program) == ("none", "")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "older than 0.10"), (None, "is not installed")]
)
async def test_a_program_that_is_not_there_or_too_old_is_told(
    monkeypatch, tmp_path, content, reason
) -> None:
    monkeypatch.setattr(program, "FIRST", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(probe, "_known", {})
    if content is not None:
        (tmp_path / "bwrap").write_bytes(content)
        (tmp_path / "bwrap").chmod(0o755)

    async def run(*_: str):
        raise AssertionError

    found = await probe.probe("bwrap program", run, identity="me")

    assert not found.works
    assert reason in found.reason
    assert "bubblewrap" in found.mend


@pytest.mark.parametrize("user", ["program"], indirect=True)
async def test_our_own_processes_are_not_counted_as_the_programs(room) -> None:
    limits = Isolation(mode="bwrap", required=True, limits=Limits(memory=1 << 30, wall=30))

    done = await room.run("echo fine", isolation=limits)

    assert (done.exit_code, done.limit_exceeded) == (0, None)


@pytest.mark.parametrize("user", ["program"], indirect=True)
async def test_what_our_process_inside_loads_can_be_read_and_nothing_else_of_ours(room) -> None:
    done = await room.run("find /.runner -type d; echo x > /.runner/x; echo x > /.runner/runner/x")

    assert set(done.out.data().decode().split()) >= {"/.runner/runner/processes/isolation"}
    assert done.err.data().count(b"cannot create") == 2


@pytest.mark.parametrize("user", ["program"], indirect=True)
async def test_a_hidden_file_is_empty_and_a_hidden_directory_as_well(room) -> None:
    for name in ("file", "directory/inner"):
        os.makedirs(os.path.dirname(room.path(name)), exist_ok=True)
        Path(room.path(name)).write_text("secret")
    hidden = (room.path("file"), room.path("directory"))
    isolation = Isolation(mode="bwrap", required=True, hidden=hidden)

    done = await room.run("cat file; ls -A directory; echo x > directory/y", isolation=isolation)

    assert done.out.data() == b""
    assert b"Read-only" in done.err.data()
    assert Path(room.path("file")).read_text() == "secret"


async def test_killed_supervisors_leave_nothing_of_what_the_program_has_made(
    by_program, scope, alive, until
) -> None:
    victim = Path(__file__).with_name("victim.py")
    with by_program() as uid:
        directory = scope(uid)
        await hold_or_skip(directory)
        how = {"command": guardian_link.GuardianLink.command(), "here": guardian_link.HERE}
        process = subprocess.Popen(
            [sys.executable, str(victim), json.dumps({**how, "uid": uid})],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        try:
            assert await trio.to_thread.run_sync(process.stdout.readline) == b"ready\n"
            for number in range(VICTIMS):
                token = str(random.randrange(10**14, 10**15))
                process.stdin.write(f"{token} {number % 2} {directory}\n".encode())
                await trio.lowlevel.wait_readable(process.stdout)
                pid = int(process.stdout.readline())
                await trio.sleep(random.uniform(0, 0.4))  # the random moment is the point
                os.kill(pid, signal.SIGKILL)
                await until(lambda: not alive(token))  # noqa: B023 - it is waited for here
        finally:
            process.communicate()


async def hold_or_skip(directory: str) -> None:
    host = ProcessHost()
    try:
        await hold(host, directory)
    finally:
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await host.aclose()
