"""A commit that is wanted, as the caller said it; checked before anything is done. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import attrs

from runner.errors import ConfigError
from runner.scopes.who import NOBODY, Who
from runner.workspaces.git_index import Strategy
from runner.workspaces.merging import Favour
from runner.workspaces.selecting import Wanted, make_wanted

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
LONGEST = 1 << 16  # characters of a message


@attrs.frozen(kw_only=True)
class Order:
    """A commit that is wanted, as the caller said it; checked.

    Attributes:
        wanted: which paths.
        is_named: they were named by globs, and are meant whatever git ignores.
    """

    message: str
    author: str
    wanted: Wanted
    is_named: bool
    branch: str | None
    strategy: Strategy
    update: bool
    who: Who = NOBODY

    @property
    def favour(self) -> Favour | None:
        """Who wins where both changed the same, as a merge calls them."""
        return {"ours": "ours", "theirs": "theirs"}.get(self.strategy)  # type: ignore[return-value]


def check(
    message: str,
    *,
    author: str | None = None,
    include: Iterable[str] = (),
    exclude: Iterable[str] = (),
    branch: str | None = None,
    strategy: str = "manual",
    update: bool = False,
    who: Who = NOBODY,
) -> Order:
    """What is wanted, if it can be.

    Raises:
        ConfigError: a value is none.
    """
    said = "" if author is None else author
    for what, value in (("message", message), ("author", said)):
        if not isinstance(value, str) or "\0" in value or len(value) > LONGEST:
            raise ConfigError(f"{what}: it has to be a text of at most {LONGEST} characters")
    if not message.strip():
        raise ConfigError("message: it is empty: say what was changed")
    if author is not None and ("\n" in author or not author.strip()):
        raise ConfigError(f'author={author!r}: it is one line, such as "Name <address>"')
    if branch is not None and (not isinstance(branch, str) or not branch):
        raise ConfigError(f"branch={branch!r}: it is the name of a branch")
    if not isinstance(update, bool):
        raise ConfigError(f"update={update!r}: it is True or False")
    return Order(
        message=message,
        author=said,
        wanted=make_wanted(include, exclude),
        is_named=bool(include),
        branch=branch,
        strategy=check_strategy(strategy),
        update=update,
        who=who,
    )


def check_strategy(strategy: str) -> Strategy:
    """One of them.

    Raises:
        ConfigError: it is none.
    """
    for each in STRATEGIES:
        if each == strategy:
            return each
    raise ConfigError(f"strategy={strategy!r}: it is {', '.join(map(repr, STRATEGIES))}")
