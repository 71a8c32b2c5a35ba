"""What an error that ends a command says, and the exit code that it gives.

A `RunnerError` is one message on standard error and the code of its kind. Anything else that
escapes is a bug of ours: a short message, the place in our code, and how to get the traceback.
"""

from __future__ import annotations

import os
import signal
import traceback as traceback_
from collections.abc import Iterator

from runner import errors
from runner.cli.exits import Exit
from runner.cli.streams import complain


def explain(exc: BaseException, *, traceback: bool = False) -> Exit:
    """Say what happened; the answer is the exit code.

    Args:
        exc: an error, or a group of them.
        traceback: whether to show Python's traceback as well.
    """
    leaves = list(_leaves(exc))
    if traceback:
        complain("".join(traceback_.format_exception(exc)).rstrip())
    ours = [leaf for leaf in leaves if isinstance(leaf, errors.RunnerError)]
    for leaf in leaves:
        if not isinstance(leaf, errors.RunnerError | KeyboardInterrupt):
            complain(_bug(leaf, traceback=traceback))
            return Exit.FAILED
    for text in dict.fromkeys(_message(leaf) for leaf in ours):
        complain(text)
    if len(ours) < len(leaves):
        return Exit.INTERRUPTED
    return max(exit_code(leaf) for leaf in ours)


def _message(exc: errors.RunnerError) -> str:
    """Problems in files as compilers say them, so that editors find the place; else a sentence."""
    if isinstance(exc, errors.UncommittedChanges):
        return f"runner: {exc}".replace("`force`", "`--force`")  # as it is called here
    if not isinstance(exc, errors.ConfigError):
        return f"runner: {exc}"
    lines = [
        f"runner: {each.what}" if each.where == "runner" and not each.key else str(each)
        for each in exc.problems
    ]
    if len(lines) > 1:
        lines.append(f"runner: {len(lines)} problems; nothing was done")
    return "\n".join(lines)


def exit_code(exc: errors.RunnerError) -> Exit:
    """The exit code that an error ends a command with."""
    if isinstance(exc, errors.SnapshotNotFound) and exc.candidates:
        return Exit.USAGE  # it has to be said which of them is meant
    if isinstance(exc, errors.CommitError | errors.SyncError) and exc.conflicts:
        return Exit.CONFLICT
    return next((code for code, kinds in _CODES if isinstance(exc, kinds)), Exit.FAILED)


_CODES: tuple[tuple[Exit, tuple[type[errors.RunnerError], ...]], ...] = (
    (Exit.USAGE, (errors.ConfigError, errors.AgentUnavailable, errors.InvalidName)),
    (Exit.USAGE, (errors.WorkspaceExists, errors.SnapshotExists)),
    (Exit.NOT_FOUND, (errors.NotFound, errors.WorkspaceNotFound, errors.SnapshotNotFound)),
    (Exit.APPROVAL, (errors.HookVeto, errors.RemoteRefused)),
    (Exit.UNCOMMITTED, (errors.UncommittedChanges,)),
    (Exit.TRY_LATER, (errors.LedgerBusy, errors.SessionOwned, errors.SessionBusy)),
    (Exit.TRY_LATER, (errors.WorkspaceBusy, errors.WorkspaceChanged, errors.RemoteUnreachable)),
    (Exit.INFRA, (errors.LedgerError, errors.ActorError, errors.NoSpace)),
    (Exit.INFRA, (errors.StoreError, errors.RemoteDamaged)),
)


def ended_by(number: int) -> Exit:
    """The exit code of a command that a signal ended."""
    match number:
        case signal.SIGTERM:
            return Exit.TERMINATED
        case signal.SIGHUP:
            return Exit.HANGUP
        case _:
            return Exit.INTERRUPTED


def _leaves(exc: BaseException) -> Iterator[BaseException]:
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from _leaves(each)
    else:
        yield exc


def _bug(exc: BaseException, *, traceback: bool) -> str:
    place, trace = "", exc.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if f"{os.sep}runner{os.sep}" in code.co_filename:  # our own last frame says most
            place = f" ({os.path.basename(code.co_filename)}:{trace.tb_lineno}, {code.co_name})"
        trace = trace.tb_next
    line = f"runner: unexpected {type(exc).__name__}: {exc}{place}"
    hint = "This should not happen. For the traceback: RUNNER_TRACEBACK=1 runner ..."
    return line if traceback else f"{line}\n{hint}"
