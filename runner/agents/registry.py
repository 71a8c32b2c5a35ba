"""Which agents there are, by the names that users write, and how a driver is made for each.

`make_driver` takes a user's agent record, or the name of an agent, which stands for its record with
every default. This is the one place that knows all agents of ours; those of installed packages are
known to `plugins`. An agent's module is imported when a driver of it is made.

Whether an agent's program is installed is not known here: the session finds out.
"""

from __future__ import annotations

import difflib
from typing import assert_never

from runner.agents.checking import checked
from runner.agents.driver import (
    AcpAgent,
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    Driver,
    PluginAgent,
    ReplayAgent,
    ShellAgent,
)
from runner.errors import ConfigError

# ruff: noqa: PLC0415 - nobody has to import the agents that are not used

BUILT_IN: tuple[str, ...] = ("shell", "command", "claude", "codex", "acp", "replay")


def make_agent(agent: Agent | str) -> Agent:
    """Make the record that an agent's name stands for; what a package gives for its own.

    Raises:
        ConfigError: there is no such agent, it is nothing without options, or a value in its record
            is of the wrong kind.
    """
    match agent:
        case "shell":
            return ShellAgent()
        case "claude":
            return ClaudeAgent()
        case "codex":
            return CodexAgent()
        case "command":
            raise ConfigError('the agent "command" needs options: the argv of a program')
        case "acp":
            raise ConfigError('the agent "acp" needs options: the argv of a program')
        case "replay":
            raise ConfigError('the agent "replay" needs options: the path of a recording')
        case str():
            return make_agent(PluginAgent(name=known_name(agent)))
        case PluginAgent():
            from runner.agents.plugins import load_plugin

            made = load_plugin(checked(agent).name, agent.options)
            return make_agent(made) if isinstance(made, Agent) else agent
        case _:
            return checked(agent)


def known_name(name: str, what: str = "agent") -> str:
    """The name, if there is such an agent.

    Raises:
        ConfigError: there is none; it says which ones there are, and which is near.
    """
    if name in BUILT_IN:
        return name
    from runner.agents.plugins import plugin_names

    known = (*BUILT_IN, *(each for each in plugin_names() if each not in BUILT_IN))
    if name in known:
        return name
    near = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"unknown {what} {name!r} (there are {', '.join(known)}){hint}")


def make_driver(agent: Agent | str) -> Driver:  # noqa: PLR0911 - one for each
    """Make the driver of an agent.

    Raises:
        ConfigError: the agent is unknown, or its record cannot be used.
    """
    match agent:
        case str():
            return make_driver(make_agent(agent))
        case ShellAgent():
            from runner.agents.shell import ShellDriver

            return ShellDriver(agent)
        case CommandAgent():
            from runner.agents.command import CommandDriver

            return CommandDriver(agent)
        case ClaudeAgent():
            from runner.agents.claude import ClaudeDriver

            return ClaudeDriver(agent)
        case CodexAgent():
            return _codex_driver(agent)
        case AcpAgent():
            from runner.agents.acp import AcpDriver

            return AcpDriver(agent)
        case ReplayAgent():
            from runner.agents.replay import ReplayDriver, recorded_agent

            return ReplayDriver(agent, make_driver(recorded_agent(agent)))
        case PluginAgent():
            from runner.agents.plugins import load_plugin

            made = load_plugin(agent.name, agent.options)
            return make_driver(made) if isinstance(made, Agent) else made
        case _:
            assert_never(agent)


def _codex_driver(agent: CodexAgent) -> Driver:
    from runner.agents.codex import CodexDriver
    from runner.agents.codex_exec import CodexExecDriver

    driver = CodexDriver(agent)
    exec_driver = CodexExecDriver(agent, driver.overrides)
    return driver if agent.protocol == "app-server" else exec_driver
