"""`runner session`: the commands about sessions that are kept."""

from __future__ import annotations

from runner.cli.lazy import LazyGroup

session = LazyGroup(
    "session",
    {
        "ls": ("runner.cli.session_show:ls", "List the sessions, the last used first."),
        "show": ("runner.cli.session_show:show", "Show a session and its turns."),
        "new": ("runner.cli.session_new:new", "Begin a session that is kept."),
        "send": ("runner.cli.session_send:send", "Go on with a session: one more turn."),
        "log": ("runner.cli.session_log:log", "Print what happened in a session, or follow it."),
        "fork": ("runner.cli.session_send:fork", "Make a session that goes on from a turn."),
        "rewind": (
            "runner.cli.session_rewind:rewind",
            "Set a session back to the end of a turn: files, conversation.",
        ),
        "record": ("runner.cli.session_record:record", "Record a session, for tests of your own."),
        "close": ("runner.cli.session_show:close", "Close sessions for good, or remove them."),
    },
    summary=(
        "Sessions that are kept: look at them, go on with them.\n\n"
        "As of every group of commands, one has to be named: `runner session ls` lists them."
    ),
)
