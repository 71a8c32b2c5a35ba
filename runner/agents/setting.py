"""What a session tells an agent's driver: where a program is started, and what holds for a turn.

Values only, checked where they are made; `runner.agents.driver` passes their names on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

from runner.agents.servers import McpServer

Access: TypeAlias = Literal["read-only", "workspace-write", "danger-full-access"]

# What an agent is told whose program asks where nobody can be asked.
UNATTENDED = (
    "Refused: this session runs unattended and nobody can be asked for permission."
    " Do not try this again; go on without it, or say at the end what could not be done."
)


@attrs.frozen(kw_only=True)
class Origin:
    """What a conversation that begins is a copy of.

    Attributes:
        conversation: the id by which the program knows it.
        history: the program's own file of it, an absolute path: what `Driver.history` finds.
        marker: after which turn, as its `TurnEnded` said it; empty = its end.
    """

    conversation: str
    history: str
    marker: str = ""


@attrs.frozen(kw_only=True)
class TurnOptions:
    """What holds for one turn.

    Attributes:
        access: what it may do; None = as the agent's record says.
        schema: the JSON schema of its final answer; None = any text.
    """

    access: Access | None = None
    schema: Mapping[str, object] | None = None


PLAIN = TurnOptions()

# How many characters a prompt may have where the program knows no limit of its own: below 10 MB.
MAX_PROMPT = 9_999_999


@attrs.frozen(kw_only=True)
class Setting:
    """Where a program is started.

    Attributes:
        cwd: the directory that the conversation is about, absolute.
        private: an own directory of this session, absolute, mode 0700: HOME and configuration.
        conversation: the id of the conversation to resume, or the one to begin with.
        resume: whether that conversation has been begun before.
        history: the program's own file of the one to resume: what `Driver.history` finds; empty =
            it is not known.
        real: `cwd` with links followed; empty = it is known to be the same.
        prompt: the prompt, for a driver whose process serves one turn only.
        turn: the number of that turn, from 1.
        options: what holds for the turns of this process, as far as they do not say it themselves.
        origin: for a conversation that has not been begun before, what it is a copy of.
        servers: what it may use, and no others than those and the agent record's.
        approvals: somebody decides what the program asks for. If not, the program is told to ask
            nobody, as far as it can be told; what it asks all the same has to be refused.
        files: what it asks for of files (`ReadAsked`, `WriteAsked`) is done.
        guarded: with `approvals`, it is to ask before every command that it does not take to be
            harmless, also where its own sandbox would hold it.
        nested: it is started inside an isolation of ours, in which it can make a sandbox of its
            own, but mount no /proc for it.
    """

    cwd: str
    private: str
    conversation: str
    resume: bool
    history: str = ""
    real: str = ""
    prompt: str = ""
    turn: int = 1
    options: TurnOptions = PLAIN
    origin: Origin | None = None
    servers: tuple[McpServer, ...] = ()
    approvals: bool = False
    files: bool = False
    guarded: bool = False
    nested: bool = False
