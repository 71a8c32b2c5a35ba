"""ProcessHost.run: what comes out, what goes in, when it ends, and what cannot be started."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from runner.errors import ConfigError, ExecFailed
from runner.messages import Completed, Outcome
from runner.processes import launch
from runner.processes.host import ProcessHost
from runner.processes.keepers import IDLE_KEEPERS

Sh = Callable[..., Any]
SECRETS = {"MY_API_KEY": "canary-in-environ", "SSH_AUTH_SOCK": "/canary"}


@pytest.fixture
def sh(host: ProcessHost, env: dict[str, str], tmp_path: Path) -> Sh:
    async def run(script: str, **how: Any) -> Completed:
        with trio.fail_after(30):
            how.setdefault("cwd", str(tmp_path))
            return await host.run(["sh", "-c", script], env=how.pop("env", env), **how)

    return run


def open_files() -> list[str]:
    """Our descriptors, but for the one that lists them, and where they lead."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
    return sorted(found)


# ---------------------------------------------------------------- output and exit codes


async def test_both_outputs_and_the_exit_code_come_back(sh: Sh) -> None:
    done = await sh("echo out; echo err >&2; exit 3")

    assert (done.exit_code, done.outcome) == (3, Outcome.EXITED)
    assert (done.out.data(), done.err.data()) == (b"out\n", b"err\n")
    assert 0 < done.duration < 10
    assert done.leftovers == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
async def test_death_by_a_signal_is_a_negative_exit_code(sh: Sh, number: int) -> None:
    assert (await sh(f"kill -{int(number)} $$")).exit_code == -number


@pytest.mark.parametrize("code", [0, 1, 126, 127, 255])
async def test_every_exit_code_is_the_programs_own(sh: Sh, code: int) -> None:
    assert (await sh(f"exit {code}")).exit_code == code


async def test_undecodable_bytes_are_bytes(sh: Sh) -> None:
    assert (await sh(r"printf '\377\000\376'")).out.data() == b"\xff\x00\xfe"


async def test_arguments_and_variables_may_be_any_bytes_but_nul(
    sh: Sh, host: Any, env: Any
) -> None:
    odd = os.fsdecode(b"\xff=\n\xfe ")
    done = await host.run(
        ["sh", "-c", 'printf "%s|" "$@" "$ODD"', "sh", odd, "", "é"],
        cwd="/",
        env={**env, "ODD": odd},
    )

    assert done.out.data() == b"\xff=\n\xfe ||\xc3\xa9|\xff=\n\xfe |"


async def test_a_hundred_megabytes_are_counted_and_their_ends_kept(sh: Sh) -> None:
    size = 100 << 20
    done = await sh(f"printf start; head -c {size} /dev/zero; printf stop", max_output=1000)

    assert done.out.size == size + 9
    assert (len(done.out.head), len(done.out.tail)) == (500, 500)
    assert done.out.head.startswith(b"start\0")
    assert done.out.tail.endswith(b"\0stop")


async def test_interleaved_outputs_are_both_whole(sh: Sh) -> None:
    done = await sh("i=0; while [ $i -lt 2000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done")

    assert done.out.data().split() == [b"out%d" % i for i in range(2000)]
    assert done.err.data().split() == [b"err%d" % i for i in range(2000)]


async def test_a_program_may_close_its_outputs_and_go_on(sh: Sh) -> None:
    done = await sh("echo before; exec >&- 2>&-; sleep 0.1; exit 9")

    assert (done.exit_code, done.out.data()) == (9, b"before\n")
    assert done.duration >= 0.1


# ---------------------------------------------------------------- input


async def test_without_input_there_is_an_empty_one(sh: Sh) -> None:
    assert (await sh("cat; echo end")).out.data() == b"end\n"
    assert (await sh("cat; echo end", input=b"")).out.data() == b"end\n"


async def test_five_megabytes_go_through_a_program_both_ways(sh: Sh) -> None:
    data = os.urandom(5 << 20)
    done = await sh("cat", input=data, max_output=6 << 20)

    assert done.out.data() == data


async def test_input_that_is_not_read_is_no_error(sh: Sh) -> None:
    done = await sh("exec <&-; sleep 0.05; echo fine", input=bytes(5 << 20))
    again = await sh("head -c 1 | wc -c", input=bytes(5 << 20))

    assert (done.exit_code, done.out.data()) == (0, b"fine\n")
    assert again.out.data().strip() == b"1"


# ---------------------------------------------------------------- deadlines


async def test_a_timeout_keeps_what_was_said_until_then(sh: Sh) -> None:
    done = await sh("echo partial; exec sleep 100", timeout=0.1)

    assert (done.outcome, done.exit_code) == (Outcome.TIMEOUT, -signal.SIGTERM)
    assert done.out.data() == b"partial\n"
    assert 0.1 <= done.duration < 2


async def test_in_the_grace_period_a_program_may_tidy_up(sh: Sh) -> None:
    done = await sh("trap 'echo bye; exit 7' TERM; while :; do sleep 0.01; done", timeout=0.1)

    assert (done.outcome, done.exit_code, done.out.data()) == (Outcome.TIMEOUT, 7, b"bye\n")


async def test_a_timeout_holds_while_output_never_pauses(sh: Sh) -> None:
    done = await sh("exec cat /dev/zero", timeout=0.2, max_output=10)

    assert done.outcome is Outcome.TIMEOUT
    assert done.out.omitted > 0


async def test_silence_ends_who_says_nothing_and_not_who_speaks(sh: Sh) -> None:
    speaks = await sh("for i in 1 2 3 4; do sleep 0.1; echo $i; done", silence=1.0)
    silent = await sh("echo once; exec sleep 100", silence=0.2)

    assert (speaks.outcome, speaks.exit_code) == (Outcome.EXITED, 0)
    assert (silent.outcome, silent.out.data()) == (Outcome.SILENCE, b"once\n")


async def test_of_timeout_and_silence_the_first_is_told(sh: Sh) -> None:
    assert (await sh("sleep 100", timeout=0.1, silence=50)).outcome is Outcome.TIMEOUT
    assert (await sh("sleep 100", timeout=50, silence=0.1)).outcome is Outcome.SILENCE


async def test_a_program_that_ends_in_time_is_not_timed_out(sh: Sh) -> None:
    assert (await sh("true", timeout=20, silence=20)).outcome is Outcome.EXITED


# ---------------------------------------------------------------- environment and directory


async def test_the_environment_is_what_was_given_and_our_tag(
    sh: Sh, host: ProcessHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)

    done = await sh(
        "env; tr '\\0' '\\n' </proc/$PPID/environ", env={"PATH": os.environ["PATH"], "A": "1"}
    )

    names = {line.partition(b"=")[0] for line in done.out.data().splitlines()}
    keepers = {b"RUNNER_KEEPER", b"COVERAGE_PROCESS_CONFIG"}
    assert names - {b"PWD", b"OLDPWD", b"SHLVL", b"_"} - keepers == {b"PATH", b"A", b"RUNNER_RUN"}
    assert b"canary" not in done.out.data()
    assert f"RUNNER_RUN={host.run_id}".encode() in done.out.data()


async def test_a_program_has_its_three_streams_and_no_other_descriptor(sh: Sh) -> None:
    secret = os.open(os.devnull, os.O_RDONLY)
    try:
        os.set_inheritable(secret, True)
        done = await sh("ls /proc/self/fd", input=b"")
    finally:
        os.close(secret)

    assert done.out.data().split() == [b"0", b"1", b"2", b"3"]  # 3 is how ls looks


async def test_signals_have_their_defaults_and_none_is_blocked(sh: Sh) -> None:
    done = await sh("grep -E 'Sig(Ign|Blk)' /proc/self/status")

    masks = [int(line.split()[1], 16) for line in done.out.data().splitlines()]
    of_the_c_library = 1 << 31 | 1 << 32  # posix_spawn of glibc ignores these two of its own
    assert [mask & ~of_the_c_library for mask in masks] == [0, 0]


async def test_a_directory_is_a_path_or_a_descriptor(sh: Sh, tmp_path: Path) -> None:
    here = os.fsencode(os.path.realpath(tmp_path)) + b"\n"
    fd = os.open(tmp_path, os.O_PATH)
    try:
        assert (await sh("pwd -P", cwd=fd)).out.data() == here
        assert (await sh("pwd -P")).out.data() == here
        os.fstat(fd)  # still open: it is the caller's
    finally:
        os.close(fd)


async def test_programs_are_found_from_the_directory_and_in_its_path(
    host: ProcessHost, tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    tool.write_text("#!/bin/sh\necho $0\n")
    tool.chmod(0o755)
    for argv, path in ((["./tool"], "/bin"), (["tool"], ":/bin"), (["tool"], "/nowhere:.")):
        done = await host.run(argv, cwd=str(tmp_path), env={"PATH": path})
        assert done.out.data() == b"./tool\n"


# ---------------------------------------------------------------- what cannot be started


async def failure(host: ProcessHost, *argv: str, cwd: Any, env: Any = None) -> ExecFailed:
    before = open_files()
    with pytest.raises(ExecFailed) as caught:
        await host.run(argv, cwd=cwd, env={"PATH": "/usr/bin:/bin"} if env is None else env)
    assert len(open_files()) - len(before) in (0, 3)  # guardian, keeper and its epoll at most
    assert caught.value.op == "exec"
    return caught.value


async def test_the_shell_is_looked_up_in_each_path_and_again_when_it_has_gone(
    host: ProcessHost, tmp_path: Path
) -> None:
    async def which(path: str) -> bytes:
        done = await host.run(["sh", "-c", "echo real"], cwd=str(tmp_path), env={"PATH": path})
        return done.out.data().strip()

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sh").write_text(f"#!/bin/sh\necho {name}\n")
        (tmp_path / name / "sh").chmod(0o755)
    path = f"{tmp_path}/a:{tmp_path}/b:/bin"

    assert [await which(path) for _ in range(2)] == [b"a", b"a"]
    (tmp_path / "a/sh").unlink()
    assert await which(path) == b"b"
    (tmp_path / "b/sh").chmod(0o644)
    assert await which(path) == b"real"
    (tmp_path / "b/sh").chmod(0o755)
    for _ in range(2):
        assert await which("b:/bin") == b"b"
        assert await which(":/bin") == b"real"
    (tmp_path / "sh").write_text("#!/bin/sh\necho here\n")
    (tmp_path / "sh").chmod(0o755)
    assert await which(":/bin") == b"here"
    for number in range(2 * launch.SHELLS):
        assert await which(f"/none/{number}:/bin") == b"real"
    assert len(launch._shells) <= launch.SHELLS


async def test_a_directory_that_the_keeper_cannot_enter_is_said_to_be_that(
    host: ProcessHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    error = await failure(host, "true", cwd=file)
    assert "working directory cannot be entered: Not a directory" in str(error)
    monkeypatch.setattr(launch, "check_directory", lambda *_: None)  # as if it changed behind it
    late = await failure(host, "true", cwd=file)
    os.close(file)

    assert str(late) == str(error)


async def test_a_directory_may_be_a_descriptor_which_stays_the_callers(
    host: ProcessHost, tmp_path: Path
) -> None:
    directory = os.open(tmp_path, os.O_PATH)
    done = await host.run(["pwd", "-P"], cwd=directory, env={"PATH": "/usr/bin:/bin"})

    assert done.out.head.decode().rstrip() == os.path.realpath(tmp_path)
    os.close(directory)  # it is still there


async def test_what_is_not_there_is_said_to_be_missing(host: ProcessHost, tmp_path: Path) -> None:
    error = await failure(host, "no-such-program", "-x", cwd=str(tmp_path))

    assert error.path == "no-such-program"
    assert "no program of that name" in str(error)
    assert "PATH is /usr/bin:/bin" in error.hint
    assert "no such file" in str(await failure(host, "./nothing", cwd=str(tmp_path)))
    assert "no such file" in str(await failure(host, "bad\0/name", cwd=str(tmp_path)))


async def test_what_cannot_be_executed_is_said_so(host: ProcessHost, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("just text")
    (tmp_path / "d").mkdir()

    assert "cannot be executed" in str(await failure(host, "./text", cwd=str(tmp_path)))
    assert "cannot be executed" in str(await failure(host, "./d", cwd=str(tmp_path)))
    assert "./d" in str(await failure(host, "d", cwd=str(tmp_path), env={"PATH": "."}))
    (tmp_path / "text").chmod(0o755)
    assert "#! line" in str(await failure(host, "./text", cwd=str(tmp_path)))
    (tmp_path / "text").write_text("#!/no/such/interpreter\n")
    assert "interpreter" in str(await failure(host, "./text", cwd=str(tmp_path)))


async def test_a_directory_that_is_gone_is_said_to_be(host: ProcessHost, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    gone = tmp_path / "gone"
    gone.mkdir()
    fd = os.open(gone, os.O_PATH)
    gone.rmdir()
    try:
        assert "removed" in str(await failure(host, "true", cwd=fd))
    finally:
        os.close(fd)
    assert "No such file" in str(await failure(host, "true", cwd=str(gone)))
    assert "Not a directory" in str(await failure(host, "true", cwd=str(tmp_path / "file")))
    assert "cannot be entered" in str(await failure(host, "true", cwd=10**6))


async def test_arguments_that_nobody_can_take_are_refused(host: ProcessHost) -> None:
    assert "NUL" in str(await failure(host, "echo", "a\0b", cwd="/"))
    assert "encoded" in str(await failure(host, "echo", "\ud800", cwd="/"))
    for env in ({"": "x"}, {"A=B": "x"}):
        assert "variable" in str(await failure(host, "true", cwd="/", env={"PATH": "/bin", **env}))
    assert "too long" in str(await failure(host, "echo", "x" * (1 << 18), cwd="/"))
    assert "too long" in str(await failure(host, "echo", "x" * launch.MOST_BYTES, cwd="/"))
    for argv in ((), ("",)):
        assert "no program" in str(await failure(host, *argv, cwd="/"))
    with pytest.raises(ExecFailed, match="no program"):
        await host.run("echo hello", cwd="/", env={})


async def test_long_but_possible_arguments_arrive(host: ProcessHost, env: dict[str, str]) -> None:
    words = ["x" * 100_000] * 12
    with trio.fail_after(30):
        done = await host.run(["printf", "%s", *words], cwd="/", env=env, max_output=2 << 20)

    assert done.out.data() == b"x" * 1_200_000


def test_an_unusable_run_id_is_refused() -> None:
    with pytest.raises(ConfigError):
        ProcessHost(run_id="../x")


async def test_a_closed_host_starts_nothing(host: ProcessHost) -> None:
    await host.aclose()
    await host.aclose()

    assert "closed" in str(await failure(host, "true", cwd="/"))
    assert "no guardian" in repr(host)


# ---------------------------------------------------------------- many, and nothing left over


async def test_fifty_at_once_each_have_their_own(sh: Sh, host: ProcessHost) -> None:
    results: dict[int, Completed] = {}

    async def one(number: int) -> None:
        results[number] = await sh(f"cat; sleep 0.2; exit {number}", input=b"%d" % number)

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, number)

    assert [results[n].exit_code for n in range(50)] == list(range(50))
    assert [results[n].out.data() for n in range(50)] == [b"%d" % n for n in range(50)]
    assert f"{IDLE_KEEPERS} keepers idle" in repr(host)


async def test_no_descriptor_and_no_process_is_left(
    env: dict[str, str], tmp_path: Path, alive: Callable[..., list[int]]
) -> None:
    before = open_files()
    host = ProcessHost(run_id="leak-" + str(os.getpid()))
    for number in range(20):
        with trio.move_on_after(0.02 * (number % 3) or 20):
            await host.run(["sh", "-c", "echo x; sleep 0.01"], cwd=str(tmp_path), env=env)
        with trio.move_on_after(0.01):
            async with host.open_process(["sleep", "9"], cwd=str(tmp_path), env=env, stdin=b"x"):
                await trio.sleep_forever()
        with pytest.raises(ExecFailed):
            await host.run(["no-such-program"], cwd=str(tmp_path), env=env)
    await host.aclose()

    assert open_files() == before
    assert alive(host.run_id) == []


@contextmanager
def room_for(descriptors: int) -> Iterator[None]:
    """Leave room for so many descriptors and no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 40, hard)
    )
    fill: list[int] = []
    try:
        while True:
            try:
                fill.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        for _ in range(descriptors):
            os.close(fill.pop())
        yield
    finally:
        for fd in fill:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("warm", [True, False])
async def test_out_of_descriptors_is_an_answer_and_leaks_nothing(
    warm: bool, env: dict[str, str]
) -> None:
    before = open_files()
    host = ProcessHost()
    if warm:
        await host.run(["true"], cwd="/", env=env)
    answers = []
    for room in range(16):
        try:
            with room_for(room):
                async with host.open_process(["cat"], cwd="/", env=env):
                    await host.run(["true"], cwd="/", env=env, input=b"x")
                    answers.append("")
        except ExecFailed as error:
            answers.append(str(error))

    failures = [answer for answer in answers if answer]
    assert len(failures) > 5
    assert answers[15] == ""
    assert [answer for answer in failures if "too many files" not in answer] == []
    assert (await host.run(["true"], cwd="/", env=env)).exit_code == 0
    await host.aclose()
    assert open_files() == before


async def test_a_host_that_is_forgotten_takes_its_processes_with_it(
    env: dict[str, str], alive: Callable[..., list[int]], token: str
) -> None:
    host = ProcessHost(run_id=token)
    await host.run(["true"], cwd="/", env=env)
    assert alive()
    del host

    assert alive() == []


async def test_a_host_serves_one_trio_run_after_the_other(env: dict[str, str]) -> None:
    host = ProcessHost()

    def run() -> int:
        return trio.run(once).exit_code

    async def once() -> Completed:
        return await host.run(["true"], cwd="/", env=env)

    codes = [await trio.to_thread.run_sync(run) for _ in range(3)]
    await host.aclose()

    assert codes == [0, 0, 0]
