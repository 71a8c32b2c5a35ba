"""The `replay` agent: a session's recording is played back, without a program and without a key.

What comes out of it is read by the agent that was recorded, so events, results, errors and their
classes are those of then. Each process of the recording is a process here (`replay_program`), in
their order, whatever becomes of it: a session that revives its program plays the next one.

It plays what was recorded and can do nothing else: what is said to it has to be what was said then,
but for the texts. Files that the program changed are not changed again.

The driver reads the recording once, when it is made.
"""

from __future__ import annotations

import os
import sys
from typing import ClassVar, Literal, get_args

import attrs

from runner.agents.driver import (
    Ability,
    Access,
    AcpAgent,
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    Conversation,
    Driver,
    Launch,
    ReplayAgent,
    Rung,
    Setting,
    ShellAgent,
)
from runner.agents.lines import mapping_of, text_of
from runner.agents.recording import Recording
from runner.errors import ConfigError

_ACCESS: tuple[Access, ...] = get_args(Access)
_OUTPUTS: tuple[Literal["text", "json", "jsonl"], ...] = ("text", "json", "jsonl")
_PROGRAM = os.path.join(os.path.dirname(__file__), "replay_program.py")


@attrs.frozen
class ReplayDriver:
    """How a recording is played.

    Attributes:
        agent: which one, and how.
        recorded: the driver of the agent that was recorded.

    Raises:
        ConfigError: there is no such recording, or it is none.
    """

    agent: ReplayAgent
    recorded: Driver

    name: ClassVar[str] = "replay"
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=1.0),
        Rung(act="eof", wait=1.0),
        Rung(act="SIGTERM", wait=1.0),
    )

    @property
    def process_per_turn(self) -> bool:
        """As the agent that was recorded."""
        return self.recorded.process_per_turn

    @property
    def max_prompt(self) -> int:
        """As the agent that was recorded."""
        return self.recorded.max_prompt

    @property
    def abilities(self) -> frozenset[Ability]:
        """As the agent that was recorded, but that nothing is forked, and no file changed again."""
        return self.recorded.abilities - {"fork", "fork at turn", "files"}

    def launch(self, setting: Setting) -> Launch:
        """How to play the next process of the recording."""
        return Launch(
            argv=(
                sys.executable,
                "-I",
                "-S",
                _PROGRAM,
                os.path.abspath(self.agent.recording),
                f"{setting.private}/replayed",
                "recorded" if self.agent.timing == "recorded" else "at-once",
                "one-turn" if self.process_per_turn else "many",
            ),
            # Makes the directory.
            files=((f"{setting.private}/.keep", b""),),
            stdin=b"" if self.process_per_turn else None,
        )

    def conversation(self, setting: Setting) -> Conversation:
        """The protocol state of the agent that was recorded."""
        return self.recorded.conversation(setting)

    def history(self, private: str, conversation: str) -> str:
        """None."""
        return ""


def recorded_agent(agent: ReplayAgent) -> Agent:
    """Read which agent was recorded.

    Raises:
        ConfigError: there is no such recording, or it is none.
    """
    try:
        with open(agent.recording, "rb") as file:
            data = file.read()
    except OSError as exc:
        raise ConfigError(f"the recording {agent.recording!r} cannot be read: {exc}") from exc
    record = Recording.read(data, agent.recording).agent
    access = next((each for each in _ACCESS if each == record.get("access")), _ACCESS[0])
    match text_of(record, "kind"):
        case "shell":
            return ShellAgent()
        case "command":
            outputs = (each for each in _OUTPUTS if each == record.get("output"))
            output = next(outputs, _OUTPUTS[0])
            message = text_of(record, "message")
            return CommandAgent(argv=("recorded",), output=output, message=message)
        case "claude":
            return ClaudeAgent(model=text_of(record, "model"), access=access)
        case "codex":
            model, is_exec = text_of(record, "model"), record.get("protocol") == "exec"
            protocol: Literal["app-server", "exec"] = "exec" if is_exec else "app-server"
            return CodexAgent(model=model, access=access, protocol=protocol)
        case "acp":
            modes = mapping_of(record, "modes")
            return AcpAgent(
                argv=("recorded",),
                model=text_of(record, "model"),
                access=access,
                modes={key: text_of(modes, key) for key in modes},
                auth=text_of(record, "auth"),
            )
        case kind:
            raise ConfigError(f"{agent.recording}: line 1: {kind!r} cannot be played back")
