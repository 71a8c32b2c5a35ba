"""Which agent a batch means, and whether its program is there. It only reads."""

from __future__ import annotations

import os
import shutil
from typing import assert_never

from runner.agents.driver import (
    AcpAgent,
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    PluginAgent,
    ReplayAgent,
    ShellAgent,
)
from runner.agents.plugins import plugin_names
from runner.agents.registry import make_agent
from runner.config import Document, load_record
from runner.errors import ConfigError
from runner.strict import Mistakes, did_you_mean, structure_value
from runner.toml_lines import KeyPath

AGENTS = ("shell", "command", "claude", "codex", "acp", "replay")


def is_path(agent: str) -> bool:
    """Whether an agent's name is the path of its file."""
    return agent not in AGENTS and (agent.endswith(".toml") or "/" in agent)


def find_agent(named: str | Agent, base: str, document: Document) -> Agent:
    """The agent's record.

    Args:
        named: what the batch says: a built-in agent's name, a file, or the record.
        base: the directory that paths are relative to.
        document: the batch file, for the places of problems.

    Raises:
        ConfigError: there is no such agent, its options are wrong, or its program is not there.
    """
    at: KeyPath = ("agent",)
    if not isinstance(named, str):
        return _found(named, document)
    if is_path(named):
        file = os.path.join(base, named)
        agent: Agent = load_record(file, Agent)  # type: ignore[arg-type]  # a union of records
    elif named not in AGENTS:
        known = plugin_names()
        if named not in known:
            hint = did_you_mean(named, (*AGENTS, *known))
            what = f"{named!r} is no built-in agent, nor the path of a .toml file{hint}"
            raise ConfigError(document.problem(at, what))
        agent = PluginAgent(name=named)
    else:
        try:
            agent = structure_value({"kind": named}, Agent)  # type: ignore[arg-type]
        except Mistakes:
            what = f"{named!r} needs options: give a table with kind = {named!r}, or a .toml file"
            raise ConfigError(document.problem(at, what)) from None
    return _found(agent, document)


def _found(agent: Agent, document: Document) -> Agent:
    """The agent that is meant, whose program is there; for a package's, what that gives for it."""
    try:
        meant = make_agent(agent)
    except ConfigError as exc:
        raise ConfigError(document.problem(("agent",), str(exc))) from exc
    _check_program(meant, document)
    return meant


def _check_program(agent: Agent, document: Document) -> None:
    match agent:
        case ShellAgent():
            key, program = "shell", agent.shell
        case CommandAgent() | AcpAgent():
            key, program = "argv", agent.argv[0] if agent.argv else ""
        case ClaudeAgent() | CodexAgent():
            key, program = "program", agent.program
        case ReplayAgent() | PluginAgent():
            return  # its program is ours; or only its package knows it
        case _:
            assert_never(agent)
    # The key stands in the batch file only if the agent's options do.
    at: KeyPath = ("agent", key) if isinstance(document.data.get("agent"), dict) else ("agent",)
    if not program:
        raise ConfigError(document.problem(at, "must name a program"))
    if "{" not in program and (os.path.isabs(program) or "/" not in program):
        # A relative path is the workspace's own program; that cannot be known before.
        said = agent.env.get("PATH")
        path = said if said and isinstance(said, str) else os.environ.get("PATH")
        if shutil.which(program, path=path) is None:
            what = f"the program {program!r} is not installed, or not in PATH"
            raise ConfigError(document.problem(at, what))
