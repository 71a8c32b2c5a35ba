"""Whether an agent's record is one: what a program gives is checked as what a file says. Pure.

The records check nothing when they are made: they are values. This is asked when one is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import attrs

from runner.agents.driver import Agent
from runner.config import dotted
from runner.errors import ConfigError
from runner.strict import Mistakes, structure_value

AgentT = TypeVar("AgentT", bound=Agent)


def checked(agent: AgentT) -> AgentT:
    """The record, each field with a value of its kind: a list as a tuple, "5m" as 300.0.

    Raises:
        ConfigError: with every field that has none.
    """
    cls = type(agent)
    try:
        made = structure_value(_plain(agent), cls)
    except Mistakes as exc:
        raise ConfigError(
            *(f"{cls.__name__}.{dotted(key)} {what}" for key, what in exc.mistakes)
        ) from None
    return agent if made == agent else made


def _plain(value: object) -> object:
    """As a file would say it."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    cls = type(value)
    if attrs.has(cls):
        return {each.name: _plain(getattr(value, each.name)) for each in attrs.fields(cls)}
    return value
