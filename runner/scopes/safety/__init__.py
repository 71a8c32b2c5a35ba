"""The dangerous-command lint: commands that hardly anybody means are refused before they run. Pure.

**This is a lint against accidents and no boundary.** Whoever wants to get around it does so in a
line of Python. What holds a program inside its scope is its isolation.

Model. A command is read by a shell lexer (shell/), so that a mention in quotes is no command, and
a command in a substitution, a here-document for a shell or an `sh -c` is one. Then policies:

- footgun: what destroys far more than was meant, or runs what nobody has seen: `rm -r` of `/`, `~`,
  `*` and the like, `dd` or a redirection onto a disk, a pipe into a shell, a fork bomb.
- strict: also whatever leaves the directory or the machine, changes rights, ends processes, and
  what hides a command: substitutions, `eval` (strict.py).
- off: nothing.

A pattern of `allowed` that is found in the command turns the lint off for it; in strict, leaving
the directory is refused all the same. A line with more parts than the lexer's budget allows is
refused, where it might matter: the time for any line is bounded.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import attrs

from runner.scopes.safety.finder import Danger as Danger
from runner.scopes.safety.finder import Finder, intricate
from runner.scopes.safety.footgun import footguns
from runner.scopes.safety.strict import find_strict
from runner.scopes.shell import Budget, TooIntricate

Policy: TypeAlias = Literal["off", "footgun", "strict"]
POLICIES: tuple[Policy, ...] = ("off", "footgun", "strict")  # each refuses more

OnDangerous: TypeAlias = Callable[[Danger], bool | Awaitable[bool | None] | None]

# Where none of this stands, also with quotes taken away, footgun has nothing to find. What must not
# stand before a word is looked at behind it: so a megabyte takes a fifth of the time.
_WORDS = ("rm", "dd", "source", "eval", "sh", "bash", "zsh", "fish", "dash", "ksh", "ash")
_MAY_MATTER = re.compile(
    "|".join(rf"{each}(?<![\w.-]{each})(?![\w-])" for each in _WORDS)
    + r"|\(\s*\)|/dev/|\.(?<!\S\.)\s"
)


def _may_matter(line: str) -> bool:
    for hiding in "'\"\\":  # many times as fast as `translate` is with what is not ASCII
        line = line.replace(hiding, "")
    return _MAY_MATTER.search(line.lower()) is not None


@attrs.frozen(kw_only=True, cache_hash=True)
class Lint:
    """A policy for the commands of a scope.

    Attributes:
        allowed: regular expressions; a command in which one is found is not looked at.
        on_dangerous: told of a danger; True (also awaited) lets the command run all the same.
    """

    policy: Policy = "footgun"
    allowed: tuple[re.Pattern[str], ...] = ()
    on_dangerous: OnDangerous | None = attrs.field(default=None, eq=id)


def find_danger(
    command: str | Sequence[str],
    policy: Policy = "footgun",
    allowed: Iterable[re.Pattern[str]] = (),
) -> Danger | None:
    """Why a command is refused; None if it is not.

    Args:
        command: a line of shell, or a program with its arguments.
        policy: which rules.
        allowed: a command in which one of these is found is not looked at.
    """
    if policy == "off":
        return None
    line = command if isinstance(command, str) else shlex.join(command)
    is_allowed = any(each.search(line) for each in allowed)
    if policy == "strict":
        return find_strict(command, line, is_allowed=is_allowed)
    if is_allowed or not _may_matter(line):
        return None
    finder = Finder(line, Budget())
    try:
        if isinstance(command, str):
            finder.read(command)
        else:
            finder.take(command)
        return next(footguns(finder), None)
    except TooIntricate:
        return intricate(finder)
