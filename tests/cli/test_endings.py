"""What errors say when they end a command, and their exit codes."""

from __future__ import annotations

import signal

import pytest

from runner import errors
from runner.cli.endings import ended_by, exit_code, explain
from runner.cli.exits import Exit
from runner.errors import ConfigError, Problem
from runner.workspaces.comparing import Change


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), Exit.USAGE),
        (errors.AgentUnavailable("x"), Exit.USAGE),
        (errors.NotFound("read", "a"), Exit.NOT_FOUND),
        (errors.LedgerError("x"), Exit.INFRA),
        (errors.LedgerBusy("x"), Exit.TRY_LATER),
        (errors.ActorCrashed("x"), Exit.INFRA),
        (errors.NoSpace("write", "a"), Exit.INFRA),
        (errors.SessionClosed("x"), Exit.FAILED),
        (errors.InvalidName("x", "y", "z"), Exit.USAGE),
        (errors.WorkspaceExists("x"), Exit.USAGE),
        (errors.WorkspaceNotFound("x"), Exit.NOT_FOUND),
        (errors.SnapshotNotFound("x"), Exit.NOT_FOUND),
        (errors.SnapshotNotFound("x", candidates=["a/x", "b/x"]), Exit.USAGE),
        (errors.HookVeto("x"), Exit.APPROVAL),
        (errors.UncommittedChanges("x"), Exit.UNCOMMITTED),
        (errors.CommitError("x"), Exit.FAILED),
        (errors.CommitError("x", [Change(type="added", path="a")]), Exit.CONFLICT),
        (errors.WorkspaceBusy("x"), Exit.TRY_LATER),
        (errors.RemoteUnreachable("x"), Exit.TRY_LATER),
        (errors.RemoteDamaged("x"), Exit.INFRA),
        (errors.StoreDamaged("x"), Exit.INFRA),
        (errors.RunnerError("x"), Exit.FAILED),
    ],
)
def test_every_error_has_an_exit_code(error: errors.RunnerError, code: Exit) -> None:
    assert exit_code(error) is code


def test_problems_are_said_as_compilers_say_them_with_their_count(capfd) -> None:
    error = ConfigError(
        Problem("b.toml", 3, "agent", "there is no agent 'x'"), Problem("b.toml", None, "", "no")
    )

    code = explain(error)

    assert code is Exit.USAGE
    assert capfd.readouterr().err.splitlines() == [
        "b.toml:3: agent: there is no agent 'x'",
        "b.toml: no",
        "runner: 2 problems; nothing was done",
    ]


def test_a_plain_sentence_says_who_says_it(capfd) -> None:
    assert explain(ConfigError("the prompt is empty")) is Exit.USAGE
    assert explain(errors.NotFound("read", "a.txt")) is Exit.NOT_FOUND
    lost = errors.UncommittedChanges("it would lose changes: `force` does it", [])
    assert explain(lost) is Exit.UNCOMMITTED
    assert capfd.readouterr().err.splitlines() == [
        "runner: the prompt is empty",
        "runner: read 'a.txt': no such file or directory",
        "runner: it would lose changes: `--force` does it",
    ]


def test_of_a_group_every_message_is_said_once_and_the_highest_code_counts(capfd) -> None:
    group = ExceptionGroup(
        "", [ConfigError("a"), ExceptionGroup("", [ConfigError("a"), errors.LedgerError("b")])]
    )

    assert explain(group) is Exit.INFRA
    assert capfd.readouterr().err.splitlines() == ["runner: a", "runner: b"]


def test_an_interrupt_among_others_counts_as_interrupt(capfd) -> None:
    group = BaseExceptionGroup("", [KeyboardInterrupt(), errors.RunnerError("b")])

    assert explain(group) is Exit.INTERRUPTED
    assert capfd.readouterr().err == "runner: b\n"


def test_a_bug_is_said_with_its_traceback(capfd) -> None:
    try:
        explain(*[1, 2, 3])  # a bug: too many arguments
    except TypeError as exc:
        code = explain(exc, traceback=True)

    assert code is Exit.FAILED
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("runner: unexpected TypeError: ")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, Exit.INTERRUPTED),
        (signal.SIGTERM, Exit.TERMINATED),
        (signal.SIGHUP, Exit.HANGUP),
    ],
)
def test_a_signal_has_the_code_that_shells_give_it(number: int, code: Exit) -> None:
    assert ended_by(number) is code
    assert int(code) == 128 + number
