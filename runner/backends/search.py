"""The rules of glob: what a pattern means, on every backend. Pure.

A pattern is matched against paths from where the search begins: `*` and `?` stay within a name,
`**` spans any directories, `{a,b}`, `[a-z]`, `[!a-z]`, `[[:alpha:]]`. Names that begin with a dot
match only if the pattern's own name begins with one, or with `hidden`. Links are matched and never
entered. A pattern that ends in `/` matches directories only.

Results stand in the order of a walk: sorted by names, a directory's content where it stands.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import re
from collections.abc import Iterator

import attrs
from wcmatch import glob as wcglob

from runner.backends.beneath import Names
from runner.backends.gitignore import Ignored
from runner.backends.walking import Way, Woods, walk
from runner.errors import InvalidPattern
from runner.messages import Found

LONGEST_PATTERN = 32 * 1024  # an argument of a program may have 128 KiB
_FLAGS = wcglob.GLOBSTAR | wcglob.BRACE | wcglob.FORCEUNIX
_MAGIC = frozenset("*?[]{}\\")
_DOT_NAME = re.compile(r"(?:^|[/{,])\\?\.")
# Between two stars of one name, the earliest match is as good as any: there is no way back, and a
# hostile pattern takes no more time than a friendly one.
_TWO_STARS = re.compile(r"\[\^/\]\*\?((?:\\.|\[[^\]]*\]|[^()\[\]\\*?|])+?)(?=\[\^/\]\*\?)")
_BETWEEN = r"(?>[^/]*?\1)"


class UnusablePattern(ValueError):
    """The pattern cannot be used; the text says why."""


@contextlib.contextmanager
def patterns(op: str, pattern: str, scope: str) -> Iterator[None]:
    """Makes an unusable pattern the answer of an operation."""
    try:
        yield
    except UnusablePattern as error:
        hint = f"help(Scope.{op}) says what may be given"
        raise InvalidPattern(op, pattern, str(error), scope=scope, hint=hint) from None


@attrs.frozen(kw_only=True)
class Glob:
    """A compiled glob.

    Attributes:
        base: the names before the first magic one: the walk begins there.
        depth: how many names below `base` a match can have; None = any number.
        dots: whether names with a dot in front can match.
    """

    base: Names
    depth: int | None
    dots: bool
    _regex: re.Pattern[str]
    _directories: bool
    _last: _Last | None

    def matches(self, path: str, *, is_directory: bool = False) -> bool:
        """Whether a path, counted from where the search begins, matches."""
        if self._directories:
            # `**` may be nothing: then this would be the directory where the walk begins.
            return (
                is_directory
                and self._regex.match(path + "/") is not None
                and path != "/".join(self.base)
            )
        return self._regex.match(path) is not None

    def wanted(self, prefix: str, names: list[str]) -> list[str]:
        """Those names of one directory that match, if none of them is a directory."""
        if self._directories:
            return []
        if self._last is not None:
            return self._last.wanted(prefix, names)
        match = self._regex.match
        return [each for each in names if match(prefix + each) is not None]


@attrs.frozen
class _Last:
    """A glob in two: what stands before the last name is matched once for a whole directory."""

    place: re.Pattern[str]
    name: re.Pattern[str]
    suffix: str | None

    def wanted(self, prefix: str, names: list[str]) -> list[str]:
        """Those names that match."""
        if self.place.match(prefix + "x") is None:
            return []
        suffix = self.suffix
        if suffix:
            size = -len(suffix)
            return [each for each in names if each[size:] == suffix]
        if suffix is not None:
            return names
        match = self.name.match
        return [each for each in names if match(each) is not None]


@functools.lru_cache(maxsize=256)
def compile_glob(pattern: str, *, hidden: bool) -> Glob:
    """Compile a glob; UnusablePattern if it cannot be used."""
    require_text(pattern)
    if not pattern:
        raise UnusablePattern("it is empty")
    if pattern.startswith("/"):
        raise UnusablePattern("it begins with '/': give the directory as path=")
    names = [each for each in pattern.split("/") if each not in {"", "."}]
    if ".." in names:
        raise UnusablePattern("it goes up by '..': give the directory as path=")
    clean = "/".join(names) + ("/" if pattern.endswith("/") else "")
    plain = 0
    while plain < len(names) - 1 and not _MAGIC & set(names[plain]):
        plain += 1
    dots = hidden or _DOT_NAME.search(clean) is not None
    return Glob(
        base=tuple(names[:plain]),
        depth=None if "**" in clean else len(names) - plain,
        dots=dots,
        regex=_regex(clean, hidden=hidden),
        directories=pattern.endswith("/"),
        last=_last(names, hidden=hidden, exact=hidden or not dots),
    )


def _last(names: list[str], *, hidden: bool, exact: bool) -> _Last | None:
    """The glob in two; None if its last name is `**`, or braces reach over a `/`."""
    if not names or "**" in names[-1] or any(each.count("{") != each.count("}") for each in names):
        return None
    last = names[-1]
    # Where names with a dot in front are no question, a literal end is all there is to `*.py`.
    suffix = last[1:] if exact and last[0] == "*" and not _MAGIC & set(last[1:]) else None
    return _Last(
        _regex("/".join((*names[:-1], "*")), hidden=hidden), _regex(last, hidden=hidden), suffix
    )


def _regex(glob: str, *, hidden: bool) -> re.Pattern[str]:
    flags = _FLAGS | (wcglob.DOTGLOB if hidden else 0)
    try:
        translated = wcglob.translate(glob, flags=flags)[0]
        return re.compile("|".join(f"(?:{_TWO_STARS.sub(_BETWEEN, each)})" for each in translated))
    except Exception as error:  # noqa: BLE001 - that of too many alternatives has no public name
        raise UnusablePattern(str(error)) from None


def matched(
    woods: Woods, glob: Glob, prefix: str, *, gitignore: bool, above: Ignored | None, limit: int
) -> Found:
    """The first matches in a tree, and how many more there are."""
    way = Way(
        base=glob.base,
        depth=glob.depth,
        hidden=glob.dots,
        gitignore=gitignore,
        above=above,
        wants=glob.wanted,
    )
    every = (
        prefix + path
        for path, kind in walk(woods, way)
        if kind != "directory" or glob.matches(path, is_directory=True)
    )
    paths = tuple(itertools.islice(every, limit))
    return Found(paths=paths, omitted=sum(1 for _ in every))


def require_text(pattern: str) -> None:
    """Raise UnusablePattern for a text that is no pattern of any kind."""
    if "\0" in pattern:
        raise UnusablePattern("it contains a NUL character")
    if len(pattern) > LONGEST_PATTERN:
        raise UnusablePattern(f"it is longer than {LONGEST_PATTERN} characters")
