"""Writes of small files, audited at once, with no look more than the write itself makes.

It is what agents do most. The backend opens the directory and looks what stands there anyway; so
it is told on the way (`WriteSeen`), before anything is changed, and the intent is written then.
Where that does not do (a link on the way, a directory that is to be made, a large file there), it
is audited as all other changes are (auditing.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeAlias

import attrs

from runner import messages as m
from runner.backends.base import LATER, Later
from runner.backends.beneath import Names
from runner.backends.files import SMALL
from runner.errors import RunnerError
from runner.scopes.who import Who
from runner.workspaces.audit_acts import Begun, Doing, Sight
from runner.workspaces.digests import digest_of
from runner.workspaces.trail import Trail
from runner.workspaces.witness import Seen, Spot, TooLarge, Witness

# Told of an open directory, the names of a file in it from the top, and what stands there: whether
# it may be written now.
See: TypeAlias = Callable[[int, Names, os.stat_result | None], bool]
# Writes a file so, unless that would take long.
WriteSeen: TypeAlias = Callable[[m.Write, See], Later | None]


@attrs.frozen
class Writes:
    """Writes at once.

    Attributes:
        write: carries them out.
        trail: where they are written down.
        who: on whose behalf.
        witness: looks at files.
    """

    write: WriteSeen
    trail: Trail
    who: Who
    witness: Witness

    def carry_out(self, message: m.Write) -> Later | None:
        """Write a file, audited; LATER if nothing was begun."""
        begun: Begun | None = None

        def see(directory: int, names: Names, old: os.stat_result | None) -> bool:
            nonlocal begun
            path = "/".join(names)
            try:
                seen = None if old is None else self.witness.file(directory, names[-1], old, SMALL)
            except TooLarge:
                return False
            doing = Doing(operation="write", spots=(Spot(path),))
            begun = self.trail.begin_now(doing, self.who, {path: seen})
            return begun is not None

        try:
            self.write(message, see)
        except RunnerError as error:
            if begun is None:
                return LATER  # it fails there again, and that is written down
            self._failed(begun, error)
            raise
        except BaseException:
            if begun is not None:
                self.trail.drop()
            raise
        if begun is None:
            return LATER
        self.trail.end_now(begun, written(message, begun), True)
        return None

    def _failed(self, begun: Begun, error: RunnerError) -> None:
        try:
            after = self.witness.look(begun.doing.spots)
        except BaseException:
            self.trail.drop()
            raise
        self.trail.end_now(begun, after, False, self.trail.secrets.why(error))


def written(message: m.Write, begun: Begun) -> Sight:
    """What is there when a file was written whole."""
    ((path, old),) = begun.before.items()
    mode = 0 if old is None else old.mode
    return {path: Seen("file", len(message.content), digest_of(message.content), mode)}
