"""Which paths are left out when files are looked at: what a caller says in patterns.

    `*`, `?`, `[...]`, `{a,b}` and `**` are as in a shell with globstar
    a pattern without a slash is one for names at any depth
    `name/**` leaves out all that is below, and `name` also the directory of that name

What is left out as a directory is not even looked into. What is not here: looking.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

import attrs

from runner.errors import ConfigError

DEFAULT_IGNORE = (".git/**",)

# Our own files that stand beside those that an atomic write is about to replace.
TEMPORARY = ".runner-tmp-"


@attrs.frozen
class Rules:
    """Patterns, sorted by what can be asked of them cheaply."""

    below: frozenset[str]  # directories by their plain path: nearly always all there is
    directories: re.Pattern[str] | None
    files: re.Pattern[str] | None

    def omits_directory(self, path: str) -> bool:
        """Whether nothing below this directory counts."""
        return path in self.below or (
            self.directories is not None and self.directories.fullmatch(path) is not None
        )

    def omits_file(self, path: str) -> bool:
        """Whether this file does not count."""
        if path[path.rfind("/") + 1 :].startswith(TEMPORARY):
            return True
        return self.files is not None and self.files.fullmatch(path) is not None


@functools.lru_cache(maxsize=64)  # most sessions have the same
def make_rules(patterns: tuple[str, ...]) -> Rules:
    """Read patterns.

    Raises:
        ConfigError: one of them cannot be meant.
    """
    for pattern in patterns:
        _check(pattern)
    below = [pattern.removesuffix("/**") for pattern in patterns if pattern.endswith("/**")]
    plain = [path for path in below if not set(path) & set("*?[\\{!")]
    others = [pattern for pattern in patterns if not pattern.endswith("/**")]
    return Rules(
        below=frozenset(plain),
        directories=_make_regex([path for path in below if path not in plain] + others),
        files=_make_regex(others),
    )


def _check(pattern: object) -> None:
    if not isinstance(pattern, str) or not pattern or "\0" in pattern:
        raise ConfigError(f"ignore: {pattern!r} is no pattern of paths")
    if pattern.startswith("/"):
        raise ConfigError(
            f"ignore: {pattern!r}: patterns are relative to the session's directory; "
            f"did you mean {pattern.lstrip('/')!r}?"
        )


def _make_regex(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    from wcmatch import glob  # noqa: PLC0415 - not needed for the default patterns

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.MATCHBASE
    found, _ = glob.translate(list(patterns), flags=flags)
    return re.compile("|".join(f"(?:{each})" for each in found))
