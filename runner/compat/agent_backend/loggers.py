"""agent-backend's operations loggers."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from runner.compat.agent_backend.words import (
    MODIFYING_OPERATIONS,
    LoggingMode,
    OperationLogEntry,
)

_LONGEST = 200  # characters of an output that are shown


def should_log_operation(operation: str, mode: LoggingMode) -> bool:
    """Whether a logger of this mode is told of an operation."""
    return mode == LoggingMode.VERBOSE or operation in MODIFYING_OPERATIONS


class ArrayOperationsLogger:
    """Keeps entries in a list."""

    def __init__(self, mode: LoggingMode = LoggingMode.STANDARD) -> None:
        self._mode = mode
        self._entries: list[OperationLogEntry] = []

    @property
    def mode(self) -> LoggingMode:
        """Which operations it wants."""
        return self._mode

    @property
    def length(self) -> int:
        """How many entries there are."""
        return len(self._entries)

    def log(self, entry: OperationLogEntry) -> None:
        """Take one."""
        self._entries.append(entry)

    def get_entries(self) -> list[OperationLogEntry]:
        """All entries, oldest first."""
        return list(self._entries)

    def get_entries_by_operation(self, operation: str) -> list[OperationLogEntry]:
        """Those of one operation."""
        return [entry for entry in self._entries if entry.operation == operation]

    def get_entries_by_status(self, success: bool) -> list[OperationLogEntry]:
        """Those that went well, or those that did not."""
        return [entry for entry in self._entries if entry.success is success]

    def get_entries_in_range(self, start: float, end: float) -> list[OperationLogEntry]:
        """Those from one moment to another, both included."""
        return [entry for entry in self._entries if start <= entry.timestamp <= end]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()


class ConsoleOperationsLogger:
    """Writes entries to standard error."""

    def __init__(self, mode: LoggingMode = LoggingMode.STANDARD) -> None:
        self._mode = mode

    @property
    def mode(self) -> LoggingMode:
        """Which operations it wants."""
        return self._mode

    def log(self, entry: OperationLogEntry) -> None:
        """Write one."""
        print("\n".join(_lines(entry)), file=sys.stderr)  # noqa: T201 - what it is for


def _lines(entry: OperationLogEntry) -> list[str]:
    when = datetime.fromtimestamp(entry.timestamp, tz=UTC).isoformat()
    mark = "✓" if entry.success else "✗"
    what = f"{entry.operation}: {entry.command} ({entry.duration_ms:.0f}ms)"
    lines = [f"[{when}] [{entry.user_id}/{entry.workspace_name}] {mark} {what}"]
    if entry.operation == "exec":
        lines += [f"  stdout: {_short(entry.stdout)}"] if entry.stdout else []
        lines += [f"  stderr: {_short(entry.stderr)}"] if entry.stderr else []
    if not entry.success and entry.error:
        lines.append(f"  error: {entry.error}")
    return lines


def _short(text: str) -> str:
    line = text.replace("\n", "\\n")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."
