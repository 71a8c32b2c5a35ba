"""How a session is opened again by somebody who has only its id: its setup, without credentials.

    make_session ──► make_setup ──► the ledger ──► read_setup ──► Opening ──► make_session

What looks like a credential is left out before anything is written: the values of variables with
such names, and whole fields in which one stands. The setup says what was left out; a variable is
taken from the environment of who opens the session, a field only from the agent's own file.

Values only, no I/O.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from runner.agents.driver import Agent, McpServer
from runner.errors import ConfigError
from runner.messages import Isolation
from runner.strict import Mistakes, structure_value
from runner.watching.patterns import DEFAULT_IGNORE

_NAME = re.compile(r"key|token|secret|passw|credential|auth|cookie|bearer", re.IGNORECASE)
_VALUE = re.compile(
    r"bearer\s+\S|\bsk-[\w-]{8}|(key|token|secret|password|passwd|auth\w*)[\"']?\s*[=:]\s*\S"
    r"|://[^/\s:@]+:[^/\s@]+@",
    re.IGNORECASE,
)
# Values of these are names of variables, not what is in them.
_NAMING = (
    "env_key",
    "env_http_headers",
    "bearer_token_env_var",
    "requires_openai_auth",
    "pass_env",
)


@attrs.frozen(kw_only=True)
class Opening:
    """How a session is opened again.

    Attributes:
        agent: the agent's record; None if its fields, or where it came from, are not kept.
        env: the variables of its scope.
        isolation: what holds its program.
        servers: of tools, that it was given.
        ignore: which files' changes do not count.
        watch: whether its directory may be watched for changes.
        workspace: by what the workspace is found in whose live tree it works, and whether its turns
            are in snapshots; None = it works in none.
        withheld: what was left out: `env.NAME`, `agent.env.NAME`, `agent.FIELD`, `agent`,
            `servers`, `permissions`.
    """

    agent: Agent | None
    env: Mapping[str, str]
    isolation: Isolation | None
    servers: tuple[McpServer, ...]
    ignore: tuple[str, ...]
    watch: bool
    withheld: tuple[str, ...]
    workspace: Mapping[str, Any] | None = None


def make_setup(
    agent: Agent | None,
    env: Mapping[str, str],
    isolation: Isolation | None,
    servers: tuple[McpServer, ...] = (),
    *,
    ignore: Sequence[str] = DEFAULT_IGNORE,
    watch: bool = True,
    has_permissions: bool = False,
    workspace: Mapping[str, object] | None = None,
) -> str:
    """The setup of a session, as JSON.

    Args:
        agent: its record; None = only a program of the user's own can make it.
        env: the variables of its scope.
        isolation: what holds its program.
        servers: of tools, that it was given.
        ignore: which files' changes do not count.
        watch: whether its directory may be watched for changes.
        has_permissions: whether its scope has some, which may ask functions.
        workspace: by what the workspace is found again that it works in; None = in none.
    """
    withheld = ["permissions"] if has_permissions else []
    setup: dict[str, object] = {"env": _variables(env, "env", withheld)}
    if agent is None:
        withheld.append("agent")
    else:
        fields = attrs.asdict(agent)
        for name, value in fields.items():
            if isinstance(value, dict):
                fields[name] = _variables(value, f"agent.{name}", withheld)
            elif name not in _NAMING and _has_secret(name, value):
                withheld.append(f"agent.{name}")
        setup["agent"] = {key: fields[key] for key in fields if f"agent.{key}" not in withheld}
    if isolation is not None:
        setup["isolation"] = _said(attrs.asdict(isolation))
    if servers:
        said = [attrs.asdict(each) for each in servers]
        if _has_secret("servers", said):
            withheld.append("servers")
        else:
            setup["servers"] = said
    if tuple(ignore) != DEFAULT_IGNORE:
        setup["ignore"] = [*ignore]
    if not watch:
        setup["watch"] = False
    setup |= {} if workspace is None else {"workspace": dict(workspace)}
    setup["withheld"] = withheld
    return json.dumps(setup)


def read_setup(
    setup: str, environ: Mapping[str, str], session: str, *, has_agent: bool = False
) -> Opening:
    """What a setup says.

    Args:
        setup: as `make_setup` wrote it; empty = nothing is known.
        environ: where variables are taken from whose values were left out.
        session: the session's id, for errors.
        has_agent: the agent is known from elsewhere: what was left out of it is not wanted.

    Raises:
        ConfigError: it is of another version, or a variable that was left out is not set here.
    """
    known: dict[str, Any] = json.loads(setup) if setup else {"withheld": ["agent"]}
    withheld = known.get("withheld", [])
    _fill_in(known, withheld, environ, session, has_agent=has_agent)
    fields: dict[str, Any] = known.get("agent", {})
    if "servers" in withheld:
        raise ConfigError(
            f"the session {session!r} was made with MCP servers that are not kept, as a value of"
            " theirs may be secret: only the program that made it knows them"
        )
    is_whole = not any(each == "agent" or each.count(".") == 1 for each in _of_agent(withheld))
    try:
        return Opening(
            agent=structure_value(fields, Agent) if is_whole and fields and not has_agent else None,  # type: ignore[arg-type]  # a union of records
            env=known.get("env", {}),
            isolation=structure_value(known["isolation"], Isolation)
            if "isolation" in known
            else None,
            servers=structure_value(known.get("servers", []), tuple[McpServer, ...]),
            ignore=structure_value(known.get("ignore", [*DEFAULT_IGNORE]), tuple[str, ...]),
            watch=structure_value(known.get("watch", True), bool),
            withheld=tuple(withheld),
            workspace=known.get("workspace"),
        )
    except Mistakes as exc:
        what = "; ".join(f"{'.'.join(map(str, key))}: {text}" for key, text in exc.mistakes)
        raise ConfigError(f"the setup of the session {session!r} cannot be used: {what}") from exc


def _fill_in(
    known: dict[str, Any],
    withheld: Sequence[str],
    environ: Mapping[str, str],
    session: str,
    *,
    has_agent: bool,
) -> None:
    """Put the values back that were left out of variables.

    Raises:
        ConfigError: one of them is not set here.
    """
    missing: list[str] = []
    for each in withheld:
        where, _, name = each.rpartition(".")
        if where == "env" or (where == "agent.env" and not has_agent):
            if name not in environ:
                missing.append(name)
            else:
                (known if where == "env" else known["agent"])["env"][name] = environ[name]
    if missing:
        raise ConfigError(
            f"the session {session!r} was made with {', '.join(missing)}, which is not kept as it"
            " may be secret: set it in the environment"
        )


def _of_agent(withheld: list[str]) -> list[str]:
    return [each for each in withheld if each == "agent" or each.startswith("agent.")]


def _variables(values: Mapping[str, str], where: str, withheld: list[str]) -> dict[str, str]:
    kept = {}
    for name, value in values.items():
        is_reference = isinstance(value, dict)  # by which a secret is found, and none itself
        if not is_reference and (_NAME.search(name) or _VALUE.search(str(value))):
            withheld.append(f"{where}.{name}")
        else:
            kept[name] = value
    return kept


def _has_secret(name: str, value: object) -> bool:
    """Whether a credential stands in a field, as far as that can be seen."""
    if name == "config" and isinstance(value, str):
        try:
            return _table_has_secret(tomllib.loads(value))
        except tomllib.TOMLDecodeError:
            return True
    if name == "servers" and isinstance(value, tuple | list):
        return any(map(_server_has_secret, value))
    texts = value if isinstance(value, tuple | list) else [value]
    return any(isinstance(each, str) and _VALUE.search(each) is not None for each in texts)


def _server_has_secret(server: Mapping[str, Any]) -> bool:
    withheld: list[str] = []
    for name in ("env", "headers"):
        _variables(server[name], name, withheld)
    return bool(withheld) or _has_secret("", server["command"]) or _has_secret("", server["url"])


def _table_has_secret(table: Mapping[str, object]) -> bool:
    return any(
        _table_has_secret(value)
        if isinstance(value, dict)
        else (isinstance(value, str) and _NAME.search(name)) or _has_secret("", value)
        for name, value in table.items()
        if name not in _NAMING
    )


def _said(value: object) -> object:
    """Without what is None, which records have as a default only."""
    if isinstance(value, Mapping):
        return {key: _said(each) for key, each in value.items() if each is not None}
    return value
