"""What is seen of directories behind permissions: answers without what is denied.

Model. A message is carried out with the caller's own limit. If that left something out, it is
carried out again without a limit, since what is denied must not be counted; then the caller's limit
is applied to what is left. What stands in a hidden directory is hidden with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar, assert_never, cast

import attrs

from runner import messages as m
from runner.backends.base import Backend
from runner.backends.beneath import Names
from runner.backends.straight import Resolved
from runner.backends.threads import breathe, in_thread
from runner.errors import OperationError
from runner.scopes.judging import Bases
from runner.scopes.permissions import Grant, Kind, denies_by_rule, hides

T = TypeVar("T")

Showing: TypeAlias = m.Ls | m.Tree | m.ListKeys | m.Glob | m.Grep
Shown: TypeAlias = m.Listing | m.Drawing | m.Found | m.Matches

ALL = 1 << 40  # a limit that is none
FEW = 200  # names that are judged in trio's own thread: about a millisecond


class Sieve:
    """Lets through what is not denied, of one directory's answers."""

    def __init__(
        self, inner: Backend, grants: Sequence[Grant], bases: Bases, kind: Kind, top: Resolved
    ) -> None:
        """Sift what is found from `top`, by the grants that may hide something."""
        self._inner = inner
        self._grants = grants
        self._bases = bases
        self._kind: Kind = kind
        self._top = top
        self._within: dict[Names, bool] = {(): False}

    async def sift(
        self, message: Showing, answer: Shown, again: Callable[[Showing], Awaitable[Shown]]
    ) -> Shown:
        """The answer without what is hidden, in the caller's names.

        Args:
            message: what was asked for.
            answer: the inner backend's.
            again: asks the inner backend for more.
        """
        if not self._grants:
            return self._named(answer, message)
        if answer.omitted:
            answer = await again(_unlimited(message, self._top.path))
        few = _size(answer) <= FEW
        kept = self._kept(answer) if few else await in_thread(lambda: self._kept(answer))
        per_file = message.per_file if isinstance(message, m.Grep) else None
        return self._named(_cut(kept, message.limit, per_file), message)

    # ---------------------------------------------------------------- judging

    def _kept(self, answer: Shown) -> Shown:
        match answer:
            case m.Listing() | m.Drawing():
                entries = tuple(
                    each
                    for each in answer.entries
                    if not self._hidden(tuple(each.name.split("/")), link=each.type == "link")
                )
                return attrs.evolve(answer, entries=entries)
            case m.Found():
                may_be_links = self._kind == "glob"
                paths = tuple(
                    each
                    for each in answer.paths
                    if not self._hidden(self._below(each), link=may_be_links)
                )
                return attrs.evolve(answer, paths=paths)
            case m.Matches():
                return attrs.evolve(
                    answer,
                    matches=self._files(answer.matches, lambda each: each.path),
                    files=self._files(answer.files, lambda each: each),
                    counts=self._files(answer.counts, lambda each: each.path),
                )
            case _:
                assert_never(answer)

    def _files(self, items: tuple[T, ...], path_of: Callable[[T], str]) -> tuple[T, ...]:
        known: dict[str, bool] = {}
        kept = []
        for each in items:
            path = path_of(each)
            if path not in known:
                known[path] = self._hidden(self._below(path), link=False)
            if not known[path]:
                kept.append(each)
        return tuple(kept)

    def _below(self, path: str) -> Names:
        """The names from the top, of a path that counts from the backend's root."""
        return tuple(path.split("/")[len(self._top.names) :])

    def _hidden(self, below: Names, *, link: bool) -> bool:
        breathe()
        if any(self._in_hidden(below[:depth]) for depth in range(1, len(below))):
            return True
        for grant in self._grants:
            if hides(
                grant.permissions.rules, self._kind, self._bases.spots(grant, self._top, below)
            ):
                return True
        return link and self._leads_to_hidden(below)

    def _in_hidden(self, above: Names) -> bool:
        """Whether a directory on the way is hidden by a rule; a default says nothing of it."""
        known = self._within.get(above)
        if known is None:
            known = self._within[above] = any(
                denies_by_rule(
                    grant.permissions.rules,
                    self._kind,
                    self._bases.spots(grant, self._top, above),
                )
                for grant in self._grants
            )
        return known

    def _leads_to_hidden(self, below: Names) -> bool:
        names = (*self._top.names, *below)
        try:
            way = self._inner.resolve("ls", "/".join(names))
        except OperationError:  # it leads out, or nowhere: nothing that rules are about
            return False
        if way.names == names:
            return False
        return any(
            hides(grant.permissions.rules, self._kind, self._bases.spots(grant, way))
            for grant in self._grants
        )

    # ---------------------------------------------------------------- names

    def _named(self, answer: Shown, message: Showing) -> Shown:
        """The answer with paths as the caller wrote them."""
        if isinstance(answer, m.Drawing):
            return attrs.evolve(answer, path=cast("m.Tree", message).path)
        if self._top.given == self._top.names or isinstance(answer, m.Listing):
            return answer
        if isinstance(answer, m.Found):
            return attrs.evolve(answer, paths=tuple(map(self._as_given, answer.paths)))
        return attrs.evolve(
            answer,
            matches=tuple(self._with_path(answer.matches)),
            files=tuple(map(self._as_given, answer.files)),
            counts=tuple(self._with_path(answer.counts)),
        )

    def _as_given(self, path: str) -> str:
        return "/".join((*self._top.given, *self._below(path)))

    def _with_path(self, items: Iterable[Any]) -> Iterable[Any]:
        return (attrs.evolve(each, path=self._as_given(each.path)) for each in items)


def _size(answer: Shown) -> int:
    match answer:
        case m.Listing() | m.Drawing():
            return len(answer.entries)
        case m.Found():
            return len(answer.paths)
        case m.Matches():
            return len(answer.matches) + len(answer.files) + len(answer.counts)
        case _:
            assert_never(answer)


def _unlimited(message: Showing, path: str) -> Showing:
    """The same message about a resolved path, without limits."""
    if isinstance(message, m.ListKeys):
        return attrs.evolve(message, limit=ALL)
    if isinstance(message, m.Grep):
        return attrs.evolve(message, limit=ALL, path=path, per_file=None)
    return attrs.evolve(message, limit=ALL, path=path)


def _cut(answer: Shown, limit: int, per_file: int | None) -> Shown:
    """The answer within the limits; what goes beyond them is counted."""
    changes: dict[str, object] = {}
    omitted = answer.omitted
    for name in ("entries", "paths", "matches", "files", "counts"):
        items = getattr(answer, name, ())
        kept = items
        if name == "matches" and per_file is not None:
            of_file: Counter[str] = Counter()
            kept = [each for each in items if _next(of_file, each.path) <= per_file]
        kept = tuple(kept[:limit])
        if len(kept) < len(items):
            omitted += len(items) - len(kept)
            changes[name] = kept
    cut: Shown = attrs.evolve(cast("Any", answer), omitted=omitted, **changes)
    return cut


def _next(counter: Counter[str], key: str) -> int:
    counter[key] += 1
    return counter[key]
