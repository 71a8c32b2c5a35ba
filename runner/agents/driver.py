"""What every agent keeps to: a driver starts its program, a conversation speaks with it.

A driver is made from the user's agent record (agent.py) and says how the program is started and
ended. A conversation is the state of *one* process: bytes from the program go in by `receive`,
events come out; what has to be written to the program waits in `data_to_send` (the shape is h11's).
Neither does any I/O: `runner.sessions.actor` owns the process.
"""

# ruff: noqa: PLC0414 - some names are defined elsewhere and passed on
from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import attrs

from runner.agents.agent import AcpAgent as AcpAgent
from runner.agents.agent import Agent as Agent
from runner.agents.agent import ClaudeAgent as ClaudeAgent
from runner.agents.agent import CodexAgent as CodexAgent
from runner.agents.agent import CommandAgent as CommandAgent
from runner.agents.agent import PluginAgent as PluginAgent
from runner.agents.agent import ReplayAgent as ReplayAgent
from runner.agents.agent import ShellAgent as ShellAgent
from runner.agents.agent import agent_name as agent_name
from runner.agents.events import Decision, Event, FileAnswer
from runner.agents.secret import Value
from runner.agents.servers import McpServer as McpServer
from runner.agents.setting import MAX_PROMPT as MAX_PROMPT
from runner.agents.setting import PLAIN as PLAIN
from runner.agents.setting import UNATTENDED as UNATTENDED
from runner.agents.setting import Access as Access
from runner.agents.setting import Origin as Origin
from runner.agents.setting import Setting as Setting
from runner.agents.setting import TurnOptions as TurnOptions

# What a program can do by itself:
#   steer            take a prompt into the turn in flight
#   interrupt        end the turn in flight and go on living
#   fork             begin a conversation as a copy of another, at its end
#   fork at turn     the same, as it was after any of its turns
#   approvals        ask for leave, and wait for a decision
#   rewrite          take another input for a tool than it asked for
#   schema           give its final answer by a JSON schema
#   access           be held to another access than its agent's
#   per turn         take both with each turn: otherwise another process is needed (`takes`)
#   mcp              use MCP servers that are handed to it
#   files            have us read and write files, instead of doing it by itself
Ability: TypeAlias = Literal[
    "steer",
    "interrupt",
    "fork",
    "fork at turn",
    "approvals",
    "rewrite",
    "schema",
    "access",
    "per turn",
    "mcp",
    "files",
]


@attrs.frozen(kw_only=True)
class Need:
    """A program that the launched one starts by itself, and cannot do without.

    Attributes:
        program: its name, looked up in the PATH.
        why: what it is for, and how to get it.
    """

    program: str
    why: str


@attrs.frozen(kw_only=True)
class Launch:
    """How to start a process.

    Attributes:
        argv: the program and its arguments; the program is looked up in the PATH of `env`.
        env: the variables on top of the allow-listed ones; secrets by reference.
        pass_env: names of variables to pass on from our own environment, if they are set there.
        files: (absolute path inside `private`, content) to be written first, mode 0600.
        copies: (absolute path, absolute path inside `private`) of files, and of directories with
            all that is in them, to be copied first.
        links: (absolute path, absolute path inside `private`) of symbolic links, which are there as
            long as the program is: short names, for what cannot take long ones.
        aged: a pattern of files inside `private`: those that have this minute in their names are
            given one of the day before first; empty = none.
        needs: what has to be there besides the program, or it is not to be started.
        stdin: bytes for the standard input, which is closed after them; None = it stays open and
            `data_to_send` is written to it.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, Value], ...] = ()
    pass_env: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    aged: str = ""
    needs: tuple[Need, ...] = ()
    stdin: bytes | None = None


@attrs.frozen(kw_only=True)
class Rung:
    """One rung of the ladder that ends a process: what to do, and how long to wait for the end."""

    act: Literal["interrupt", "eof", "SIGINT", "SIGTERM"]
    wait: float


class Conversation(Protocol):
    """The protocol state of one process of the program."""

    @property
    def ready(self) -> bool:
        """Whether a turn can be sent."""
        ...

    def takes(self, options: TurnOptions) -> bool:
        """Whether this process can carry out a turn so; else one started with them can."""
        ...

    def send_turn(self, turn: str, prompt: str, options: TurnOptions = PLAIN) -> None:
        """Queue a prompt, to reach the model verbatim.

        Raises:
            LocalProtocolError: a turn is still in flight, the program is not ready, or this
                process does not take the options.
        """
        ...

    def steer(self, prompt: str) -> bool:
        """Queue a prompt for the turn in flight; whether that is possible now.

        It is once the turn has started (`TurnStarted`), and until its end is asked for.
        """
        ...

    def decide(self, approval: str, decision: Decision) -> None:
        """Queue the answer to an `ApprovalAsked`; nothing if it does not wait any more."""
        ...

    def give(self, asked: str, answer: FileAnswer) -> None:
        """Queue the answer to a `ReadAsked` or `WriteAsked`, likewise."""
        ...

    def interrupt(self) -> None:
        """Queue the request to end the turn in flight; nothing if there is none."""
        ...

    def receive(self, data: bytes) -> list[Event]:
        """Take what the program wrote to its standard output; b"" does nothing.

        Never raises for what the program says: what cannot be understood becomes `Raw`.
        """
        ...

    def receive_end(self, exit_code: int, stderr: bytes) -> list[Event]:
        """Take the end of the process: if a turn is in flight, its `TurnEnded` comes out.

        Args:
            exit_code: 0 to 255, or minus a signal's number.
            stderr: the tail of what it wrote to its standard error.
        """
        ...

    def data_to_send(self) -> bytes:
        """Take what is to be written to the program's standard input (whole lines), once."""
        ...


class Driver(Protocol):
    """What is known of an agent program."""

    @property
    def name(self) -> str:
        """The agent's name, as users write it."""
        ...

    @property
    def process_per_turn(self) -> bool:
        """Whether each turn has a process of its own, which ends with it."""
        ...

    @property
    def abilities(self) -> frozenset[Ability]:
        """What its program can do."""
        ...

    @property
    def max_prompt(self) -> int:
        """How many characters a prompt may have; a note of the session's may come before it."""
        ...

    @property
    def ladder(self) -> tuple[Rung, ...]:
        """How to end its process politely; SIGKILL of the whole tree follows in any case."""
        ...

    def launch(self, setting: Setting) -> Launch:
        """How to start its process."""
        ...

    def conversation(self, setting: Setting) -> Conversation:
        """The protocol state for a process started so; opening bytes wait in `data_to_send`."""
        ...

    def history(self, private: str, conversation: str) -> str:
        """Where its program keeps its own file of a conversation: a pattern for `glob`.

        Empty if it keeps none that is known. A driver can have `knows(lines, marker, *, in_short)`
        besides: whether its program, started anew with the lines (bytes) of such a file, knows the
        message that a turn's marker names, if only as part of a summary (`in_short`). For one that
        has no such method, whatever stands in the file is known.
        """
        ...
