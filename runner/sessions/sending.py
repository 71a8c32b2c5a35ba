"""What a caller says of a turn, checked before anything of it is done: from values to a message."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import get_args

import trio

from runner.agents.driver import PLAIN, Ability, Access, TurnOptions
from runner.errors import AgentUnavailable, ConfigError
from runner.sessions.schemas import check_schema
from runner.sessions.state import SessionState
from runner.sessions.turn import Send, WhenBusy


def check_seconds(what: str, seconds: float | None) -> float | None:
    """A number of seconds, or None.

    Raises:
        ConfigError: it is neither.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ConfigError(f"{what} of {seconds!r}: it must be a number above 0, or None")
    if not (seconds > 0.0 and math.isfinite(seconds)):
        raise ConfigError(f"{what} of {seconds} s: it must be a number above 0, or None")
    return seconds


def check_prompt(prompt: str, longest: int, agent: str) -> None:
    """See whether there is a prompt, and whether the agent's program would take it.

    Raises:
        ConfigError: there is none, or it is too long.
    """
    if not isinstance(prompt, str):
        raise ConfigError(f"a prompt is text, not {type(prompt).__name__}")
    if not prompt.strip():
        raise ConfigError("the prompt is empty")
    if len(prompt) > longest:
        raise ConfigError(too_long(prompt, longest, agent))


def too_long(prompt: str, longest: int, agent: str) -> str:
    """The sentence about a prompt that an agent's program would not take."""
    return (
        f"the prompt has {len(prompt)} characters, and the agent {agent!r} takes {longest}: let it"
        " name a file in the directory, which has the rest"
    )


def make_send(
    state: SessionState,
    prompt: str,
    *,
    timeout: float | None,
    silence: float | None,
    max_park: float | None,
    when_busy: WhenBusy,
    options: TurnOptions,
) -> Send:
    """The message of a turn.

    Raises:
        ConfigError: one of the values cannot be used.
        AgentUnavailable: the agent's program cannot do that.
    """
    check_prompt(prompt, state.max_prompt, state.agent)
    if when_busy not in get_args(WhenBusy):
        allowed = ", ".join(map(repr, get_args(WhenBusy)))
        raise ConfigError(f"when_busy={when_busy!r}: it is one of {allowed}")
    if when_busy == "steer":
        require(state, "steer", "takes no prompt into a turn in flight")
        if options != PLAIN:
            raise ConfigError("a prompt that steers a turn has no access or schema of its own")
    return Send(
        prompt=prompt,
        timeout=timeout,
        asked=trio.current_time(),
        options=options,
        urgent=when_busy == "interrupt",
        silence=silence,
        max_park=max_park,
    )


def make_options(
    state: SessionState, access: Access | None, schema: Mapping[str, object] | None
) -> TurnOptions:
    """What holds for a turn.

    Raises:
        ConfigError: one of the values cannot be used.
        AgentUnavailable: the agent's program cannot be held to the access.
    """
    if access is None and schema is None:
        return PLAIN
    if access is not None:
        if access not in get_args(Access):
            allowed = ", ".join(map(repr, get_args(Access)))
            raise ConfigError(f"access={access!r}: it is one of {allowed}")
        require(state, "access", "cannot be held to an access for one turn")
        if access == "danger-full-access" and state.is_guarded:
            raise ConfigError(
                f"access={access!r}: the permissions of the scope do not allow all programs, and an"
                " agent with this access asks for nothing"
            )
    if schema is not None:
        check_schema(schema)
    return TurnOptions(access=access, schema=schema)


def require(state: SessionState, ability: Ability, lacking: str) -> None:
    """See whether the agent's program can do something.

    Raises:
        AgentUnavailable: it cannot.
    """
    if ability not in state.abilities:
        raise AgentUnavailable(f"the agent {state.agent!r} {lacking}")
