"""An agent's record with some of its options changed, by the names that all agents share.

What an agent does not have is refused by name, never left out: who asks for a model, or to be held
to reading, must not get something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import attrs

from runner.agents.billing import Billing
from runner.agents.driver import Access, Agent, PluginAgent
from runner.agents.secret import Secret, Value
from runner.errors import ConfigError
from runner.strict import did_you_mean, kind_of

NO_ENV: Mapping[str, Value] = {}
FULL = "danger-full-access"
# What is wanted, and the options by which agents have it.
_NAMES = {
    "sandbox": ("access",),
    "model": ("model",),
    "extra_args": ("args", "argv"),
    "extra_env": ("env",),
    "billing": ("billing",),
}
# What holds for an agent that does not have it.
HELD = (("sandbox", FULL), ("billing", "any"))


def vary(
    agent: Agent,
    *,
    sandbox: str | None = None,
    model: str | None = None,
    extra_args: Sequence[str] = (),
    extra_env: Mapping[str, Value] = NO_ENV,
    billing: str | None = None,
) -> Agent:
    """The record with other options.

    Args:
        agent: the record.
        sandbox: what the agent may do: "read-only", "workspace-write" or "danger-full-access".
        model: as the program calls it.
        extra_args: after the record's own arguments.
        extra_env: variables on top of the record's own.
        billing: which kind of credential the program has to say that it uses: "any",
            "subscription" or "api_key".

    Raises:
        ConfigError: the agent does not have that, or it is no value for it.
    """
    _check(sandbox, model, extra_args, extra_env, billing=billing)
    changes: dict[str, Any] = {}
    for what, value in (
        ("sandbox", sandbox),
        ("model", model),
        ("extra_args", tuple(extra_args)),
        ("extra_env", dict(extra_env)),
        ("billing", billing),
    ):
        if not value:
            continue
        name = next((each for each in _NAMES[what] if hasattr(agent, each)), "")
        if name:
            changes[name] = _joined(getattr(agent, name), value)
        elif (what, value) not in HELD:
            raise ConfigError(_refusal(agent, what))
    varied: Agent = attrs.evolve(agent, **changes) if changes else agent
    return varied


def _joined(old: object, value: object) -> object:
    match old, value:
        case tuple(), tuple():
            return (*old, *value)
        case dict(), dict():
            return {**old, **value}
        case _:
            return value


def _refusal(agent: Agent, what: str) -> str:
    if isinstance(agent, PluginAgent):
        return (
            f"`{what}` is not for the agent {agent.name!r}, whose options only its package knows:"
            " give them in a PluginAgent"
        )
    hint = "; an `isolation` of its scope can hold it" if what == "sandbox" else ""
    return f"the agent {agent.kind!r} takes no `{what}`{hint}"


def _check(
    sandbox: object, model: object, extra_args: object, extra_env: object, *, billing: object
) -> None:
    for what, value, known in (
        ("sandbox", sandbox, get_args(Access)),
        ("billing", billing, get_args(Billing)),
    ):
        if value is not None and value not in known:
            hint = did_you_mean(value, known) if isinstance(value, str) else ""
            raise ConfigError(f"unknown {what} {value!r}{hint}")
    if model is not None and not isinstance(model, str):
        raise ConfigError(f"`model` must be a text, not {kind_of(model)}")
    if isinstance(extra_args, str | bytes) or not isinstance(extra_args, Sequence):
        raise ConfigError("`extra_args` must be a list of texts")
    if not isinstance(extra_env, Mapping):
        raise ConfigError("`extra_env` must be a mapping of names to texts")
    for text in (*extra_args, *extra_env, *extra_env.values()):
        if not isinstance(text, Secret) and (not isinstance(text, str) or "\0" in text):
            raise ConfigError(f"{text!r} can be no argument or variable of a program")
    for name in extra_env:
        if not name or "=" in name:
            raise ConfigError(f"{name!r} cannot be the name of a variable")
