"""`runner batch run`: flags, exit codes, records, resuming, progress on a terminal and elsewhere."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import time

import pytest

SCHEMAS = ["runner.launch/1", "runner.result/1", "runner.done/1"]


def _batch(runner, text: str) -> str:
    (runner.cwd / "b.toml").write_text(f'name = "b"\n{text}')
    return "b.toml"


def _records(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


TWO = 'prompt = "echo {{ row.word }}; {{ row.end }}"\n[data]\nrows = [%s]\n'
GOOD = TWO % '{ word = "one", end = "true" }, { word = "two", end = "true" }'


# ---------------------------------------------------------------- plain lines and the table


def test_a_batch_ends_with_a_table_and_its_results(runner) -> None:
    ended = runner("batch", "run", _batch(runner, GOOD), "-o", "out")

    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0].startswith("b: 2 jobs, ")
    assert lines[0].endswith(" at a time, into out")
    assert sum(line.startswith("ok ") for line in lines) == 2
    assert re.match(r" job +state +verdict +attempts +turns +time", lines[-5])
    assert lines[-1].startswith("b: 2 ok in ")
    assert lines[-1].endswith("see out/results.jsonl")
    assert "\x1b" not in ended.out
    assert len((runner.cwd / "out" / "results.jsonl").read_text().splitlines()) == 2


def test_without_a_directory_the_batchs_name_says_where_the_results_go(runner) -> None:
    ended = runner("batch", "run", _batch(runner, GOOD))

    assert ended.code == 0
    assert (runner.cwd / "runner-out" / "b" / "results.jsonl").exists()


def test_what_workspaces_stay_is_said_with_how_one_is_looked_at(runner) -> None:
    (runner.cwd / "src").mkdir()
    (runner.cwd / "src" / "a.txt").write_text("one\n")
    text = (
        'prompt = "echo {{ id }} > a.txt"\nid = "j{{ index }}"\nkeep = "changed"\n'
        'workspace = {copy = "src", isolation = "workspace"}\ndata.rows = [{}, {}]\n'
    )
    refused = runner("batch", "run", _batch(runner, text), "-o", "src/out")
    ended = runner("batch", "run", _batch(runner, text))

    assert refused.code == 2
    assert "b.toml:5: workspace.copy: the output directory 'src/out' would lie in" in refused.err
    assert (ended.code, ended.err) == (0, "")
    said = "2 workspaces stay: runner workspace diff -C src b.j1.1"
    assert ended.out.splitlines()[-1] == said
    diff = runner(*said.split()[4:])
    assert (diff.code, diff.out.splitlines()[-2:]) == (0, ["-one", "+j1"])
    assert runner("workspace", "commit", "-C", "src", "b.j2.1", "-m", "take it").code == 0
    assert (runner.cwd / "src" / "a.txt").read_text() == "j2\n"
    again = runner("batch", "run", "b.toml", "--select", 'id == "j2"').out.splitlines()
    assert again[-1] == "1 workspace stays: runner workspace diff -C src b.j2.1"
    assert runner("workspace", "rm", "-C", "src", "-f", "b.j1.1", "b.j2.1").code == 0


def test_the_same_command_again_resumes_and_says_so(runner) -> None:
    file = _batch(runner, GOOD)

    first = runner("batch", "run", file, "-o", "out", "--select", "index == 1")
    second = runner("batch", "run", file, "-o", "out")
    third = runner("batch", "run", file, "-o", "out")

    assert "b: 1 job, " in first.out
    assert "; resuming: 1 of them were finished before" in second.out
    assert second.out.count("[2/2]") == 1
    assert "; all of them were finished before" in third.out
    assert "[" not in third.out
    assert [ended.code for ended in (first, second, third)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("end", "more", "code", "said"),
    [
        ("exit 1", "", 1, "exit code 1"),
        ("kill -9 $$", "retry.infra = 0\n", 8, "SIGKILL"),
        ("true", 'verify = ["exit 7"]\n', 9, "exit code 7: exit 7"),
        ("sleep 600", 'limits.turn_timeout = "200ms"\n', 3, "timeout"),
        ("sleep 600", 'limits.job_timeout = "200ms"\n', 3, "timeout"),
    ],
)
def test_the_worst_job_is_the_exit_code(runner, end: str, more: str, code: int, said: str) -> None:
    rows = f'{{ word = "one", end = "true" }}, {{ word = "two", end = "{end}" }}'

    ended = runner("batch", "run", _batch(runner, more + TWO % rows), "-o", "out")

    assert ended.code == code
    assert said in ended.out
    assert "Traceback" not in ended.err


def test_another_attempt_is_announced(runner) -> None:
    file = _batch(
        runner,
        'prompt = "touch {{ attempt }}"\nverify = ["test -e 2"]\nretry = { verify = 1 }\n',
    )

    ended = runner("batch", "run", file, "-o", "out")

    assert ended.code == 0
    assert "unverified  b: verify: test -e 2: exit code 1; attempt 2 at once" in ended.out
    assert "ok          b in 2 attempts" in ended.out


def test_trouble_is_tried_again_later(runner) -> None:
    retry = 'retry = { infra = 1, backoff = "10ms" }\n'
    file = _batch(runner, f'prompt = "kill -9 $$"\n{retry}')

    ended = runner("batch", "run", file, "-o", "out")

    assert ended.code == 8
    assert re.search(r"^infra +b: crashed: .*; attempt 2 in 0\.\d s$", ended.out, re.MULTILINE)


def test_of_a_large_batch_the_table_has_only_what_is_not_ok(runner) -> None:
    rows = ", ".join(
        f'{{ word = "w{n}", end = "{"exit 1" if n == 7 else ":"}" }}' for n in range(70)
    )
    file = _batch(runner, TWO % rows)

    ended = runner("batch", "run", file, "-o", "out")
    table = ended.out.partition(" job ")[2]

    assert ended.code == 1
    assert "0008-w7" in table
    assert "0009-w8" not in table
    assert "69 ok, 1 failed" in table


def test_with_nothing_but_good_ones_a_large_batch_has_no_table(runner) -> None:
    file = _batch(runner, "repeat = 61\n" + 'prompt = ":"\n')

    ended = runner("batch", "run", file, "-o", "out")

    assert ended.code == 0
    assert " job " not in ended.out
    assert ended.out.splitlines()[-1].startswith("b: 61 ok in ")


# ---------------------------------------------------------------- flags


def test_concurrency_and_overrides_reach_the_batch(runner) -> None:
    file = _batch(runner, GOOD)

    ended = runner(
        "batch", "run", file, "-o", "out", "--concurrency", "7", "-c", 'prompt="exit 4"', "--json"
    )

    records = _records(ended.out)
    assert ended.code == 1
    assert records[0]["concurrency"] == 7
    assert [record["error_text"] for record in records[1:-1]] == ["exit code 4"] * 2


def test_a_dry_run_shows_everything_and_creates_nothing(runner) -> None:
    file = _batch(runner, GOOD)

    plain = runner("batch", "run", file, "-o", "out", "--dry-run")
    records = _records(runner("batch", "run", file, "--dry-run", "--json").out)

    assert plain.code == 0
    assert "--- prompt\necho one; true\n" in plain.out
    assert plain.out.endswith("b.toml: batch 'b', 2 jobs, agent shell: nothing was done\n")
    assert [record["schema"] for record in records] == ["runner.plan/1", *["runner.planned/1"] * 2]
    assert records[0]["jobs"] == 2
    assert records[1]["prompts"] == ["echo one; true"]
    assert [path.name for path in runner.cwd.iterdir()] == ["b.toml"]
    assert list(runner.home.iterdir()) == []


def test_a_dry_run_leaves_out_what_is_not_selected(runner) -> None:
    args = ("--dry-run", "--json", "--select", "row.word == 'two'")

    records = _records(runner("batch", "run", _batch(runner, GOOD), *args).out)

    assert [record.get("id") for record in records] == [None, "0002-two"]


def test_the_configuration_says_where_the_state_is_and_the_default_agent(runner) -> None:
    (runner.cwd / "runner.toml").write_text('state = "mine"\ndefault_agent = "shell"\n')

    ended = runner("batch", "run", _batch(runner, GOOD), "-o", "out", "--config", "runner.toml")

    assert ended.code == 0
    assert (runner.cwd / "mine").is_dir()
    assert not (runner.home / "state").exists()


def test_json_is_records_only_and_people_read_standard_error(runner) -> None:
    rows = '{ word = "one", end = "true" }, { word = "two", end = "exit 1" }'

    ended = runner("batch", "run", _batch(runner, TWO % rows), "-o", "out", "--json")
    launch, *results, done = _records(ended.out)

    assert ended.code == 1
    assert [each["schema"] for each in (launch, results[0], done)] == SCHEMAS
    assert (launch["batch"], launch["jobs"], launch["finished"]) == ("b", 2, 0)
    assert isinstance(launch["pid"], int)
    assert launch["output"] == str(runner.cwd / "out")
    kept = (runner.cwd / "out" / "results.jsonl").read_text()
    assert sorted(results, key=lambda each: each["number"]) == _records(kept)
    assert (done["ok"], done["failed"], done["unverified"], done["infra"]) == (1, 1, 0, 0)
    assert (done["cancelled"], done["queued"], done["finished"]) == (0, 0, 2)
    assert (done["exit"], done["cost_usd"]) == (1, None)
    assert done["results"] == str(runner.cwd / "out" / "results.jsonl")
    assert "b: 1 ok, 1 failed in " in ended.err


# ---------------------------------------------------------------- bad input, by name


def _nothing(runner) -> str:
    return "no.toml"


def _no_toml(runner) -> str:
    return _batch(runner, "prompt = ")


def _wrong_types(runner) -> str:
    return _batch(runner, 'prompt = 7\nrepeat = "x"\n')


def _unknown_keys(runner) -> str:
    return _batch(runner, 'prompt = "x"\nrepaet = 2\n')


def _undefined(runner) -> str:
    return _batch(runner, 'prompt = "{{ rwo }}"\n')


def _broken_data(runner) -> str:
    (runner.cwd / "d.jsonl").write_text('{"a": 1}\n{"a": \n')
    return _batch(runner, 'prompt = "x"\ndata.jsonl = "d.jsonl"\n')


def _missing_data(runner) -> str:
    return _batch(runner, 'prompt = "x"\ndata.csv = "no.csv"\n')


def _duplicates(runner) -> str:
    return _batch(runner, 'prompt = "x"\nid = "same"\ndata.rows = [{ a = 1 }, { a = 2 }]\n')


def _unknown_agent(runner) -> str:
    return _batch(runner, 'prompt = "x"\nagent = "cluade"\n')


def _no_program(runner) -> str:
    return _batch(
        runner, 'prompt = "x"\nagent = { kind = "command", argv = ["no-such-program"] }\n'
    )


def _no_source(runner) -> str:
    return _batch(runner, 'prompt = "x"\nworkspace.copy = "nowhere"\n')


def _no_ref(runner) -> str:
    subprocess.run(["git", "init", "-q", runner.cwd / "repo"], check=True, env=runner.environ())
    return _batch(runner, 'prompt = "x"\nworkspace = { repo = "repo", ref = "gone" }\n')


def _default(runner) -> str:
    (runner.cwd / "r.toml").write_text('default_agent = "shel"\n')
    return _batch(runner, 'prompt = "x"\n')


def _no_key_value(runner) -> str:
    return _batch(runner, 'prompt = "x"\n')


@pytest.mark.parametrize(
    ("make", "args", "said"),
    [
        (_nothing, (), "no.toml: there is no such file"),
        (_no_toml, (), "b.toml:2: not TOML"),
        (_wrong_types, (), "b.toml:3: repeat: must be a whole number"),
        (_unknown_keys, (), "did you mean 'repeat'?"),
        (_undefined, (), "'rwo' is undefined; did you mean 'row'?"),
        (_broken_data, (), "d.jsonl:2: not JSON"),
        (_missing_data, (), "there is no such file"),
        (_duplicates, (), "the id 'same' is there twice"),
        (_unknown_agent, (), "'cluade'"),
        (_no_program, (), "'no-such-program'"),
        (_no_source, (), "workspace.copy: there is no directory"),
        (_no_ref, (), "b.toml:3: workspace.ref: git finds no 'gone'"),
        (_no_ref, ("--dry-run",), "b.toml:3: workspace.ref: git finds no 'gone'"),
        (_no_key_value, ("-o", ""), "-o needs a directory"),
        (_default, ("--config", "r.toml"), "default_agent: agent: 'shel' is no built-in agent"),
        (_no_key_value, ("-c", "prompt"), "write it as key=value"),
        (_no_key_value, ("--select", "rwo.x"), "--select: 'rwo' is undefined"),
        (_no_key_value, ("--select", "index > 7"), "no job matches"),
        (_no_key_value, ("--concurrency", "0"), "--concurrency"),
        (_no_key_value, ("--concurrency", "many"), "--concurrency"),
        (_no_key_value, ("--config", "no.toml"), "no.toml: there is no such file"),
        (_no_key_value, ("more",), "unexpected extra argument"),
    ],
)
def test_bad_input_is_one_clear_message_and_creates_nothing(runner, make, args, said: str) -> None:
    file = make(runner)
    before = sorted(runner.cwd.iterdir())

    ended = runner("batch", "run", file, "-o", "out", *args)

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert sorted(runner.cwd.iterdir()) == before


def test_an_output_directory_of_another_batch_is_refused(runner) -> None:
    file = _batch(runner, GOOD)
    runner("batch", "run", file, "-o", "out")
    before = (runner.cwd / "out" / "results.jsonl").read_bytes()

    other = runner("batch", "run", _batch(runner, 'prompt = "x"\n'), "-o", "out")
    (runner.cwd / "full").mkdir()
    (runner.cwd / "full" / "mine.txt").touch()
    full = runner("batch", "run", file, "-o", "full")

    assert (other.code, full.code) == (2, 2)
    assert other.err.startswith("out: it belongs to another batch")
    assert full.err.startswith("full: it is not empty")
    assert (runner.cwd / "out" / "results.jsonl").read_bytes() == before


def test_two_at_once_in_one_output_directory_is_later_please(runner) -> None:
    file = _batch(runner, 'prompt = "while ! [ -e ../../../go ]; do sleep 0.1; done"\n')
    first = runner.start("batch", "run", file, "-o", "out")
    while not list(runner.cwd.glob("out/work/*")):
        time.sleep(0.05)

    second = runner("batch", "run", file, "-o", "out")
    (runner.cwd / "go").touch()
    out, _ = first.communicate(timeout=60)

    assert second.code == 75
    assert f"runner: another process ({first.pid}) is at work in" in second.err
    assert (first.returncode, b"1 ok" in out) == (0, True)


def test_the_default_output_directory_is_checked_too(runner) -> None:
    (runner.cwd / "runner-out" / "b").mkdir(parents=True)
    (runner.cwd / "runner-out" / "b" / "mine.txt").touch()

    ended = runner("batch", "run", _batch(runner, GOOD), "--dry-run")

    assert ended.code == 2
    assert "it is not empty" in ended.err


# ---------------------------------------------------------------- readers, terminals


def test_the_batch_goes_on_when_the_reader_leaves(runner) -> None:
    file = _batch(
        runner,
        'prompt = "until [ -e {{ row.go }} ]; do sleep 0.01; done"\n'
        f'data.rows = [{{ go = "{runner.cwd}/go" }}]\n',
    )
    process = runner.start("batch", "run", file, "-o", "out")
    assert process.stdout.readline().startswith(b"b: 1 job")
    process.stdout.close()

    (runner.cwd / "go").touch()
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0
    assert b"the batch goes on, into out" in err
    assert b"Traceback" not in err
    assert '"state":"ok"' in (runner.cwd / "out" / "results.jsonl").read_text()


def _on_terminal(runner, *args: str, stream: str = "stdout", **env: str) -> tuple[int, str]:
    """Run with a terminal of 100 columns and 12 lines; what it shows."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 100, 0, 0))
    env = {"TERM": "xterm-256color", **env}
    process = runner.start(*args, env=env, **{stream: slave})
    os.close(slave)
    shown = b""
    try:
        while piece := os.read(master, 1 << 16):
            shown += piece
    except OSError:  # EIO: the last one has closed the terminal
        pass
    os.close(master)
    process.communicate(timeout=60)
    return process.returncode, shown.decode()


JOBS = """
prompt = "sleep {{ row.time }}; exit {{ row.code }}"
limits.concurrency = 40
data.rows = [%s]
"""


def test_on_a_terminal_there_is_a_live_picture_and_the_cursor_comes_back(runner) -> None:
    rows = ", ".join('{ time = "0.5", code = 0 }' for _ in range(30)) + ', { time = "0", code = 3 }'
    code, shown = _on_terminal(runner, "batch", "run", _batch(runner, JOBS % rows), "-o", "out")

    assert code == 1
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert " running" in shown
    assert re.search(r"0001.*turns.*idle 0:00", shown)
    assert re.search(r"and \d+ more", shown)
    assert "failed      0031" in shown
    assert "b: 30 ok, 1 failed" in shown.rpartition("\x1b[?25h")[2]


def test_also_after_an_error_the_cursor_comes_back(runner) -> None:
    file = _batch(runner, GOOD)
    runner("batch", "run", file, "-o", "out")
    ledger = runner.cwd / "out" / ".runner" / "ledger.db"
    ledger.write_bytes(b"no database at all" * 1000)

    code, shown = _on_terminal(runner, "batch", "run", file, "-o", "out")

    assert code == 8
    assert "\x1b[?25l" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_dumb_terminal_gets_plain_lines(runner) -> None:
    code, shown = _on_terminal(
        runner, "batch", "run", _batch(runner, GOOD), "-o", "out", TERM="dumb"
    )

    assert code == 0
    assert "\x1b" not in shown


def test_with_json_the_picture_is_on_standard_error(runner) -> None:
    args = ("batch", "run", _batch(runner, GOOD), "-o", "out", "--json")

    code, shown = _on_terminal(runner, *args, stream="stderr")

    assert code == 0
    assert "\x1b[?25h" in shown
    assert "runner.launch/1" not in shown
