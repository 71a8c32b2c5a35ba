"""The exit codes of `runner`: one table, for the help and for the code.

For a batch the worst class of its jobs counts, in the order of `WORST_FIRST`. Codes that no command
gives yet stand in the table because the meaning of a code never changes.
"""

from __future__ import annotations

import enum


class Exit(enum.IntEnum):
    """What an exit code says."""

    OK = 0
    FAILED = 1
    USAGE = 2
    TIMEOUT = 3
    NOT_FOUND = 4
    APPROVAL = 5
    BUDGET = 6
    PARKED = 7
    INFRA = 8
    UNVERIFIED = 9
    CONFLICT = 10
    UNCOMMITTED = 11
    TRY_LATER = 75
    HANGUP = 129
    INTERRUPTED = 130
    BROKEN_PIPE = 141
    TERMINATED = 143


TABLE: tuple[tuple[str, str], ...] = (
    ("0", "all is good"),
    (
        "1",
        "a job failed, or runner itself did; it differs (--exit-code); it was changed (--verify)",
    ),
    ("2", "usage, or a file or value that cannot be used; nothing was done"),
    ("3", "timeout"),
    ("4", "not found"),
    ("5", "something was refused: what the agent asked for; by a hook, or a remote"),
    ("6", "a budget is spent"),
    ("7", "a provider's limit lasts longer than we may wait"),
    ("8", "trouble with the infrastructure, also after retries"),
    ("9", "finished, but not verified"),
    ("10", "both sides changed the same; nothing was applied"),
    ("11", "it would lose changes that are in no commit and no snapshot; nothing was done"),
    ("75", "not now: try again later"),
    ("129, 130, 143", "ended by SIGHUP, Ctrl-C, SIGTERM; the same command resumes"),
    ("141", "the reader of the output has gone"),
)


def epilog() -> str:
    """The table as the help shows it."""
    width = max(len(codes) for codes, _ in TABLE)
    return "\n".join(f"  {codes:<{width}}  {meaning}" for codes, meaning in TABLE)
