"""What every agent keeps to: a driver starts its program, a conversation speaks with it.

A driver is made from the user's agent record and says how the program is started and ended. A
conversation is the state of *one* process: bytes from the program go in by `receive`, events come
out; what has to be written to the program waits in `data_to_send` (the shape is h11's). Neither
does any I/O: `runner.sessions.actor` owns the process.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol, TypeAlias

import attrs

from runner.agents.events import Event

Access: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]


@attrs.frozen(kw_only=True)
class Setting:
    """Where a program is started.

    Attributes:
        cwd: the directory that the conversation is about, absolute.
        private: an own directory of this session, absolute, mode 0700: HOME and configuration.
        conversation: the id of the conversation to resume, or the one to begin with.
        resume: whether that conversation has been begun before.
        prompt: the prompt, for a driver whose process serves one turn only.
        turn: the number of that turn, from 1.
    """

    cwd: str
    private: str
    conversation: str
    resume: bool
    prompt: str = ""
    turn: int = 1


@attrs.frozen(kw_only=True)
class Launch:
    """How to start a process.

    Attributes:
        argv: the program and its arguments; the program is looked up in the PATH of `env`.
        env: the variables on top of the allow-listed ones.
        pass_env: names of variables to pass on from our own environment, if they are set there.
        files: (absolute path inside `private`, content) to be written first, mode 0600.
        stdin: bytes for the standard input, which is closed after them; None = it stays open and
            `data_to_send` is written to it.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    pass_env: tuple[str, ...] = ()
    files: tuple[tuple[str, bytes], ...] = ()
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

    def send_turn(self, turn: str, prompt: str) -> None:
        """Queue a prompt, to reach the model verbatim.

        Raises:
            LocalProtocolError: a turn is still in flight, or the program is not ready.
        """
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
    def ladder(self) -> tuple[Rung, ...]:
        """How to end its process politely; SIGKILL of the whole tree follows in any case."""
        ...

    def launch(self, setting: Setting) -> Launch:
        """How to start its process."""
        ...

    def conversation(self, setting: Setting) -> Conversation:
        """The protocol state for a process started so; opening bytes wait in `data_to_send`."""
        ...


# ---------------------------------------------------------------- what users say of an agent


@attrs.frozen(kw_only=True)
class ShellAgent:
    """The embedded default: the prompt is a shell script, its output's last line the message.

    Attributes:
        shell: the program that carries the script out.
        env: variables on top of the allow-listed ones.
    """

    kind: Literal["shell"] = "shell"
    shell: str = "sh"
    env: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class CommandAgent:
    """Any program: one process per turn.

    Attributes:
        argv: program and arguments; `{prompt}`, `{prompt_file}`, `{cwd}`, `{session}` are replaced.
        prompt: how the program gets the prompt.
        output: how its standard output is to be read.
        message: for JSON and JSON lines, the dotted path of the final message.
        env: variables on top of the allow-listed ones.
        pass_env: names of variables to pass on from our own environment.
    """

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]
    prompt: Literal["stdin", "argument", "file"] = "stdin"
    output: Literal["text", "json", "jsonl"] = "text"
    message: str = ""
    env: dict[str, str] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ClaudeAgent:
    """Claude Code: one live process over many turns.

    Attributes:
        program: its name or path.
        model: as its `--model`; empty = its own default.
        access: what it may do.
        args: more arguments for the program, after ours.
        env: variables on top of the allow-listed ones.
        pass_env: names of variables to pass on from our own environment (credentials).
        seed: a directory (such as `~/.claude`) whose credentials are copied into each session's
            private configuration; empty = none.
        max_retries: how often the program itself asks its provider again.
        request_timeout: seconds that the program waits for its provider to answer.
    """

    kind: Literal["claude"] = "claude"
    program: str = "claude"
    model: str = ""
    access: Access = "workspace-write"
    args: tuple[str, ...] = ()
    env: dict[str, str] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = (
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_AUTH_TOKEN",
        "ANTHROPIC_BASE_URL",
        "CLAUDE_CODE_OAUTH_TOKEN",
    )
    seed: str = ""
    max_retries: int = 2
    request_timeout: Annotated[float, "seconds"] = 120.0  # as runner.strict.Seconds


@attrs.frozen(kw_only=True)
class CodexAgent:
    """Codex: `codex app-server`, one live process over many turns.

    Attributes:
        program: its name or path.
        model: empty = its own default.
        access: what it may do.
        args: more arguments for the program, after ours.
        config: lines for its private `config.toml`, as TOML text (providers, for example).
        env: variables on top of the allow-listed ones.
        pass_env: names of variables to pass on from our own environment (credentials).
        seed: a directory (such as `~/.codex`) whose credentials are copied into each session's
            private configuration; empty = none.
    """

    kind: Literal["codex"] = "codex"
    program: str = "codex"
    model: str = ""
    access: Access = "workspace-write"
    args: tuple[str, ...] = ()
    config: str = ""
    env: dict[str, str] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ("OPENAI_API_KEY", "CODEX_API_KEY", "OPENAI_BASE_URL")
    seed: str = ""


Agent: TypeAlias = ShellAgent | CommandAgent | ClaudeAgent | CodexAgent
