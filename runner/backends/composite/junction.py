"""What everything that a composite does stands on: spots, asking members, standing directories.

Members answer in their own terms; what leaves here carries the caller's path and the composite's
name. Nothing here knows a particular operation but `Stat`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import attrs

from runner import messages as m
from runner.backends.beneath import USABLE, UnusablePath, fail
from runner.backends.composite.routes import Route, Routes, Spot
from runner.backends.failures import translate
from runner.errors import (
    InvalidPath,
    InvalidPattern,
    NotFound,
    OperationError,
    PermissionDenied,
    WrongType,
)
from runner.messages import AnswerT, Message

# What a member says where it has no directory: nothing there, something else, or a link that leads
# to itself or is not to be followed.
NO_DIRECTORY = (NotFound, WrongType, InvalidPath)
_SAME: Mapping[str, str] = MappingProxyType({})


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(eq=False)
class Junction:
    """The routes of a composite, and what errors call it.

    Attributes:
        made: since when standing directories are there.
    """

    routes: Routes
    name: str
    made: datetime = attrs.field(factory=_now)

    def spot(self, op: str, path: str) -> Spot:
        """Where a caller's path leads."""
        try:
            return self.routes.spot(path)
        except UnusablePath as error:
            raise InvalidPath(op, path, str(error), scope=self.name, hint=USABLE) from None
        except OSError as error:
            raise translate(error, op, path, self.name) from None

    def error(self, op: str, path: str, code: int) -> OperationError:
        """An error as the operating system would give it."""
        return translate(fail(code), op, path, self.name)

    async def ask(
        self,
        route: Route,
        message: Message[AnswerT],
        written: Mapping[str, str] = _SAME,
        patterns: Mapping[str, str] = _SAME,
    ) -> AnswerT:
        """Ask a member; its errors become ours.

        Args:
            route: whom.
            message: with the member's paths.
            written: the caller's texts for those (others are called what we call them).
            patterns: the caller's texts for patterns that were changed.
        """
        try:
            return await route.member.ask(message)
        except OperationError as error:
            if isinstance(error, InvalidPattern):
                error.scope, error.path = self.name, patterns.get(error.path or "", error.path)
            else:
                self.ours(error, route, written)
            raise

    def ours(self, error: OperationError, route: Route, written: Mapping[str, str] = _SAME) -> None:
        """Put an error of a member in the caller's terms."""
        error.scope = self.name
        if error.path is not None:
            error.path = written.get(error.path) or self.routes.outside(route, error.path)

    def is_one_members(self, spot: Spot) -> bool:
        """Whether all at and below a spot is one member's."""
        return not self.routes.is_standing(spot.names) and not self.routes.below(spot.names)

    async def stat(self, spot: Spot, message: m.Stat) -> m.FileStat:
        """What stands at a spot; where a route stands or leads through, a directory does."""
        try:
            found = await self.ask(
                spot.route, attrs.evolve(message, path=spot.path), {spot.path: message.path}
            )
        except NO_DIRECTORY:
            if not self.routes.is_standing(spot.names):
                raise
            found = None
        if self.routes.is_standing(spot.names) and (found is None or found.type != "directory"):
            return m.FileStat(type="directory", size=0, mode=0o755, modified=self.made)
        assert found is not None
        return found

    def require_movable(self, op: str, path: str, spot: Spot) -> None:
        """Raise if a route stands at a spot or below it: that can be neither moved nor removed."""
        if self.routes.is_standing(spot.names):
            what = "a route stands there, or below it"
            raise PermissionDenied(op, path, what, scope=self.name, hint="name what is inside it")
