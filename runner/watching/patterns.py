"""Which paths are left out when files are looked at: what a caller says in patterns.

    `*`, `?`, `[...]`, `{a,b}` and `**` are as in a shell with globstar
    a pattern without a slash is one for names at any depth
    `name/**` leaves out all that is below, `name` also the directory of that name, and `name/`
    only directories

What is left out as a directory is not even looked into. What is not here: looking.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence

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
    own: str = ""  # a file of ours, by its plain path

    def omits_directory(self, path: str) -> bool:
        """Whether nothing below this directory counts."""
        return path in self.below or (
            self.directories is not None and self.directories.fullmatch(path) is not None
        )

    def omits_file(self, path: str) -> bool:
        """Whether this file does not count."""
        if path[path.rfind("/") + 1 :].startswith(TEMPORARY):
            return True
        if path == self.own:
            return True
        return self.files is not None and self.files.fullmatch(path) is not None


def make_rules(patterns: Sequence[str]) -> Rules:
    """Read patterns.

    Raises:
        ConfigError: one of them cannot be meant, or they are not several.
    """
    if isinstance(patterns, str):  # each letter would be a pattern
        raise ConfigError(f"ignore: it is a list of patterns: did you mean [{patterns!r}]?")
    if not isinstance(patterns, Iterable):
        raise ConfigError(f"ignore: {patterns!r} is no list of patterns")
    given = tuple(patterns)
    for pattern in given:
        _check(pattern)
    return _make_rules(given)


@functools.lru_cache(maxsize=64)  # most sessions have the same
def _make_rules(patterns: tuple[str, ...]) -> Rules:
    below = [pattern.removesuffix("/**") for pattern in patterns if pattern.endswith("/**")]
    plain = [path for path in below if not set(path) & set("*?[\\{!")]
    others = [pattern for pattern in patterns if not pattern.endswith("/**")]
    return Rules(
        below=frozenset(plain),
        directories=_make_regex(
            [path for path in below if path not in plain]
            + [pattern.removesuffix("/") for pattern in others]
        ),
        files=_make_regex([pattern for pattern in others if not pattern.endswith("/")]),
    )


def _check(pattern: object) -> None:
    if not isinstance(pattern, str) or not pattern or "\0" in pattern:
        raise ConfigError(f"ignore: {pattern!r} is no pattern of paths")
    parts = pattern.removesuffix("/").split("/")
    if not {"", ".", ".."} & set(parts):
        return
    meant = "/".join(part for part in parts if part not in ("", "."))
    hint = f"; did you mean {meant!r}?" if meant and ".." not in parts else ""
    raise ConfigError(
        f"ignore: {pattern!r}: patterns are relative to the session's directory{hint}"
    )


def _make_regex(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    from wcmatch import glob  # noqa: PLC0415 - not needed for the default patterns

    flags = glob.GLOBSTAR | glob.DOTGLOB | glob.BRACE | glob.MATCHBASE
    try:
        found, _ = glob.translate(list(patterns), flags=flags)
    except Exception as exc:  # noqa: BLE001 - what it raises has no public name
        raise ConfigError(f"ignore: patterns that cannot be used: {exc}") from None
    return re.compile("|".join(f"(?:{each})" for each in found))
