"""One process of a program, without a session."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runner.agents.driver import Launch
from runner.agents.events import Event
from runner.agents.shell import ShellConversation
from runner.processes.host import ProcessHost
from runner.sessions.program import Program


async def test_who_cannot_take_what_is_told_lets_nobody_wait_for_ever(
    host: ProcessHost, tmp_path: Path
) -> None:
    def fail(_program: Program, event: Event) -> None:
        raise ValueError(event)

    program = Program(
        host=host,
        launch=Launch(argv=("true",), stdin=b""),
        ladder=(),
        cwd=str(tmp_path),
        env={"PATH": os.environ["PATH"]},
        conversation=ShellConversation("1"),
        on_event=fail,
    )
    with pytest.raises(ValueError, match="TurnStarted"):
        await program.run()

    assert program.started.is_set()
    assert program.ready.is_set()
    assert program.ended.is_set()
