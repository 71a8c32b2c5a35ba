"""What is asked of the actor that syncs a workspace: frozen records, each typed by its answer.

All of them are effects: one at a time, in order.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import attrs

from runner.messages import Message
from runner.workspaces.objects import ObjectId
from runner.workspaces.sync.settings import Mode, Settings, Side, Strategy
from runner.workspaces.sync.syncing import Synced


@attrs.frozen(kw_only=True)
class Enable(Message[None]):
    """Sync with a remote from now on, once it was seen to be usable.

    Attributes:
        settings: checked.
        token: as text; empty = it is to be looked up, or there is none.
    """

    settings: Settings
    token: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Configure(Message[None]):
    """Sync in another way from now on; see `Settings`. None = as before."""

    mode: Mode | None = None
    interval: float | None = None
    strategy: Strategy | None = None


@attrs.frozen(kw_only=True)
class Push(Message[Synced]):
    """Make the live tree the remote's newest version."""

    force: bool = False


@attrs.frozen(kw_only=True)
class Pull(Message[Synced]):
    """Take over what the remote has."""


@attrs.frozen(kw_only=True)
class Fetch(Message[ObjectId]):
    """Get an older tree into the store."""

    at: datetime | None = None
    snapshot: str | None = None


@attrs.frozen(kw_only=True)
class Resolve(Message[None]):
    """Decide conflicts.

    Attributes:
        choices: which side, by path.
    """

    choices: Mapping[str, Side]


@attrs.frozen(kw_only=True)
class Disable(Message[None]):
    """Sync no more; what is on the remote stays there."""


@attrs.frozen(kw_only=True)
class Wake(Message[None]):
    """Be there: what is done unasked begins again with the runner."""
