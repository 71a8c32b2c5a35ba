"""Agents that installed packages bring, by entry points of the group `runner.agents`.

    [project.entry-points."runner.agents"]
    parrot = "parrot_agent:make"

`make` is called with the options that a user gives, as keyword arguments, and gives a `Driver`, or
a record of one of our own agents with other defaults. Nothing of a package is imported before its
agent is asked for by name; a name of ours always means our own.

What is not here: what is done with a driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from runner.agents.checking import checked
from runner.agents.driver import Agent, Driver
from runner.errors import ConfigError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "runner.agents"
_NEEDED = (
    "name",
    "process_per_turn",
    "abilities",
    "max_prompt",
    "ladder",
    "launch",
    "conversation",
    "history",
)


def plugin_names() -> tuple[str, ...]:
    """The names of all such agents, sorted; nothing is imported."""
    return tuple(sorted({each.name for each in _entry_points()}))


def load_plugin(name: str, options: Mapping[str, object]) -> Agent | Driver:
    """What a package gives for the name of its agent.

    Raises:
        ConfigError: there is none of that name, or several; or it cannot be loaded, does not take
            the options, or gives something else. It says which package that is.
    """
    found = [each for each in _entry_points() if each.name == name]
    if not found:
        raise ConfigError(f"no installed package brings an agent {name!r}")
    if len(found) > 1:
        packages = ", ".join(sorted(map(_package, found)))
        raise ConfigError(f"several packages bring an agent {name!r}: {packages}")
    what = f"the agent {name!r} of the package {_package(found[0])}"
    try:
        made = found[0].load()(**options)
    except ConfigError as exc:
        raise ConfigError(f"{what}: {exc}") from exc
    except Exception as exc:
        raise ConfigError(f"{what} cannot be used: {type(exc).__name__}: {exc}") from exc
    if isinstance(made, Agent):
        return _sound(made, what)
    missing = [each for each in _NEEDED if not hasattr(made, each)]
    if missing:
        kind = type(made).__name__
        raise ConfigError(f"{what} gives a {kind}, which is no driver: no {', '.join(missing)}")
    driver: Driver = made
    return driver


def _sound(made: Agent, what: str) -> Agent:
    try:
        return checked(made)
    except ConfigError as exc:
        raise ConfigError(*(f"{what}: {each.what}" for each in exc.problems)) from exc


def _entry_points() -> list[EntryPoint]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - 15 ms that few need

    # One package may be found in two places of the path.
    found = {(each.name, each.value, _package(each)): each for each in entry_points(group=GROUP)}
    return list(found.values())


def _package(entry: EntryPoint) -> str:
    return "unknown" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
