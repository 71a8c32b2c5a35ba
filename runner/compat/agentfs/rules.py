"""What AgentFS's `workspace.config(…)` says of the programs in a workspace, in our terms.

    sandbox         its programs see and write little but its files; an error if that cannot be
    network         False: none; allow_hosts: these only. Both are a sandbox, too
    max_memory      MiB, of a program with all that it starts
    max_processes   at the same time
    max_cpu         seconds of processor time for each process
    max_disk        MiB that a program may add
    max_runtime     seconds until a program is ended, unless it is run with another `timeout`
    idle_timeout    seconds without output, likewise
    frozen          nothing is changed, restored or run (`freeze`)

They are kept in the project's store and hold for every handle that is got afterwards, of AgentFS's;
runner's own names do not know of them. What AgentFS has besides is refused by name, as it would be
taken for something that holds.
"""

from __future__ import annotations

import json
from typing import Any

import attrs

from runner.errors import ConfigError
from runner.messages import Isolation, Limits
from runner.scopes.making import ScopeOptions
from runner.workspaces.store import Store

MIB = 1 << 20
NOT_HERE = ("owner", "expires", "sandbox_profile", "allow_ports", "template")


@attrs.frozen(kw_only=True)
class Rules:
    """What holds for the programs of a workspace; see this module."""

    sandbox: bool = False
    network: bool = True
    allow_hosts: tuple[str, ...] = ()
    max_memory: int | None = None
    max_processes: int | None = None
    max_cpu: float | None = None
    max_disk: int | None = None
    max_runtime: float | None = None
    idle_timeout: float | None = None
    frozen: bool = False

    def changed(self, **said: Any) -> Rules:
        """With some of them as they are said now.

        Raises:
            ConfigError: one is not here, or cannot be used.
        """
        for name, value in said.items():
            if name in NOT_HERE:
                raise ConfigError(f"config: {name!r} is not there in runner: nothing would hold it")
            if name not in _TYPES:
                raise ConfigError(f"config: there is no {name!r}; there are {', '.join(_TYPES)}")
            kind, words = _TYPES[name]
            is_one = isinstance(value, kind) and isinstance(value, bool) is (kind is bool)
            if not is_one or (kind in {int, _NUMBER} and not value > 0):
                raise ConfigError(f"config: {name} is {value!r}: it must be {words}")
        if "allow_hosts" in said:
            said["allow_hosts"] = tuple(said["allow_hosts"])
        made = attrs.evolve(self, **said)
        made.options()  # which says what cannot be
        return made

    def options(self) -> ScopeOptions:
        """Of a scope in which they hold."""
        options = ScopeOptions()
        limits = Limits(
            memory=None if self.max_memory is None else self.max_memory * MIB,
            processes=self.max_processes,
            cpu=self.max_cpu,
            disk=None if self.max_disk is None else self.max_disk * MIB,
        )
        is_held = self.sandbox or self.allow_hosts or not self.network
        if is_held or limits != Limits():
            options["isolation"] = Isolation(
                mode="auto" if is_held else "none",
                required=True,
                network=self.allow_hosts or ("full" if self.network else "none"),
                limits=limits,
            )
        if self.frozen:
            options["permissions"] = "read-only"
        return options


_NUMBER = (int, float)
_TYPES: dict[str, tuple[Any, str]] = {
    "sandbox": (bool, "true or false"),
    "network": (bool, "true or false"),
    "allow_hosts": ((list, tuple), "a list of hosts"),
    "max_memory": (int, "a number of MiB"),
    "max_processes": (int, "a number"),
    "max_cpu": (_NUMBER, "seconds"),
    "max_disk": (int, "a number of MiB"),
    "max_runtime": (_NUMBER, "seconds"),
    "idle_timeout": (_NUMBER, "seconds"),
}


def read_rules(store: Store, workspace: str) -> Rules:
    """What is kept for a workspace."""
    said = store.facts.get(_name(workspace))
    if said is None:
        return Rules()
    values = json.loads(said)
    return Rules(**{**values, "allow_hosts": tuple(values["allow_hosts"])})


def keep_rules(store: Store, workspace: str, rules: Rules) -> None:
    """Keep them for a workspace."""
    if rules != Rules() or store.facts.get(_name(workspace)) is not None:
        store.facts.set(_name(workspace), json.dumps(attrs.asdict(rules)).encode())


def _name(workspace: str) -> str:
    return f"agentfs workspace {workspace}"
