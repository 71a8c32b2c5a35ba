"""Programs that are to resume a conversation that they do not have, and how each says so."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from runner.agents.acp_read import is_unknown
from runner.agents.driver import Setting
from runner.testing.scripted import ScriptedAgent

UNKNOWN = {
    "claude-2.1.197": "No conversation found with session ID",
    "claude-2.1.329": "No conversation found with session ID",
    "codex-0.169.0": "no rollout found for thread id",
    "gemini-0.61.0": "No previous sessions found for this project",
    "opencode-1.18.33": "OpenCode service failure",
}


@pytest.mark.parametrize("program", UNKNOWN)
def test_each_program_says_that_it_does_not_know_it(
    load_recording: Callable[[str], object], program: str
) -> None:
    recording = load_recording(f"{program}-unknown")
    talk = recording.conversation()
    for step in recording.steps:
        if "line" in step:
            talk.receive(json.dumps(step["line"]).encode() + b"\n")
        elif "end" in step:
            talk.receive_end(step["end"], step["stderr"].encode())

    assert UNKNOWN[program] in talk.lost


@pytest.mark.parametrize("program", ["claude-2.1.329", "codex-0.169.0", "gemini-0.61.0"])
def test_who_fails_for_another_reason_has_not_lost_it(
    load_recording: Callable[[str], object], program: str
) -> None:
    talk = load_recording(f"{program}-unknown").conversation()
    other = {"id": 2, "error": {"code": -32603, "message": "the disk is full"}}
    talk.receive(json.dumps({"id": 1, "result": {"protocolVersion": 1}}).encode() + b"\n")
    talk.receive(json.dumps(other).encode() + b"\n")
    talk.receive_end(1, b"the disk is full\n")

    assert "" == talk.lost


def test_a_scripted_program_says_it_at_its_end() -> None:
    setting = Setting(cwd="/", private="/p", conversation="c", resume=True)
    talk = ScriptedAgent().conversation(setting)
    talk.receive_end(1, b"No conversation found: c\n")

    assert "No conversation found: c" == talk.lost


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": -32002, "message": "Resource"}, True),
        ({"code": -32603, "message": "Session not found: x"}, True),
        ({"code": -32603, "message": "Internal", "data": {"details": "Invalid session x"}}, True),
        ({"code": -32603, "message": "no", "data": {"service": "provider"}}, False),
        ({}, False),
    ],
)
def test_sessions_that_are_unknown_by_the_agent_client_protocol(
    error: dict[str, object], expected: bool
) -> None:
    assert expected is is_unknown(error)
