"""What a caller gives for a session, looked at before the session is made: from values to parts.

What is not here: the parts themselves, and what is given for a turn (sending.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from runner.agents.driver import Access, Agent, Driver
from runner.agents.servers import McpServer, check_servers
from runner.errors import AgentUnavailable, ConfigError
from runner.scopes.permissions import Grant
from runner.sessions.approving import Approvals, Approver
from runner.sessions.recording_file import RecordingFile
from runner.sessions.ruling import Ruling, allows_programs
from runner.strict import kind_of

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FULL: Access = "danger-full-access"


def check_id(name: object) -> str:
    """The id, if a session can have it.

    Raises:
        ConfigError: none can.
    """
    if not isinstance(name, str) or not _ID.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be a session's id: it takes 1 to 100 letters, digits,"
            " dots, underscores and dashes, and begins with a letter or a digit"
        )
    return name


def check_flags(**flags: object) -> None:
    """See whether each is True or False.

    Raises:
        ConfigError: one is neither.
    """
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise ConfigError(f"{name}={value!r}: it is True or False")


def make_servers(
    agent: Agent, driver: Driver, servers: tuple[McpServer, ...]
) -> tuple[McpServer, ...]:
    """The servers of an agent's record, and those that a session is given.

    Raises:
        ConfigError, AgentUnavailable: see `Sessions.make_session`.
    """
    every = check_servers((*getattr(agent, "servers", ()), *servers))
    if every and "mcp" not in driver.abilities:
        names = ", ".join(each.name for each in every)
        raise AgentUnavailable(f"the agent {driver.name!r} takes no MCP servers: {names}")
    return every


def make_recording(
    path: str | os.PathLike[str] | None, agent: Agent, driver: Driver | None
) -> RecordingFile | None:
    """What a session is recorded to.

    Raises:
        ConfigError: see `RecordingFile`.
    """
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike):
        raise ConfigError(f"`recording` must be the path of a file, not {kind_of(path)}")
    if driver is not None:
        raise ConfigError(f"a session of the agent {driver.name!r} cannot be played back")
    return RecordingFile(os.path.abspath(path), agent)


def make_approver(
    agent: Agent,
    driver: Driver,
    approvals: Approvals | None,
    grants: Sequence[Grant],
    directory: str,
) -> Approver:
    """Who has decided what an agent asks for.

    Raises:
        ConfigError, AgentUnavailable: see `Sessions.make_session`.
    """
    can_ask = "approvals" in driver.abilities
    if approvals is not None and not isinstance(approvals, Approvals):
        raise ConfigError(f"`approvals` must be Approvals, not {kind_of(approvals)}")
    if approvals is not None and not can_ask:
        raise AgentUnavailable(f"the agent {driver.name!r} never asks for anything")
    if not allows_programs(grants):
        what = "the permissions of the scope do not allow all programs, and"
        if not can_ask:
            raise ConfigError(
                f"{what} the agent {driver.name!r} is one that they cannot hold: give the session a"
                " scope without them"
            )
        if getattr(agent, "access", "") == FULL:
            raise ConfigError(f"{what} an agent with the access {FULL!r} asks for nothing")
    return Approver(
        ruling=Ruling(tuple(grants), directory) if grants else None,
        approvals=approvals,
        can_rewrite="rewrite" in driver.abilities,
    )
