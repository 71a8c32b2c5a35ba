"""What grants say of a message: its paths are resolved, and each is judged with all beneath it.

Model. Here the files are looked at (by the straight view), and what is seen is given to judging.py.
Where a tree is copied, moved or removed, each name beneath counts, at its source and at its target;
in a batch also what the effects before will have put there.

What this does not do: ask, decide, or carry anything out.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

from runner import messages as m
from runner.backends.base import Backend, Later
from runner.backends.beneath import Names
from runner.backends.straight import Resolved
from runner.errors import InvalidPath, NotFound, OperationError, WrongType
from runner.messages import AnswerT, Message
from runner.scopes.concerns import Slot
from runner.scopes.judging import Bases, Judged, judge, judge_line, line_of
from runner.scopes.permissions import Grant, Kind, Spot
from runner.scopes.sifting import ALL


class Examiner:
    """Looks at messages for several grants.

    Attributes:
        inner: the straight view of the files.
        bases: the directories that the grants were given for.
        follows: whether links are followed before the rules are asked; else they are refused.
    """

    def __init__(self, inner: Backend, grants: Sequence[Grant], *, follows: bool = True) -> None:
        """Nothing is looked at yet."""
        self.inner = inner
        self.grants = tuple(grants)
        self.bases = Bases(self.grants, os.path.realpath)
        self.follows = follows

    async def ask(self, message: Message[AnswerT]) -> AnswerT:
        """Have a message carried out on straight paths, judged by nobody."""
        answer = self.inner.answer_now(message)
        return await self.inner.carry_out(message) if isinstance(answer, Later) else answer

    def resolve(self, op: str, slots: Iterable[Slot]) -> list[Resolved]:
        """Where the paths of a message lead."""
        ways: list[Resolved] = []
        for slot in slots:
            way = self.inner.resolve(op, slot.path, entry=slot.field.entry)
            if not self.follows and way.names != way.given:
                what = "a link is in the way, and whoever asks follows none"
                raise InvalidPath(op, slot.path, what, scope=self.inner.name)
            ways.append(way)
        return ways

    async def judge(
        self, message: Message[Any], slots: Sequence[Slot], ways: Sequence[Resolved]
    ) -> list[list[Judged]]:
        """What each grant says of each path, and of all that lies beneath where that counts."""
        found = [
            [
                Judged(slot.path, verdict)
                for slot, way in zip(slots, ways, strict=True)
                for kind in slot.field.kinds
                for verdict in judge(grant.permissions.rules, kind, self.bases.spots(grant, way))
            ]
            for grant in self.grants
        ]
        if isinstance(message, m.Exec | m.Start):
            self._judge_command(message, ways[0], found)
        placed: list[Names] = []  # in a batch: what those before will have put somewhere
        for number, (slot, way) in enumerate(zip(slots, ways, strict=True)):
            placed.append(way.names)
            if slot.field.whole:
                following = slots[number + 1 : number + 2]
                mirror = ways[number + 1] if following and following[0].field.mirrors else None
                below = await self._judge_beneath(slot, way, mirror, placed, found)
                if mirror is not None:
                    placed += [mirror.names + each for each in below]
        return found

    async def _judge_beneath(
        self,
        slot: Slot,
        way: Resolved,
        mirror: Resolved | None,
        placed: Sequence[Names],
        found: list[list[Judged]],
    ) -> list[Names]:
        """Judge what lies beneath a path, or will; the names of it, from there."""
        concerned = [(kind, way) for kind in slot.field.kinds]
        if mirror is not None:
            concerned.append(("write", mirror))
        kinds: set[Kind] = {"read", "write", "remove"}  # of whatever may follow in a batch
        if not any(
            grant.permissions.rules.may(kind, "deny", "ask")
            for grant in self.grants
            for kind in kinds
        ):
            return []
        depth = len(way.names)
        below = [each[depth:] for each in placed if len(each) > depth and each[:depth] == way.names]
        everything = m.Glob(pattern="**", path=way.path, hidden=True, limit=ALL)
        # Where there is no directory, nothing lies beneath.
        with contextlib.suppress(NotFound, WrongType, InvalidPath):
            paths = (await self.ask(everything)).paths
            below += [tuple(each.split("/")[depth:]) for each in paths]
        for names in below:
            for grant, judged in zip(self.grants, found, strict=True):
                for kind, where in concerned:
                    spots = self.bases.spots(grant, where, names)
                    verdicts = judge(grant.permissions.rules, kind, spots)
                    judged += [
                        Judged(slot.path, each) for each in verdicts if each.action != "allow"
                    ]
        return below

    def _judge_command(
        self, message: m.Exec | m.Start, cwd: Resolved, found: list[list[Judged]]
    ) -> None:
        line = line_of(message.command)
        for grant, judged in zip(self.grants, found, strict=True):

            def spots_of(word: str, grant: Grant = grant) -> tuple[Spot, ...]:
                path = word if word.startswith("/") else "/".join((*cwd.names, word))
                try:
                    return self.bases.spots(grant, self.inner.resolve("exec", path))
                except OperationError:  # it leads out of here: its name is all there is to see
                    outside = os.path.normpath(os.path.join(cwd.real_root, path))
                    return (Spot(outside, None),)

            verdicts = judge_line(grant.permissions.rules, line, spots_of)
            judged += [Judged(line.text, each) for each in verdicts]
