"""The command itself: help, version, mistakes in names, the endings; what it imports for help."""

from __future__ import annotations

import pytest

from runner.cli.app import COMMANDS
from runner.cli.exits import TABLE, Exit

HEAVY = ("trio", "attr", "attrs", "rich", "cattrs", "asyncio", "jinja2", "msgspec", "wcmatch")
BROKEN = """
import sys
from runner.cli import app
app.COMMANDS["broken"] = ("broken:command", "It is broken.")
sys.exit(app.run_command_line(sys.argv[1:]))
"""


def test_help_names_every_command_and_every_exit_code(runner) -> None:
    ended = runner("--help")

    assert ended.code == 0
    assert all(f"  {name} " in ended.out for name in COMMANDS)
    assert all(f"  {codes} " in ended.out and meaning in ended.out for codes, meaning in TABLE)


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    codes = [int(code) for codes, _ in TABLE for code in codes.split(", ")]

    assert sorted(codes) == sorted(Exit)


@pytest.mark.parametrize(
    "args", [("--help",), ("--version",), ("batch", "--help"), ("workspace",), ("btach",)]
)
def test_help_imports_nothing_that_is_slow(runner, args: tuple[str, ...]) -> None:
    ended = runner(*args, program=("-X", "importtime", "-m", "runner"))
    imported = {line.rpartition("|")[2].strip() for line in ended.err.splitlines()}

    assert "click" in imported
    assert not imported & set(HEAVY)


def test_version(runner) -> None:
    ended = runner("--version")

    assert ended.code == 0
    assert ended.out.startswith("runner 0.")


def test_without_a_command_there_is_help_and_exit_code_2(runner) -> None:
    ended = runner()

    assert ended.code == 2
    assert "Commands:" in ended.err + ended.out


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (("btach",), "did you mean 'batch'?"),
        (("chek", "x.toml"), "did you mean 'check'"),
        (("xyzzy",), "there are batch, run, session, workspace, snapshot, audit, sync, gc, check,"),
        (("batch", "rnu"), "did you mean 'run'?"),
        (("check", "x.toml", "--shwo"), "--show"),
        (("--traceb",), "--traceback"),
        (("schema", "bath"), "batch"),
    ],
)
def test_a_mistyped_name_gets_a_hint_and_exit_code_2(
    runner, args: tuple[str, ...], hint: str
) -> None:
    ended = runner(*args)

    assert ended.code == 2
    assert hint in ended.err
    assert ended.out == ""


def _broken(runner, body: str, *args: str, **env: str):
    (runner.cwd / "broken.py").write_text(
        "import click\n@click.command()\ndef command():\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
    )
    return runner(*args, "broken", program=("-c", BROKEN), env={"PYTHONPATH": ".", **env})


def test_an_unexpected_error_is_a_short_message_and_how_to_get_more(runner) -> None:
    ended = _broken(runner, "raise ValueError('seven')")

    assert ended.code == 1
    assert ended.err.splitlines()[0].startswith("runner: unexpected ValueError: seven")
    assert "RUNNER_TRACEBACK=1" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("way", ["flag", "variable"])
def test_the_traceback_can_be_asked_for(runner, way: str) -> None:
    body = "raise ValueError('seven')"
    if way == "flag":
        ended = _broken(runner, body, "--traceback")
    else:
        ended = _broken(runner, body, RUNNER_TRACEBACK="1")

    assert ended.code == 1
    assert "Traceback" in ended.err
    assert "RUNNER_TRACEBACK" not in ended.err


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("raise KeyboardInterrupt", 130),
        ("raise click.Abort", 130),
        ("from runner.cli.streams import OutputClosed\nraise OutputClosed", 141),
        ("raise click.UsageError('no')", 2),
        ("return 7", 7),
        ("pass", 0),
    ],
)
def test_every_ending_has_its_exit_code(runner, body: str, code: int) -> None:
    ended = _broken(runner, body)

    assert ended.code == code
    assert "Traceback" not in ended.err
