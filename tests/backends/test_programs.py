"""Programs beside other operations, on a local backend by itself: followed, guided, ended."""

from __future__ import annotations

import gc
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing

from runner import errors as e
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.messages import Outcome, Poll
from runner.operations import Line
from runner.processes import background

ESCAPING = {
    "background": "sleep TOKEN &",
    "setsid": "setsid sleep TOKEN &",
    "nohup": "nohup sleep TOKEN >/dev/null 2>&1 &",
    "double fork": "( ( sleep TOKEN & ) & )",
    "double fork and setsid": "( setsid sh -c '(sleep TOKEN &) &' & )",
    "TERM ignored": "(trap '' TERM HUP INT; while :; do sleep TOKEN; done) &",
    "empty environment": "env -i setsid sleep TOKEN &",
}


@pytest.fixture
async def local(root):
    backend = LocalBackend(root)
    yield backend
    with trio.fail_after(20):
        await backend.aclose()


@pytest.fixture
def token():
    return str(random.randrange(10**14, 10**15))


@pytest.fixture
def alive(token):
    """Which living processes have the token in their command lines."""

    def find():
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if token.encode() in file.read():
                        found.append(int(name))
            except OSError:
                pass
        return found

    yield find

    for pid in find():
        os.kill(pid, 9)


async def until(fact, within=10):
    with trio.fail_after(within):
        while not fact():
            await trio.sleep(0.002)


# ---------------------------------------------------------------- started and guided


async def test_output_is_what_came_since_the_last_look(local, root):
    program = await local.start(
        "echo one; echo bad >&2; while [ ! -e go ]; do sleep 0.01; done; echo two; exit 3"
    )
    seen = await program.output()
    while not (seen.stdout and seen.stderr):
        more = await program.output()
        seen = type(seen)(
            stdout=seen.stdout + more.stdout,
            stderr=seen.stderr + more.stderr,
            missed=0,
            is_running=more.is_running,
        )
    assert (seen.stdout, seen.stderr, seen.is_running) == ("one\n", "bad\n", True)
    assert (await program.output()).stdout == ""

    (root / "go").touch()
    done = await program.done()

    last = await program.output()
    assert (last.stdout, last.missed, last.is_running) == ("two\n", 0, False)
    assert (done.exit_code, done.stdout, done.stderr) == (3, "one\ntwo\n", "bad\n")
    assert done.outcome is Outcome.EXITED
    assert done.duration > 0


@pytest.mark.parametrize("attempt", range(5))
async def test_tasks_that_look_through_one_handle_get_each_piece_once(local, attempt):
    program = await local.start("seq 20000; sleep 1000")
    seen = []

    async def look():
        seen.append((await program.output()).stdout)

    with trio.fail_after(20):
        while sum(map(len, seen)) < sum(len(str(number)) + 1 for number in range(1, 20001)):
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(look)

    numbers = "".join(seen).split()  # pieces end where they were cut: only in order are they whole
    assert numbers == [str(number) for number in range(1, 20001)]


async def test_a_program_runs_in_the_scope_with_its_environment(root):
    local = LocalBackend(root, env={"A": "scope", "B": "scope"})
    await local.mkdir("sub")
    program = await local.start('pwd -P; echo "$A $B"; cat', cwd="sub", env={"B": "op"}, input="in")

    assert (await program.done()).stdout == f"{root}/sub\nscope op\nin"
    await local.aclose()


async def test_it_is_listed_while_it_runs_and_after_its_end(local):
    one = await local.start(["sleep", "1000"])
    two = await local.start("exit 4")
    await two.done()

    first, second = await local.processes()

    assert (first.id, first.pid, first.command) == (one.id, one.pid, ("sleep", "1000"))
    assert (first.is_running, first.exit_code) == (True, None)
    assert (second.id, second.is_running, second.exit_code) == (two.id, False, 4)
    assert first.started <= second.started
    os.kill(first.pid, 0)
    again = await local.process(two.id)
    assert (await again.done()).exit_code == 4
    with pytest.raises(e.NotFound, match="there is no such program"):
        await local.process("nobody")


async def test_waiting_ends_with_its_time_and_the_program_goes_on(local):
    program = await local.start("sleep 1000")

    assert await program.wait(0.05) is None
    assert (await program.output()).is_running


async def test_an_interrupt_is_what_ctrl_c_is(local):
    program = await local.start(
        "trap 'echo caught; exit 5' INT; echo up; while :; do sleep 0.01; done"
    )
    async for line in program:
        if line.text == "up":
            assert await program.interrupt()

    done = await program.done()
    assert (done.exit_code, done.stdout) == (5, "up\ncaught\n")
    assert not await program.interrupt()
    assert not await program.kill()


@pytest.mark.parametrize("kind", ESCAPING)
async def test_killing_ends_the_whole_tree_before_it_returns(local, token, alive, kind):
    program = await local.start(
        ESCAPING[kind].replace("TOKEN", token) + f"\necho up; sleep {token}"
    )
    await until(lambda: len(alive()) >= 3)

    assert await program.kill()

    assert alive() == []
    done = await program.done()
    assert (done.exit_code, done.outcome) == (-signal.SIGKILL, Outcome.EXITED)


async def test_what_it_leaves_behind_is_ended_with_it(local, token, alive):
    program = await local.start(f"setsid sleep {token} & exit 0")

    assert (await program.done()).leftovers == 1
    assert alive() == []


@pytest.mark.parametrize(
    ("limit", "outcome"),
    [({"timeout": 0.1}, Outcome.TIMEOUT), ({"silence": 0.1}, Outcome.SILENCE)],
)
async def test_limits_hold_for_it_as_for_an_exec(local, limit, outcome):
    done = await (await local.start("sleep 1000", **limit)).done()

    assert (done.outcome, done.exit_code) == (outcome, -signal.SIGTERM)


async def test_what_is_written_is_its_standard_input(local):
    program = await local.start('read line; echo "<$line>"; cat; echo end', writes=True)
    follower = program.follow()

    await program.write("first\n")
    assert await anext(follower) == Line(stream="stdout", text="<first>")
    await program.write(b"\xff second\n")
    assert (await anext(follower)).data == b"\xff second"
    await program.close_input()
    assert (await anext(follower)).text == "end"
    with pytest.raises(e.ExecFailed, match="does not read its standard input"):
        await program.write("late")


async def test_writing_much_waits_for_the_reader(local, root):
    program = await local.start(
        "while [ ! -e go ]; do sleep 0.01; done; wc -c", input=b"x" * 10, writes=True
    )
    written = []

    async def write():
        for _ in range(64):
            await program.write(b"y" * (1 << 16))
            written.append(1)
        await program.close_input()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await until(lambda: len(written) >= 16)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(written) < 64
        (root / "go").touch()
    assert (await program.done()).stdout.strip() == str(64 * (1 << 16) + 10)


async def test_input_that_is_closed_while_some_waits_is_read_to_its_end(local, root):
    program = await local.start("while [ ! -e go ]; do sleep 0.01; done; wc -c", writes=True)
    await program.write(b"y" * 300_000)
    await program.close_input()
    (root / "go").touch()

    assert (await program.done()).stdout.strip() == "300000"


async def test_writing_to_who_was_not_started_for_it_is_refused(local):
    program = await local.start("sleep 1000")

    with pytest.raises(e.ExecFailed, match="writes=True"):
        await program.write("x")


async def test_a_program_that_does_not_want_its_input_is_told_to_the_writer(local):
    program = await local.start("exec <&-; echo closed; sleep 1000", writes=True)
    await anext(program.follow())

    with pytest.raises(e.ExecFailed):
        for _ in range(3):
            await program.write("x")
    assert (await program.output()).is_running


async def test_what_cannot_be_started_says_why(local):
    for command in (("no-such-program-anywhere",), (), ("nul\0",)):
        with pytest.raises(e.ExecFailed) as failed:
            await local.start(command)
        assert (failed.value.op, failed.value.scope) == ("start", local.name)
    with pytest.raises(e.NotFound):
        await local.start("true", cwd="nowhere")
    with pytest.raises(e.PathEscapes):
        await local.start("true", cwd="..")
    assert await local.processes() == ()


@pytest.mark.parametrize("way", ["exec", "start"])
@pytest.mark.parametrize(
    "how",
    [
        *({"command": each} for each in (None, 5, b"ls", {"ls": 1}, [b"ls"], ["ls", 1], Path("x"))),
        *({"env": each} for each in (["A=1"], "A=1", {"A": 1}, {1: "A"}, {"A": None})),
        *({"input": each} for each in (5, ["x"])),
        *({"timeout": each} for each in (-1, "5", True, float("nan"), 10**400)),
        *({"silence": each} for each in (-1, float("nan"), 10**400)),
        *({"max_output": each} for each in (-1, 1.5, None, 10**30)),
        *({"cwd": each} for each in (None, 5, Path())),
        *({"log": each} for each in (5, b"log", False)),
    ],
    ids=repr,
)
async def test_what_no_program_can_be_run_with_is_refused_and_nothing_is_run(local, root, way, how):
    with pytest.raises(e.InvalidArgument) as refused:
        await getattr(local, way)(**{"command": "touch there", **how})

    assert (refused.value.op, refused.value.scope) == (way, local.name)
    assert os.listdir(root) == []


async def test_text_is_utf_8_with_surrogate_escapes_both_ways_and_nothing_else(local):
    raw = bytes(range(256)) * 3
    (done,) = [await local.exec("cat", input=raw)]

    assert (await local.exec("cat", input=done.stdout, encoding=None)).stdout == raw
    program = await local.start("cat", input=done.stdout, writes=True)
    await program.write(done.stdout)
    await program.close_input()
    assert (await program.done()).stdout == done.stdout * 2
    for ask in (
        lambda: local.exec("true", encoding="latin-1"),
        lambda: program.output(encoding="latin-1"),
    ):
        with pytest.raises(e.InvalidArgument, match=r"latin-1.* bytes"):
            await ask()
    for ask in (
        lambda: local.exec("cat", input="\ud800"),
        lambda: local.start("cat", input="\ud800"),
        lambda: program.write("\ud800"),
    ):
        with pytest.raises(e.DecodeFailed, match="character 0"):
            await ask()


@pytest.mark.parametrize("number", [-1, 0, 999, 2**40])
async def test_what_is_no_signal_is_refused_and_touches_nobody(local, number):
    program = await local.start("sleep 1000")

    with pytest.raises(e.InvalidArgument, match="is no signal"):
        await program.signal(number)

    assert (await program.output()).is_running
    assert await program.signal(signal.SIGTERM)
    assert (await program.done()).exit_code == -signal.SIGTERM


async def test_who_asks_for_nobody_is_told_so(local):
    program = await local.start("true")
    program.id = "nobody"
    for ask in (program.output, program.wait, program.interrupt, program.kill, program.close_input):
        with pytest.raises(e.NotFound, match="no such program"):
            await ask()


@pytest.mark.parametrize("attempt", range(20))
async def test_a_start_that_is_cancelled_leaves_nothing(local, token, alive, attempt):
    with trio.move_on_after(attempt * 0.0005):
        await local.start(f"setsid sleep {token} & sleep {token}")
    for info in await local.processes():  # it may have been in time
        await (await local.process(info.id)).kill()

    assert alive() == []


async def test_fifty_at_once_are_told_apart(local, token, alive):
    programs = [
        await local.start(f"echo {number}; sleep {token}; exit {number}") for number in range(50)
    ]
    assert len({each.id for each in programs}) == 50
    assert len({each.pid for each in programs}) == 50
    for number, each in enumerate(programs):
        assert await anext(each.follow()) == Line(stream="stdout", text=str(number))
    assert len(await local.processes()) == 50
    assert len(alive()) >= 50

    await local.aclose()

    assert alive() == []


async def test_the_last_that_have_ended_are_remembered_and_no_more(local, monkeypatch):
    monkeypatch.setattr(background, "REMEMBERED", 3)
    for number in range(6):
        await (await local.start(f"exit {number}")).done()
    running = await local.start("sleep 1000")

    assert [each.exit_code for each in await local.processes()] == [3, 4, 5, None]
    assert (await running.output()).is_running


# ---------------------------------------------------------------- followed


async def test_lines_come_as_they_are_written_and_then_the_end(local, root):
    async with local.stream(
        "echo one; while [ ! -e go ]; do sleep 0.01; done; echo two >&2; printf three"
    ) as program:
        lines = program.follow()
        assert await anext(lines) == Line(stream="stdout", text="one")
        (root / "go").touch()
        assert [line async for line in lines] == [
            Line(stream="stderr", text="two"),
            Line(stream="stdout", text="three", is_whole=False),
        ]
        done = await program.done()

    assert (done.exit_code, done.stdout, done.stderr) == (0, "one\nthree", "two\n")
    assert await local.processes() == ()


@pytest.mark.parametrize("way", ["left", "cancelled", "error"])
@pytest.mark.parametrize("kind", ESCAPING)
async def test_leaving_a_stream_ends_the_whole_tree(local, token, alive, kind, way):
    script = ESCAPING[kind].replace("TOKEN", token) + f"\necho up; sleep {token}"
    with trio.CancelScope() as cancel_scope:
        try:
            async with local.stream(script) as program:
                async for _ in program:
                    break
                await until(lambda: len(alive()) >= 3)
                if way == "cancelled":
                    cancel_scope.cancel()
                    await trio.sleep_forever()
                elif way == "error":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    assert alive() == []


async def test_any_number_of_followers_get_every_line(local):
    got = []

    async def follow(program):
        got.append([line.text async for line in program])

    async with local.stream("seq 20000") as program, trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(follow, program)

    assert got == [[str(number) for number in range(1, 20001)]] * 20


async def test_who_leaves_early_comes_late_or_is_slow_disturbs_no_other_follower(local, root):
    got = {"early": [], "slow": [], "late": [], "shared": []}

    async def follow(follower, name, most=1 << 30, pause=0.0):
        async for line in follower:
            got[name].append(line.text)
            await trio.sleep(pause)
            if len(got[name]) == most:
                break

    script = "seq 500; while [ ! -e go ]; do sleep 0.01; done; seq 501 1000"
    async with local.stream(script) as program, trio.open_nursery() as nursery:
        nursery.start_soon(follow, program.follow(), "early", 5)
        nursery.start_soon(follow, program.follow(), "slow", 1 << 30, 0.0005)
        shared = program.follow()
        for _ in range(3):
            nursery.start_soon(follow, shared, "shared")
        await until(lambda: len(got["early"]) == 5)
        (root / "go").touch()
        await program.wait()
        nursery.start_soon(follow, program.follow(), "late")

    every = [str(number) for number in range(1, 1001)]
    assert got["early"] == every[:5]
    assert got["slow"] == got["late"] == every
    assert sorted(got["shared"], key=int) == every


async def test_a_follower_that_never_reads_slows_nobody_and_knows_what_it_missed(local):
    async with local.stream("seq 300000; seq 5 >&2", max_output=100_000) as program:
        idle = program.follow()
        first = await anext(idle)
        done = await program.done()  # nobody reads: it comes to its end all the same

        rest = [line async for line in idle]

    total = sum(len(str(number)) + 1 for number in range(1, 300001)) + 10
    assert first.missed + idle.missed > total - 300_000
    kept = sum(len(line.data) + line.is_whole for line in (first, *rest))
    assert kept + idle.missed == total
    assert done.exit_code == 0
    assert done.omitted == total - 100_000
    assert any(line.missed for line in (first, *rest))  # on a busy machine before the first


async def test_output_beyond_the_bound_is_dropped_and_counted(local):
    program = await local.start("seq 100000", max_output=1000)
    await program.done()

    fresh = await program.output()

    total = sum(len(str(number)) + 1 for number in range(1, 100001))
    assert len(fresh.stdout) == 1000
    assert fresh.missed == total - 1000
    assert fresh.stdout.endswith("99999\n100000\n")


async def test_undecodable_bytes_survive(local):
    raw = b"a\xff\xfe\xc3\n\x80b\xf0\x9f\n"
    script = "printf 'a\\377\\376\\303\\n\\200b\\360\\237\\n'"
    async with local.stream(script) as program:
        lines = [line async for line in program]
        text = (await program.output()).stdout
        data = (await (await local.process(program.id)).output(encoding=None)).stdout

    assert b"".join(line.data + b"\n" for line in lines) == raw
    assert text.encode("utf-8", "surrogateescape") == raw
    assert data == raw


async def test_a_line_without_end_does_not_grow(local):
    async with local.stream("head -c 3000000 /dev/zero") as program:
        lines = [line async for line in program]

    assert sum(len(line.text) for line in lines) == 3_000_000
    assert max(len(line.text) for line in lines) <= 1 << 16
    assert not any(line.is_whole for line in lines)


async def test_a_question_with_a_time_limit_is_answered_in_time(local):
    program = await local.start("sleep 1000")

    with trio.fail_after(5):
        news = await local.ask(Poll(id=program.id, wait=0.05))

    assert (news.pieces, news.is_last) == ((), False)


# ---------------------------------------------------------------- left behind


@pytest.mark.parametrize("kind", ESCAPING)
async def test_what_is_kept_ends_with_the_backend(root, token, alive, kind):
    local = LocalBackend(root)
    script = ESCAPING[kind].replace("TOKEN", token) + "\nsleep 0.05; echo done"

    done = await local.exec(script, leftover="keep")

    assert (done.stdout, done.exit_code) == ("done\n", 0)
    assert done.leftovers >= 1
    assert alive() != []
    assert local.holds()
    assert (await local.exec("echo on")).stdout == "on\n"

    await local.aclose()

    assert alive() == []
    assert not local.holds()


async def test_by_default_it_ends_with_the_command(local, token, alive):
    done = await local.exec(f"setsid nohup sleep {token} & true")

    assert done.leftovers == 1
    assert alive() == []
    assert not local.holds()


async def test_a_backend_holds_nothing_when_the_last_has_ended(local, root):
    await local.exec("(while [ ! -e go ]; do sleep 0.01; done) &", leftover="keep")
    program = await local.start("while [ ! -e go ]; do sleep 0.01; done")
    assert local.holds()

    (root / "go").touch()
    await program.done()
    await until(lambda: not local.holds())


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("kind", ["program", "reader", "writer"])
async def test_what_a_caller_has_opened_and_forgotten_holds_nothing(
    local, root, alive, token, kind
):
    await local.write("file", "old")

    async def vanish():
        opened = {
            "program": lambda: local.stream(f"setsid sleep {token} & sleep {token}"),
            "reader": lambda: local.open_stream("file"),
            "writer": lambda: local.open_stream("file", "wb"),
        }[kind]()
        await opened.__aenter__()  # and never leaves

    await vanish()
    gc.collect()

    await until(lambda: not local.holds())
    assert alive() == []
    assert os.listdir(root) == ["file"]
    assert await local.read("file") == "old"


# ---------------------------------------------------------------- logs


@pytest.mark.parametrize("way", ["exec", "start"])
async def test_a_log_gets_all_output(local, root, way):
    (root / "out.log").write_bytes(b"old")
    script = "echo one; seq 100000; echo bad >&2; printf '\\377'"
    if way == "exec":
        done = await local.exec(script, log="out.log", max_output=10)
    else:
        done = await (await local.start(script, log="out.log", max_output=10)).done()

    content = (root / "out.log").read_bytes()
    assert len(content) == 4 + sum(len(str(number)) + 1 for number in range(1, 100001)) + 5
    assert b"\xff" in content
    assert b"bad\n" in content
    assert done.omitted > 0
    assert done.unlogged == 0


async def test_a_log_is_made_with_its_parents_and_stays_inside(local, root):
    await local.exec("echo x", log="a/b/c.log")
    assert (root / "a/b/c.log").read_bytes() == b"x\n"

    (root / "link").symlink_to("../outside")
    for path, kind in (("link", e.PathEscapes), ("../x", e.PathEscapes), ("a", e.WrongType)):
        with pytest.raises(kind):
            await local.exec("echo x", log=path)
        with pytest.raises(kind):
            await local.start("echo x", log=path)
    os.mkfifo(root / "fifo")
    with pytest.raises(e.OperationError):
        await local.exec("echo x", log="fifo")
    with pytest.raises(e.WrongType):
        await local.exec("echo x", log="a/")


async def test_what_does_not_fit_into_a_log_is_counted(local, small_disk):
    done = await local.exec("head -c 1000000 /dev/zero", log="disk/log", max_output=10)

    assert done.exit_code == 0
    assert (small_disk / "log").stat().st_size + done.unlogged == 1_000_000
    assert done.unlogged > 0


# ---------------------------------------------------------------- in memory


async def test_in_memory_nothing_runs_and_that_is_said():
    memory = MemoryBackend()
    for run in (
        lambda: memory.exec("true"),
        lambda: memory.start(["true", "x"]),
        lambda: memory.ask(Poll(id="x")),
    ):
        with pytest.raises(e.ExecFailed, match="the files are in memory"):
            await run()
    with pytest.raises(e.ExecFailed):
        async with memory.stream("true"):
            pass
    assert await memory.processes() == ()
    assert not memory.holds()


# ---------------------------------------------------------------- the README


def test_the_example_of_the_readme_runs(tmp_path):
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    block = readme.split("<!-- programs -->\n```python\n")[1].split("```\n<!-- /programs -->")[0]
    (tmp_path / "example.py").write_text(block)

    done = subprocess.run(
        [sys.executable, "-W", "error", "example.py"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )

    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert sorted(lines[:4]) == ["stderr bad", "stdout 1", "stdout 2", "stdout 3"]
    assert lines[4:7] == ["0", "got one", ""]
    assert lines[7].endswith(", 0)]")
    assert last == "1000"
