"""What came of an operation, as Pydantic AI's workspaces say it."""

from __future__ import annotations

from pydantic_ai.workspaces import (
    CommandResult,
    FileEntry,
    WorkspaceOutputLimitError,
    WorkspaceTimeoutError,
)

from runner.messages import Entry, FileStat, Outcome
from runner.operations import Done

MAX_OUTPUT = 10 << 20  # bytes of each stream; Pydantic AI's own workspace: 10 MiB of both
PREVIEW = 64 << 10  # bytes of a stream that is too long


def entry_of(name: str, path: str, status: FileStat | Entry | None) -> FileEntry:
    """What stands at a path; None = nothing that can be reached, as behind a broken link."""
    if status is None:
        return FileEntry(name=name, path=path, is_dir=False, size=None)
    size = status.size if status.type == "file" else None
    return FileEntry(name=name, path=path, is_dir=status.type == "directory", size=size)


def result_of(done: Done[bytes], timeout: float | None) -> CommandResult:
    """What came of a command.

    Raises:
        WorkspaceTimeoutError, WorkspaceOutputLimitError: it was ended, or said too much.
    """
    stdout, stderr = _text(done.stdout), _text(done.stderr)
    if done.outcome is not Outcome.EXITED:
        what = f"the command ran longer than {timeout:g} s and was ended"
        raise WorkspaceTimeoutError(what, stdout=stdout, stderr=stderr)
    if done.truncated:
        raise WorkspaceOutputLimitError(
            f"a stream of the command has more than {MAX_OUTPUT} bytes; redirect it to a file",
            limit=MAX_OUTPUT,
            stdout=_text(done.stdout[:PREVIEW]),
            stderr=_text(done.stderr[:PREVIEW]),
        )
    # A shell says 128 + the signal's number; we say minus that number.
    code = 128 - done.exit_code if done.exit_code < 0 else done.exit_code
    return CommandResult(exit_code=code, stdout=stdout, stderr=stderr)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
