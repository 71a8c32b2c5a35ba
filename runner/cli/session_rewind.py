"""`runner session rewind`: set a session back to the end of a turn that nobody else has open."""

from __future__ import annotations

import json

import attrs
import click
import trio

from runner.agents.events import Rewound
from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.session_finding import session_id
from runner.cli.session_send import AGENT_FILE, opened, reopen
from runner.cli.streams import complain, put
from runner.errors import ConfigError
from runner.runtime import open_runner

REWOUND = "runner.session_rewound/1"


@click.command(epilog=options.CODES)
@session_id
@click.argument("turn", metavar="TURN", type=int)
@click.option("--files-only", is_flag=True, help="The conversation stays as it is.")
@click.option("--conversation-only", is_flag=True, help="The files stay as they are.")
@click.option("--force", is_flag=True, help="Also if changes go that are in no snapshot.")
@AGENT_FILE
@options.config
@options.json
def rewind(
    *,
    name: str,
    turn: int,
    files_only: bool,
    conversation_only: bool,
    force: bool,
    agent: str | None,
    config_file: str | None,
    as_json: bool,
) -> int:
    """Set a session back to the end of TURN: its files, and its conversation.

    TURN 0 is the beginning. The files are those of a workspace, if the session has snapshots of its
    turns; what they were is in a snapshot, too. Go on by `runner session send`.
    """
    if files_only and conversation_only:
        raise ConfigError("--files-only, --conversation-only: one of them, or neither for both")
    reopened = reopen(name, agent, config_file)

    async def carry_out() -> Rewound:
        async with open_runner(reopened.config) as runner, opened(runner, reopened) as session:
            return await session.rewind(
                turn, files=not conversation_only, conversation=not files_only, force=force
            )

    done = trio.run(carry_out)
    if as_json:
        fields = {"schema": REWOUND, "session": reopened.record.id, **attrs.asdict(done)}
        put(json.dumps(fields))
        return Exit.OK
    what = [each for each in ("files", "conversation") if getattr(done, each)]
    where = f"the end of turn {done.turn}" if done.turn else "the beginning"
    complain(f"set back to {where}: {' and '.join(what)}")
    if done.undo:
        complain(f"what the files were is in the snapshot {done.undo}")
    return Exit.OK
