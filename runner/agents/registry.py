"""Which agents there are, by the names that users write, and how a driver is made for each.

`make_driver` takes a user's agent record, or the name of a built-in agent, which stands for its
record with every default. This is the one place that knows all agents.

Whether an agent's program is installed is not known here: the session finds out.
"""

from __future__ import annotations

import difflib
from typing import assert_never

from runner.agents.claude import ClaudeDriver
from runner.agents.codex import CodexDriver
from runner.agents.codex_exec import CodexExecDriver
from runner.agents.command import CommandDriver
from runner.agents.driver import (
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    Driver,
    ReplayAgent,
    ShellAgent,
)
from runner.agents.replay import ReplayDriver, recorded_agent
from runner.agents.shell import ShellDriver
from runner.errors import ConfigError

BUILT_IN: tuple[str, ...] = ("shell", "command", "claude", "codex", "replay")


def make_agent(name: str) -> Agent:
    """Make the record that a built-in agent's name stands for.

    Raises:
        ConfigError: there is no such agent, or it is nothing without options.
    """
    match name:
        case "shell":
            return ShellAgent()
        case "claude":
            return ClaudeAgent()
        case "codex":
            return CodexAgent()
        case "command":
            raise ConfigError('the agent "command" needs options: the argv of a program')
        case "replay":
            raise ConfigError('the agent "replay" needs options: the path of a recording')
        case _:
            pass
    near = difflib.get_close_matches(name.lower(), BUILT_IN, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"unknown agent {name!r} (there are {', '.join(BUILT_IN)}){hint}")


def make_driver(agent: Agent | str) -> Driver:
    """Make the driver of an agent.

    Raises:
        ConfigError: the agent is unknown, or its record cannot be used.
    """
    match agent:
        case str():
            return make_driver(make_agent(agent))
        case ShellAgent():
            return ShellDriver(agent)
        case CommandAgent():
            return CommandDriver(agent)
        case ClaudeAgent():
            return ClaudeDriver(agent)
        case CodexAgent():
            driver = CodexDriver(agent)
            exec_driver = CodexExecDriver(agent, driver.overrides)
            return driver if agent.protocol == "app-server" else exec_driver
        case ReplayAgent():
            return ReplayDriver(agent, make_driver(recorded_agent(agent)))
        case _:
            assert_never(agent)
