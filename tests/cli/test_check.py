"""`runner check`: every problem by file, line and key; and what the jobs come to."""

from __future__ import annotations

import pytest

GOOD = """
name = "b"
prompt = "echo {{ row.word }} {{ attempt }}"
setup = ["true"]
verify = ["test {{ index }} -gt 0"]
data.rows = [{ word = "one" }, { word = "two" }]
retry = { verify = 1, infra = 0 }
"""


@pytest.fixture
def batch(runner):
    (runner.cwd / "b.toml").write_text(GOOD)
    return "b.toml"


def test_a_good_file_is_said_to_be_good(runner, batch) -> None:
    ended = runner("check", batch)

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "b.toml: batch 'b', 2 jobs, agent shell: all is well\n"


def test_show_gives_all_texts_and_those_of_later_attempts_where_they_differ(runner, batch) -> None:
    ended = runner("check", batch, "--show", "--select", "index == 2")

    assert ended.code == 0
    assert ended.out.splitlines() == [
        "=== 0002-two",
        "--- setup: true",
        "--- prompt",
        "echo two 1",
        "--- verify: test 2 -gt 0",
        "=== 0002-two, attempt 2",
        "--- setup: true",
        "--- prompt",
        "echo two 2",
        "--- verify: test 2 -gt 0",
        "",
        "b.toml: batch 'b', 1 of 2 jobs, agent shell: all is well",
    ]


def test_several_prompts_are_numbered_and_equal_attempts_left_out(runner, batch) -> None:
    (runner.cwd / "b.toml").write_text('name = "b"\nprompts = ["one", "two"]\n')

    ended = runner("check", batch, "--show", "-c", "retry.verify=3")

    assert ended.out.splitlines()[:5] == ["=== b", "--- prompt 1", "one", "--- prompt 2", "two"]
    assert "attempt" not in ended.out


def test_everything_that_is_wrong_is_said_at_once(runner, batch) -> None:
    (runner.cwd / "b.toml").write_text(
        'name = "b"\nagnet = "shell"\nprompt = "echo {{ rwo.x }}"\nrepeat = "two"\n'
    )

    ended = runner("check", batch, "-c", "limits.concurrency=-1")

    assert ended.code == 2
    assert ended.out == ""
    lines = ended.err.splitlines()
    assert lines[0].startswith("b.toml:2: agnet: there is no such key; did you mean 'agent'?")
    assert lines[1] == "b.toml:3: prompt: 'rwo' is undefined; did you mean 'row'?"
    assert lines[2].startswith("b.toml:4: repeat: must be a whole number")
    assert lines[3].startswith("-c: limits.concurrency: must be 0 or more")
    assert lines[4] == "runner: 4 problems; nothing was done"


def test_the_runners_own_configuration_says_the_default_agent(runner, batch) -> None:
    (runner.cwd / "runner.toml").write_text('default_agent = "nobody"\n')

    ended = runner("check", batch, "--config", "runner.toml")
    by_variable = runner("check", batch, env={"RUNNER_CONFIG": "runner.toml"})

    assert ended.code == by_variable.code == 2
    assert "'nobody'" in ended.err
    assert ended.err == by_variable.err


HELD = '\n[isolation]\nmode = "bwrap"\nrequired = true\nlimits = { wall = 5 }\n'


@pytest.mark.parametrize("command", [("check",), ("batch", "run", "--dry-run")])
def test_what_would_hold_the_jobs_is_said(runner, batch, command) -> None:
    with (runner.cwd / batch).open("a") as file:
        file.write(HELD)

    ended = runner(*command, batch)

    if "cannot be had here" in ended.err:
        pytest.skip(ended.err)
    assert ended.code == 0
    assert "isolation: mode bwrap, no network, limits: wall (watched)\n" in ended.out


def test_what_was_asked_for_and_is_not_in_force_is_said(runner, batch) -> None:
    with (runner.cwd / batch).open("a") as file:
        file.write('isolation = { mode = "none", network = "none" }\n')

    ended = runner("check", batch)

    assert ended.out.startswith("isolation: mode none, the machine's network")


def test_isolation_that_cannot_be_had_is_a_problem_of_the_file(runner, batch) -> None:
    with (runner.cwd / batch).open("a") as file:
        file.write(HELD + 'hidden = ["x"]\nreadable = ["gone"]\n')

    ended = runner("check", batch)

    assert ended.code == 2
    assert ended.err.startswith("runner: b.toml:9: isolation: ") or "b.toml:9" in ended.err
    assert "Traceback" not in ended.err
