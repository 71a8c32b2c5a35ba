"""What the tests of the live agents share: recordings, and a rig that plays them back.

A recording is what a real program wrote, with what was done in between: its first line says how
the conversation was made; then come `line` (a message), `send` and `interrupt` (what we did at
that point), `end` (the process ended). Paths, ports and long lists were replaced.
"""

from __future__ import annotations

import json
import pathlib

import attrs
import pytest

from runner.agents.claude import ClaudeDriver
from runner.agents.codex import CodexDriver
from runner.agents.driver import ClaudeAgent, CodexAgent, Conversation, Setting
from runner.agents.events import Event

RECORDINGS = sorted((pathlib.Path(__file__).parent / "recordings").glob("*.jsonl"))


@attrs.frozen
class Recording:
    """What a program wrote, cut into pieces by what was done in between."""

    header: dict
    steps: list[dict]

    @classmethod
    def load(cls, name: str) -> Recording:
        """Read a recording."""
        path = pathlib.Path(__file__).parent / "recordings" / f"{name}.jsonl"
        header, *steps = [json.loads(line) for line in path.read_text().splitlines()]
        return cls(header, steps)

    def conversation(self) -> Conversation:
        """The state of the recorded process, at its start."""
        setting = Setting(
            cwd="/home/user/project",
            private="/home/user/private",
            conversation=self.header["conversation"],
            resume=self.header["resume"],
        )
        access = self.header["access"]
        if self.header["agent"] == "claude":
            return ClaudeDriver(ClaudeAgent(access=access)).conversation(setting)
        return CodexDriver(CodexAgent(access=access)).conversation(setting)

    def play(self, cut=lambda data: [data], between=b"") -> list[Event]:
        """Do what was done and hear what was said, in pieces as `cut` makes them.

        Args:
            cut: makes pieces of the bytes that came without anything done in between.
            between: written before every line, as some library would.
        """
        talk = self.conversation()
        talk.data_to_send()
        events, pending = [], b""
        for step in self.steps:
            if "line" in step:
                pending += between + json.dumps(step["line"], ensure_ascii=False).encode() + b"\n"
                continue
            for piece in cut(pending):
                events += talk.receive(piece)
            pending = b""
            if "send" in step:
                talk.send_turn(step["send"], step["prompt"])
            elif "interrupt" in step:
                talk.interrupt()
            else:
                events += talk.receive_end(step["end"], step["stderr"].encode())
        return events


@pytest.fixture(params=[path.stem for path in RECORDINGS])
def recording(request) -> Recording:
    """Every recording, one after the other."""
    return Recording.load(request.param)


@pytest.fixture
def load_recording():
    """Load a recording by its name."""
    return Recording.load
