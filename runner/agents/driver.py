"""What every agent keeps to: a driver starts its program, a conversation speaks with it.

A driver is made from the user's agent record and says how the program is started and ended. A
conversation is the state of *one* process: bytes from the program go in by `receive`, events come
out; what has to be written to the program waits in `data_to_send` (the shape is h11's). Neither
does any I/O: `runner.sessions.actor` owns the process.
"""

# ruff: noqa: PLC0414 - some names are defined elsewhere and passed on
from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Protocol, TypeAlias

import attrs

from runner.agents.billing import Billing
from runner.agents.events import Decision, Event
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
]


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
        stdin: bytes for the standard input, which is closed after them; None = it stays open and
            `data_to_send` is written to it.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, Value], ...] = ()
    pass_env: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
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

    @property
    def untranslated(self) -> Mapping[str, int]:
        """How often messages of which kind became `Raw`."""
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

        Empty if it keeps none that is known.
        """
        ...


# ---------------------------------------------------------------- what users say of an agent


@attrs.frozen(kw_only=True)
class ShellAgent:
    """The embedded default: the prompt is a shell script, its output's last line the message.

    Attributes:
        shell: the program that carries the script out.
        env: variables on top of the allow-listed ones; a secret as `{ env = "NAME" }`,
            `{ file = "path" }` or `{ command = ["program", …] }`.
    """

    kind: Literal["shell"] = "shell"
    shell: str = "sh"
    env: dict[str, Value] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class CommandAgent:
    """Any program: one process per turn.

    Attributes:
        argv: program and arguments; `{prompt}`, `{prompt_file}`, `{cwd}`, `{session}` are replaced.
        prompt: how the program gets the prompt.
        output: how its standard output is to be read.
        message: for JSON and JSON lines, the dotted path of the final message.
        env: variables on top of the allow-listed ones; a secret as `{ env = "NAME" }`,
            `{ file = "path" }` or `{ command = ["program", …] }`.
        pass_env: names of variables to pass on from our own environment.
    """

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    output: Literal["text", "json", "jsonl"] = "text"
    message: str = ""
    env: dict[str, Value] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ClaudeAgent:
    """Claude Code: one live process over many turns.

    Attributes:
        program: its name or path.
        model: as its `--model`; empty = its own default.
        access: what it may do.
        args: more arguments for the program, after ours.
        env: variables on top of the allow-listed ones; a secret as `{ env = "NAME" }`,
            `{ file = "path" }` or `{ command = ["program", …] }`.
        pass_env: names of variables to pass on from our own environment (credentials).
        seed: a directory (such as `~/.claude`) whose credentials are copied into each session's
            private configuration; empty = none.
        max_retries: how often the program itself asks its provider again.
        request_timeout: seconds that the program waits for its provider to answer.
        billing: which kind of credential it has to say that it uses.
        servers: of tools (MCP) that it gets, besides those that its session is given.
    """

    kind: Literal["claude"] = "claude"
    program: str = "claude"
    model: str = ""
    access: Access = "workspace-write"
    args: tuple[str, ...] = ()
    env: dict[str, Value] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_OAUTH_TOKEN",
    )
    seed: str = ""
    max_retries: int = 2
    request_timeout: Annotated[float, "seconds"] = 120.0  # as runner.strict.Seconds
    billing: Billing = "any"
    servers: tuple[McpServer, ...] = ()


@attrs.frozen(kw_only=True)
class CodexAgent:
    """Codex: `codex app-server`, one live process over many turns.

    Attributes:
        program: its name or path.
        protocol: "exec" is for versions without `app-server`: a process for each turn, which can
            do less.
        model: empty = its own default.
        access: what it may do.
        args: more arguments for the program, after ours.
        config: lines for its private `config.toml`, as TOML text (providers, for example).
        env: variables on top of the allow-listed ones; a secret as `{ env = "NAME" }`,
            `{ file = "path" }` or `{ command = ["program", …] }`.
        pass_env: names of variables to pass on from our own environment (credentials).
        seed: a directory (such as `~/.codex`) whose credentials are copied into each session's
            private configuration; empty = none.
        billing: which kind of credential it has to say that it uses.
        servers: of tools (MCP) that it gets, besides those that its session is given.
    """

    kind: Literal["codex"] = "codex"
    program: str = "codex"
    protocol: Literal["app-server", "exec"] = "app-server"
    model: str = ""
    access: Access = "workspace-write"
    args: tuple[str, ...] = ()
    config: str = ""
    env: dict[str, Value] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ("OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL")
    seed: str = ""
    billing: Billing = "any"
    servers: tuple[McpServer, ...] = ()


@attrs.frozen(kw_only=True)
class AcpAgent:
    """Any program that speaks the Agent Client Protocol: one live process over many turns.

    Attributes:
        argv: the program and its arguments.
        model: one of those that it offers; empty = its own default.
        access: what it may do. The protocol confines nothing: less than full access needs a mode.
        modes: by access, the mode of the program that holds it; full access needs none.
        auth: the method by which it is to authenticate; empty = it need not be asked to.
        files: texts of files in its private home, by their paths there (its configuration).
        seed: files on this machine (credentials) that are copied there, by their paths there.
        env: variables on top of the allow-listed ones.
        pass_env: names of variables to pass on from our own environment (credentials).
        servers: of tools (MCP) that it gets, besides those that its session is given.
    """

    kind: Literal["acp"] = "acp"
    argv: tuple[str, ...]
    model: str = ""
    access: Access = "danger-full-access"
    modes: dict[str, str] = attrs.field(factory=dict)
    auth: str = ""
    files: dict[str, str] = attrs.field(factory=dict)
    seed: dict[str, str] = attrs.field(factory=dict)
    env: dict[str, str] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ()
    servers: tuple[McpServer, ...] = ()


@attrs.frozen(kw_only=True)
class ReplayAgent:
    """A session's recording, played back: no program, no key, no cost.

    Attributes:
        recording: its path.
        timing: whether what the program said comes when it came then, or at once.
    """

    kind: Literal["replay"] = "replay"
    recording: str
    timing: Literal["recorded", "at once"] = "at once"


@attrs.frozen(kw_only=True)
class PluginAgent:
    """An agent that an installed package brings; `plugins` says how.

    Attributes:
        name: as the package calls it.
        options: what the package is to make it with.
    """

    kind: Literal["plugin"] = "plugin"
    name: str
    options: dict[str, object] = attrs.field(factory=dict)


Agent: TypeAlias = (
    ShellAgent | CommandAgent | ClaudeAgent | CodexAgent | AcpAgent | ReplayAgent | PluginAgent
)


def agent_name(agent: Agent) -> str:
    """What an agent is called: its kind, or the name that its package gave it."""
    return agent.name if isinstance(agent, PluginAgent) else agent.kind
