"""Whether a workspace could be made now: found out before many of them are wanted."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from typing import TYPE_CHECKING

from runner.errors import WorkspaceError
from runner.workspaces.making import check_way, is_in_live_tree

if TYPE_CHECKING:
    from runner.workspaces.shared import Shared

ROOM = 1 << 20  # bytes that have to be free at least: of small files, and rows


async def try_making(shared: Shared, *, is_held: bool) -> str:
    """See whether a workspace could be made of a project's directory; see `Project.try_making`."""
    await shared.open()
    return await shared.means.in_thread(partial(_try, shared, is_held))


def _try(shared: Shared, is_held: bool) -> str:
    place = shared.place("trial")
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(place)) as file:
            file.write(bytes(ROOM))
    except OSError as exc:
        what = f"nothing can be written where workspaces are kept: {exc.strerror}"
        raise WorkspaceError(f"{what} ({shared.directory!r})") from exc
    is_live = is_in_live_tree(shared.base)
    return check_way(shared.base, place, way=shared.means.way, is_live=is_live, is_held=is_held)
