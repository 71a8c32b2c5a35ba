"""What a program finds inside: enough to work with, at the same places, and nothing else."""

from __future__ import annotations

import os
import pwd
import shutil
import signal

import attrs
import pytest
import trio

from runner.errors import ConfigError, ExecFailed
from runner.messages import Isolation, Outcome
from runner.processes.environment import base_environment
from runner.processes.isolation import inside, plan

# Who can read what is installed for us alone.
US = ["root"] if os.geteuid() == 0 else ["ordinary"]


async def test_the_scope_is_at_its_own_path_and_what_is_written_is_there_outside(room) -> None:
    done = await room.run("pwd; echo text > file; mkdir -p sub; mv file sub/; cat sub/file")

    assert done.out.data().decode().split() == [room.scope, "text"]
    assert os.stat(room.path("sub/file")).st_uid == room.uid
    with open(room.path("sub/file")) as file:
        assert file.read() == "text\n"


async def test_files_of_the_scope_can_be_read_and_changed(room) -> None:
    with open(room.path("mine"), "w") as file:
        file.write("1")
    os.chmod(room.path("mine"), 0o600)
    os.chown(room.path("mine"), room.uid, room.uid or -1)

    done = await room.run("cat mine && echo 2 > mine && rm mine && ls -A")

    assert (done.exit_code, done.out.data()) == (0, b"1")


async def test_a_program_runs_in_a_directory_of_the_scope(room) -> None:
    os.makedirs(room.path("a/b"))
    os.chown(room.path("a/b"), room.uid, -1)
    fd = os.open(room.path("a/b"), os.O_RDONLY)
    try:
        done = await room.run("pwd; echo up > ../../new || true", cwd=fd, scope=room.scope)
    finally:
        os.close(fd)

    assert done.out.data().decode().strip() == room.path("a/b")
    assert os.path.exists(room.path("new"))


async def test_a_scope_reached_by_a_link_is_at_both_places(room) -> None:
    way = os.path.join(room.base, "way")
    os.symlink(room.scope, way)

    done = await room.run("pwd -P; echo x > here; cat $0/here", cwd=way)

    assert done.exit_code in (0, 1)
    assert os.path.exists(room.path("here"))


async def test_what_holds_is_in_the_result(room) -> None:
    done = await room.run("true")

    assert done.isolation is not None
    assert done.isolation.mode == "bwrap"
    assert done.isolation.network == "none"
    assert done.isolation.lacking == ()
    assert "seccomp" in done.isolation.layers


async def test_nothing_is_said_where_nothing_was_asked_for(room) -> None:
    done = await room.host.run(["true"], cwd=room.scope, env={"PATH": os.defpath})

    assert done.isolation is None


@pytest.mark.parametrize("code", [0, 7, 255])
async def test_exit_codes_come_through(room, code) -> None:
    assert (await room.run(f"exit {code}")).exit_code == code


async def test_signals_come_through(room) -> None:
    assert (await room.run("kill -SEGV $$")).exit_code == -signal.SIGSEGV


async def test_what_is_left_behind_is_counted_and_gone(room, token, alive) -> None:
    done = await room.run(f"setsid sleep {token} & (setsid nohup sleep {token} &) ; sleep 0.1")

    assert done.leftovers == 2
    assert alive() == []


async def test_a_timeout_ends_everything(room, token, alive) -> None:
    line = f"trap '' TERM; setsid sleep {token} & while :; do sleep 1; done"

    done = await room.run(line, timeout=0.3, grace=0.1)

    assert done.outcome is Outcome.TIMEOUT
    assert alive() == []


async def test_a_cancelled_caller_leaves_nothing(room, token, alive, until) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(room.run, f"setsid sleep {token} & sleep {token}")
        await until(lambda: len(alive(f"sleep\0{token}")) >= 2)
        nursery.cancel_scope.cancel()

    assert alive() == []


async def test_a_process_beside_us_can_be_talked_to_and_swept(room, bwrap, token, alive) -> None:
    argv = ["sh", "-c", f"(setsid sleep {token} &); while read -r x; do echo got $x; done"]
    env = {"PATH": os.defpath}
    async with room.host.open_process(argv, cwd=room.scope, env=env, isolation=bwrap) as process:
        await process.stdin.send_all(b"1\n")
        assert await process.stdout.receive_some(100) == b"got 1\n"
        assert await process.sweep() == 1
        assert process.isolation.mode == "bwrap"
        assert process.pid in alive()  # as it is known out here
        await process.stdin.send_all(b"2\n")
        assert await process.stdout.receive_some(100) == b"got 2\n"
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == -signal.SIGTERM
        assert process.limit_exceeded is None

    assert alive() == []


async def test_a_process_that_is_left_is_ended(room, bwrap, token, alive) -> None:
    argv = ["sh", "-c", f"setsid sleep {token} & sleep {token}"]
    async with room.host.open_process(argv, cwd=room.scope, env=os.environ, isolation=bwrap):
        pass

    assert alive() == []


async def test_users_have_names_and_the_machine_knows_itself(room, python) -> None:
    program = "import os,pwd,socket; print(pwd.getpwuid(os.getuid()).pw_name, socket.gethostbyname('localhost'))"

    done = await room.run(python, "-c", program)

    assert done.exit_code == 0, done
    name, address = done.out.data().decode().split()
    assert name
    assert address == "127.0.0.1"


async def test_certificates_can_be_verified_with(room, python) -> None:
    program = "import ssl; c = ssl.create_default_context(); print(len(c.get_ca_certs()))"
    if not os.path.exists("/etc/ssl/certs/ca-certificates.crt"):
        pytest.skip("no certificates outside either: apt-get install ca-certificates")

    done = await room.run(python, "-c", program)

    assert int(done.out.data()) > 50


async def test_with_the_full_network_names_are_looked_up_as_outside(room) -> None:
    with open("/etc/resolv.conf") as file:
        outside = file.read()

    full = await room.run("cat /etc/resolv.conf", isolation=Isolation(mode="bwrap", network="full"))
    none = await room.run("cat /etc/resolv.conf")

    assert full.out.data().decode() == outside
    assert none.exit_code != 0


async def test_temporary_directories_are_private_and_go_with_the_program(room) -> None:
    line = "echo x > /tmp/f; echo x > /dev/shm/f; echo x > $HOME/f; echo x > /var/tmp/g; ls -A /tmp $TMPDIR"

    first = await room.run(line)
    second = await room.run("ls -A /tmp /dev/shm $HOME")

    assert first.exit_code == 0, first
    assert {b"f", b"g"} <= set(first.out.data().split())
    assert not {b"f", b"g"} & set(second.out.data().split())


async def test_a_place_of_its_own_for_what_is_temporary_stays_where_it_can_be_written(room) -> None:
    os.mkdir(room.path("own"))
    os.chown(room.path("own"), room.uid, -1)

    env = {"PATH": os.defpath, "TMPDIR": room.path("own")}

    own = await room.run("echo x > $TMPDIR/f; echo $TMPDIR", env=env)
    other = await room.run("echo $TMPDIR", env={**env, "TMPDIR": room.base})

    assert own.out.data().decode().strip() == room.path("own"), own
    assert os.listdir(room.path("own")) == ["f"]
    assert other.out.data() == b"/tmp\n"


async def test_private_memory_is_bounded(room) -> None:
    small = attrs.evolve(Isolation(mode="bwrap", required=True), private=1 << 20)

    for place in ("/tmp", "/dev/shm", "/home/somebody"):
        done = await room.run(f"head -c 2000000 /dev/zero > {place}/big", isolation=small)
        assert done.exit_code != 0
        assert b"No space" in done.err.data()


async def test_nothing_but_the_variables_that_were_given_is_there(room, monkeypatch) -> None:
    monkeypatch.setenv("A_SECRET", "of-the-daemon")

    done = await room.run("env; cat /proc/*/environ 2>/dev/null")

    assert b"of-the-daemon" not in done.out.data()
    assert b"HOME=/home/somebody" in done.out.data()


async def test_paths_that_are_named_can_be_read_or_written_or_are_hidden(room) -> None:
    for name in ("read", "write", "hide"):
        path = os.path.join(room.base, name)
        os.mkdir(path)
        with open(os.path.join(path, "file"), "w") as file:
            file.write(name)
        for each in (path, os.path.join(path, "file")):
            os.chown(each, room.uid, -1)
    with open(room.path("key"), "w") as file:
        file.write("secret")
    isolation = Isolation(
        mode="bwrap",
        required=True,
        readable=(f"{room.base}/read", f"{room.base}/hide"),
        writable=(f"{room.base}/write",),
        hidden=(f"{room.base}/hide", room.path("key")),
    )
    line = (
        "cat ../read/file ../write/file; echo new > ../write/file; echo x > ../read/file;"
        "ls -A ../hide; cat key"
    )

    done = await room.run(line, isolation=isolation)

    assert done.out.data() == b"readwrite"
    assert b"Read-only" in done.err.data()
    with open(f"{room.base}/write/file") as file:
        assert file.read() == "new\n"


async def test_a_part_of_the_scope_can_be_read_only_and_the_scope_part_of_what_is_read(
    room,
) -> None:
    os.mkdir(room.path("closed"))
    os.chown(room.path("closed"), room.uid, -1)
    isolation = Isolation(
        mode="bwrap", required=True, readable=(room.path("closed"), room.base), writable=()
    )

    done = await room.run("echo x > closed/f; echo y > ../g; echo z > h", isolation=isolation)

    assert done.err.data().count(b"Read-only") == 2
    assert os.listdir(room.path("closed")) == []
    assert os.path.exists(room.path("h"))


async def test_a_link_that_is_put_in_the_way_of_a_mount_is_not_followed(room, monkeypatch) -> None:
    os.mkdir(room.path("mine"))
    isolation = Isolation(mode="bwrap", required=True, readable=(room.path("mine"),))
    real = plan.make_plan

    def swapped(*arguments: object, **options: object) -> plan.Plan:
        made = real(*arguments, **options)
        os.rmdir(room.path("mine"))
        os.symlink("/root", room.path("mine"))
        return made

    monkeypatch.setattr(inside, "make_plan", swapped)

    with pytest.raises(ExecFailed, match="held inside: .*symbolic links"):
        await room.run("ls mine", isolation=isolation)


async def test_git_works_and_finds_nothing_that_we_left(room) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git: apt-get install git")
    line = (
        "git init -q . && git config user.email a@b.c && git config user.name n && echo 1 > f &&"
        "git add f && git commit -qm one && git worktree add -q ../scope/w && git status --porcelain w f"
    )

    done = await room.run(line)

    assert done.exit_code == 0, done
    assert done.out.data().decode().split() == ["??", "w/"]


async def test_programs_with_workers_run(room, python) -> None:
    program = (
        "import multiprocessing as m, asyncio, sqlite3, threading\n"
        "if __name__ == '__main__':\n"
        "    with m.Pool(2) as p: print(sum(p.map(abs, range(5))))\n"
        "    asyncio.run(asyncio.sleep(0)); sqlite3.connect('db').execute('create table t(x)')\n"
        "    m.Manager().shutdown()"
    )

    done = await room.run(python, "-c", program)

    assert (done.exit_code, done.out.data()) == (0, b"10\n"), done


async def test_sockets_can_be_forbidden(room, python) -> None:
    isolation = Isolation(mode="bwrap", required=True, sockets=False)

    done = await room.run(
        python,
        "-c",
        "import socket; socket.socketpair(); socket.socket(socket.AF_UNIX)",
        isolation=isolation,
    )

    assert b"Address family not supported" in done.err.data()


@pytest.mark.parametrize("user", ["ordinary"], indirect=True)
async def test_sandboxes_can_be_nested_where_that_is_allowed(room) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: apt-get install util-linux")
    nesting = Isolation(mode="bwrap", required=True, nesting=True)

    held = await room.run("unshare", "-Ur", "id", "-u")
    nested = await room.run(
        "unshare", "-Urmpf", "sh", "-c", "mount -t tmpfs x /tmp && id -u", isolation=nesting
    )

    assert held.exit_code != 0
    assert (nested.exit_code, nested.out.data()) == (0, b"0\n"), nested


async def test_a_program_that_is_not_to_be_seen_inside_is_told_with_what_helps(room) -> None:
    program = os.path.join(room.base, "tool")
    with open(program, "w") as file:
        file.write("#!/bin/sh\necho here\n")
    os.chmod(program, 0o755)

    with pytest.raises(ExecFailed, match="not to be seen inside .*readable"):
        await room.run(program, "now")

    done = await room.run(program, "now", isolation=Isolation(mode="bwrap", readable=(room.base,)))
    assert done.out.data() == b"here\n"


async def test_a_directory_that_is_not_there_is_told(room, bwrap) -> None:
    with pytest.raises(ExecFailed, match="gone"):
        await room.run("true", cwd=room.path("gone"))


async def test_the_whole_machine_is_no_scope(room) -> None:
    with pytest.raises(ExecFailed, match="whole machine"):
        await room.run("true", cwd="/")


async def test_something_that_cannot_be_shown_is_told(room) -> None:
    isolation = Isolation(mode="bwrap", readable=("/not/there",))

    with pytest.raises(ExecFailed, match="held inside: .*No such file"):
        await room.run("true", isolation=isolation)


async def test_many_at_once_are_each_alone(room) -> None:
    seen: list[bytes] = []

    async def one(number: int) -> None:
        done = await room.run(
            f"echo {number} > /tmp/mine; sleep 0.05; cat /tmp/mine; ls /proc | grep -c '^[0-9]'"
        )
        seen.append(done.out.data())

    async with trio.open_nursery() as nursery:
        for number in range(12):
            nursery.start_soon(one, number)

    assert sorted(int(each.split()[0]) for each in seen) == list(range(12))
    assert {int(each.split()[1]) <= 6 for each in seen} == {True}


@pytest.mark.parametrize("user", US, indirect=True)
async def test_the_claude_program_starts_inside(room, claude_program) -> None:
    await _starts(room, claude_program)


@pytest.mark.parametrize("user", US, indirect=True)
async def test_the_codex_program_starts_inside(room, codex_program) -> None:
    await _starts(room, codex_program)


async def _starts(room, program: str) -> None:
    real = os.path.realpath(program)
    parts = real.split("/node_modules/")
    readable = (f"{parts[0]}/node_modules",) if len(parts) > 1 else (os.path.dirname(real),)
    node = shutil.which("node")
    if node is not None and not os.path.realpath(node).startswith("/usr/"):
        readable = (*readable, os.path.dirname(os.path.dirname(os.path.realpath(node))))
    env = base_environment(os.environ, extra={"HOME": room.scope})

    done = await room.run(
        real, "--version", env=env, isolation=Isolation(mode="bwrap", readable=readable)
    )

    assert done.exit_code == 0, done


async def test_a_name_from_the_user_database_is_kept(room) -> None:
    try:
        name = pwd.getpwuid(room.uid or 1_900_000_000).pw_name
    except KeyError:
        name = "sandbox"

    assert (await room.run("id -un")).out.data().decode().strip() == name


async def test_with_the_machines_network_its_names_are_known(room) -> None:
    with open("/etc/hosts") as file:
        ours = file.read()

    full = await room.run("cat /etc/hosts", isolation=Isolation(mode="bwrap", network="full"))
    none = await room.run("cat /etc/hosts")

    assert full.out.data().decode().endswith(ours)
    assert none.out.data().decode().count("\n") == 2


async def test_what_the_machine_says_that_it_trusts_can_be_read(room, monkeypatch) -> None:
    trusted, other = os.path.join(room.base, "ca.pem"), os.path.join(room.base, "secret")
    for path in (trusted, other):
        with open(path, "w") as file:
            file.write(f"{os.path.basename(path)}\n")
    monkeypatch.setenv("SSL_CERT_FILE", trusted)
    named = {**os.environ, "REQUESTS_CA_BUNDLE": other, "HOME": "/home/somebody"}

    done = await room.run(f"cat $SSL_CERT_FILE {other}; echo x >> $SSL_CERT_FILE", env=named)

    assert done.out.data() == b"ca.pem\n"  # what only the caller names is not shown
    assert b"secret: No such file" in done.err.data()
    assert b"cannot create" in done.err.data()
    with open(trusted) as file:
        assert file.read() == "ca.pem\n"


async def test_what_is_hidden_twice_is_hidden(room) -> None:
    os.makedirs(room.path("a/b"))
    hidden = (room.path("a/b"), room.path("a"), room.path("a/b"))

    done = await room.run("ls -A a", isolation=Isolation(mode="bwrap", hidden=hidden))

    assert (done.exit_code, done.out.data()) == (0, b"")


WRONG = (
    {"mode": "docker"},
    {"mode": None},
    {"mode": ["bwrap"]},
    {"required": "yes"},
    {"network": "some"},
    {"network": None},
    {"network": ("http://x",)},
    {"network": (["x"],)},
    {"network": ("host:0",)},
    {"network": ("host:65536",)},
    {"network": ("[::::]:80",)},
    {"readable": ("relative",)},
    {"readable": "/usr"},
    {"readable": None},
    {"readable": (5,)},
    {"readable": ("/",)},
    {"readable": ("/usr/../",)},
    {"readable": ("/proc/1",)},
    {"writable": ("/x\0",)},
    {"writable": ("//",)},
    {"hidden": ("/",)},
    {"hidden": ("/\ud800",)},
    {"limits": None},
    {"nesting": 1},
    {"private": 0},
    {"private": None},
    {"private": 1.5},
    {"private": 1 << 63},
)


@pytest.mark.parametrize("wrong", WRONG, ids=str)
def test_what_cannot_be_meant_is_refused_at_once_with_its_name(wrong) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=rf"{name}|paths come in a list"):
        Isolation(**wrong)
