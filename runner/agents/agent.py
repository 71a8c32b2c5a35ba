"""What users say of an agent: a record for each kind, with what holds for it. Values only.

`runner.agents.driver` passes their names on; `runner.agents.registry` makes a driver of one.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import attrs

from runner.agents.billing import Billing
from runner.agents.secret import Value
from runner.agents.servers import McpServer
from runner.agents.setting import Access


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
        env: variables on top of the allow-listed ones; a secret as `{ env = "NAME" }`,
            `{ file = "path" }` or `{ command = ["program", …] }`.
        pass_env: names of variables to pass on from our own environment (credentials).
        by_minute: a pattern, in its private home, of files of conversations whose names have the
            minute in which they were begun: what it resumes within that minute it would begin anew,
            so they get an earlier one; empty = there are none.
        hands: what it is offered to have done with files by its session, instead of doing it
            itself.
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
    env: dict[str, Value] = attrs.field(factory=dict)
    pass_env: tuple[str, ...] = ()
    by_minute: str = ""
    hands: tuple[Literal["read", "write"], ...] = ("read", "write")
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


def program_of(agent: Agent) -> str | None:
    """The program that an agent's record names; None if it is ours, the shell, or not known."""
    match agent:
        case ClaudeAgent() | CodexAgent():
            return agent.program
        case CommandAgent() | AcpAgent():
            return agent.argv[0] if agent.argv and "{" not in agent.argv[0] else None
        case _:
            return None
