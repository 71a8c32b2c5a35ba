"""What is to be done by `runner run` and `runner session`: turns in one directory, and for whom.

From the words of a command line to values; nothing is opened or started here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import attrs

from runner.agents.driver import Agent, McpServer
from runner.agents.registry import make_agent
from runner.agents.varying import vary
from runner.config import RunnerConfig, load_record
from runner.errors import ConfigError, Problem
from runner.messages import Isolation
from runner.messages.isolation import Mode
from runner.sessions.state import OnLost
from runner.strict import parse_seconds
from runner.watching.patterns import DEFAULT_IGNORE


@attrs.frozen(kw_only=True)
class Order:
    """What is to be done.

    Attributes:
        prompts: a turn for each; one that is interrupted is the last.
        session: the id of the one to go on with; empty = one that is not kept.
        env: variables of its scope; `isolation` holds what runs there, the agent's program as well.
        servers: of tools (MCP), for its agent.
        recording: the path of the recording that is to be made; empty = none.
        on_lost: what comes of a conversation that its program does not have any more.
        workspace: by what the workspace is found in which it works; None = a directory.
    """

    prompts: tuple[str, ...]
    agent: Agent
    directory: str
    verify: Sequence[str]
    timeout: float | None
    as_json: bool
    silence: float | None = None
    max_park: float | None = None
    ignore: Sequence[str] = DEFAULT_IGNORE
    watch: bool = True
    session: str = ""
    env: Mapping[str, str] = attrs.field(factory=dict)
    isolation: Isolation | None = None
    servers: Sequence[McpServer] = ()
    recording: str = ""
    on_lost: OnLost = "error"
    workspace: Mapping[str, Any] | None = None


class Given(TypedDict):
    """What the options say that all commands have which begin a session (`options.session`)."""

    name: str | None
    directory: str
    sandbox: str | None
    model: str | None
    billing: str | None
    timeout: str | None
    silence: str | None
    max_park: str | None
    isolation: Mode | None
    ignore: tuple[str, ...]
    watch: bool
    config_file: str | None
    as_json: bool


def make_order(
    given: Given,
    config: RunnerConfig,
    prompts: Sequence[str],
    *,
    verify: Sequence[str] = (),
    session: str = "",
    recording: str = "",
) -> Order:
    """What is to be done in a session that is begun.

    Args:
        given: what its options say.
        config: what holds where they say nothing.
        prompts: words of the command line.
        verify: see `Order`.
        session: likewise.
        recording: likewise.

    Raises:
        ConfigError: a prompt is empty, or an option cannot be used.
    """
    return Order(
        prompts=tuple(map(read_prompt, prompts)),
        agent=choose_agent(
            given["name"], config, given["sandbox"], given["model"], given["billing"]
        ),
        directory=existing(given["directory"]),
        verify=verify,
        timeout=read_seconds("--timeout", given["timeout"]),
        silence=read_seconds("--silence", given["silence"]),
        max_park=read_seconds("--max-park", given["max_park"]),
        isolation=config.session.held(given["isolation"]),
        ignore=given["ignore"] or config.session.ignore,
        watch=given["watch"],
        as_json=given["as_json"],
        session=session,
        recording=recording,
    )


def read_config(path: str | None) -> RunnerConfig:
    """The runner's options.

    Raises:
        ConfigError: they cannot be used.
    """
    return load_record(path, RunnerConfig) if path else RunnerConfig()


def read_prompt(prompt: str) -> str:
    """The prompt that a word of the command line stands for.

    Raises:
        ConfigError: it is empty.
    """
    text = prompt
    if prompt == "-":
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    if not text.strip():
        raise ConfigError("the prompt is empty")
    return text


def choose_agent(
    name: str | None,
    config: RunnerConfig,
    sandbox: str | None,
    model: str | None,
    billing: str | None,
) -> Agent:
    """The agent of a name or a file, or else the configuration's; as the options say otherwise.

    Raises:
        ConfigError: there is none, its file cannot be used, or it does not have an option.
    """
    try:
        agent = read_agent(name or config.default_agent)
    except ConfigError as exc:
        if name:
            raise
        said = str(exc)  # a sentence, or all that is wrong with its file, with the places
        raise ConfigError(Problem("default_agent", None, "", said)) from None
    return vary(agent, sandbox=sandbox, model=model, billing=billing)


def read_agent(name: str) -> Agent:
    """The agent of a name, or of a TOML file.

    Raises:
        ConfigError: there is none, or its file cannot be used.
    """
    if name.endswith(".toml") or "/" in name:
        return load_record(name, Agent)  # type: ignore[arg-type]  # a union of records
    return make_agent(name)


def existing(directory: str) -> str:
    """The directory, which is there.

    Raises:
        ConfigError: it is not.
    """
    if not os.path.isdir(directory):
        raise ConfigError(Problem(directory, None, "", "there is no such directory"))
    return directory


def read_seconds(option: str, text: str | None) -> float | None:
    """The seconds of a duration that an option says.

    Raises:
        ConfigError: it is none.
    """
    if text is None:
        return None
    try:
        seconds = parse_seconds(float(text) if text.replace(".", "", 1).isdigit() else text)
    except ValueError as exc:
        raise ConfigError(Problem(option, None, "", str(exc))) from None
    if not seconds:
        raise ConfigError(Problem(option, None, "", "must be more than 0 seconds"))
    return seconds
