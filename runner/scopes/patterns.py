r"""The patterns of permission rules: globs as anchored regular expressions, linear in the text.

Paths:    `**/` any directories or none, `/**` at the end the directory itself and all beneath it,
          `**` any text, `*` any text within a name, `?` one character of a name, `[a-z]`, `[!a-z]`.
Commands: `*` and `**` any text, `?` one character, `[…]` likewise; a command line has no names.

A dot in front of a name is a character like any other. Case counts. There is no escape but a class
of one character (`[*]`). What cannot be understood is `UnusablePattern`, never a pattern that
silently matches nothing: a rule that denies must deny.

Why linear: Python's `re` backtracks, and `*a*a*a*` on a long text would take forever. Each wildcard
is followed by a *run* of fixed length; the first place where the run matches is the best one
whenever another wildcard follows, and the only one otherwise, so the group that seeks it is atomic
(as in CPython's own fnmatch, extended to wildcards that stop at `/`). Pure; no I/O.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Literal

import attrs

LONGEST = 4096  # characters: as long as a path may be

_TOKEN = re.compile(
    r"""(?P<below>/\*\*\Z)                  # a directory and all beneath it
      | (?P<any>(?:(?<=/)|\A)\*\*/)         # any directories
      | (?P<every>\*\*+)                    # any text
      | (?P<star>\*)
      | (?P<one>\?)
      | (?P<class>\[[!^]?\]?[^\]]*\])
      | (?P<open>\[)
      | (?P<plain>[^*?\[/]+|/)
    """,
    re.VERBOSE | re.DOTALL,
)


class UnusablePattern(ValueError):
    """The pattern cannot be used; the text says why."""


@attrs.frozen
class _Run:
    """A wildcard, and the text of fixed length behind it.

    Attributes:
        regex: of that text.
        slashes: how many `/` it has.
    """

    wildcard: Literal["", "*", "**", "**/"]
    regex: str = ""
    slashes: int = 0


@functools.lru_cache(maxsize=1024)
def path_regex(pattern: str) -> re.Pattern[str]:
    """What a pattern means for paths without `.`, `..` or a `/` at the end."""
    names = pattern.removeprefix("/").split("/")
    if pattern != "/" and {"", ".", ".."} & set(names):
        raise UnusablePattern(
            f"{pattern!r}: no path has such a name; for a directory and all in it write 'name/**'"
        )
    runs = [_Run("")]
    below = False
    for kind, text in _tokens(pattern):
        match kind:
            case "star":
                runs.append(_Run("*"))
            case "every":
                runs.append(_Run("**"))
            case "any":
                runs.append(_Run("**/"))
            case "below":
                below = True
            case _:
                old = runs[-1]
                regex = old.regex + _one(kind, text, but="/")
                runs[-1] = _Run(old.wildcard, regex, old.slashes + (text == "/"))
    return re.compile(_assembled(runs, below=below), re.DOTALL)


@functools.lru_cache(maxsize=1024)
def command_regex(pattern: str) -> re.Pattern[str]:
    """What a pattern means for commands."""
    runs = [""]
    for kind, text in _tokens(pattern):
        if kind in {"star", "every"}:
            runs.append("")
        elif kind == "any":  # slashes are nothing special in a command
            runs.append("/")
        elif kind == "below":
            runs[-1] += "/"
            runs.append("")
        else:
            runs[-1] += _one(kind, text, but="")
    first, *rest = runs
    if not rest:
        return re.compile(rf"{first}\Z", re.DOTALL)
    *middle, last = rest
    sought = "".join(f"(?>.*?{run})" for run in middle)
    return re.compile(rf"{first}{sought}(?>.*{last}\Z)", re.DOTALL)


def is_absolute(pattern: str) -> bool:
    """Whether a pattern is about paths from `/`, rather than from the directory of its rules."""
    return pattern.startswith(("/", "**"))


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    if not pattern:
        raise UnusablePattern("the pattern is empty")
    if len(pattern) > LONGEST:
        raise UnusablePattern(f"the pattern is longer than {LONGEST} characters")
    if "\0" in pattern:
        raise UnusablePattern("the pattern contains a NUL character")
    for token in _TOKEN.finditer(pattern):
        kind, text = token.lastgroup or "", token.group()
        if kind == "open":
            raise UnusablePattern(f"{pattern!r}: the '[' is never closed; '[[]' is the character")
        yield kind, text


def _one(kind: str, text: str, *, but: str) -> str:
    """A regular expression of fixed length for what is no wildcard."""
    if kind == "one":
        return f"[^{but}]" if but else "."
    if kind == "class":
        return _class(text, but=but)
    return re.escape(text)


def _class(text: str, *, but: str) -> str:
    negated, inner = text[1] in "!^", text[1:-1]
    inner = inner[1:] if negated else inner
    ahead = f"(?!{but})" if but else ""
    quoted = re.sub(r"([\\\[\]^&~|])", r"\\\1", inner)
    regex = f"{ahead}[{'^' if negated else ''}{quoted}]"
    try:
        re.compile(regex)
    except re.error as error:
        raise UnusablePattern(f"{text!r}: {error}") from None
    return regex


def _assembled(runs: list[_Run], *, below: bool) -> str:
    """All blocks: each begins with a `**` (but the first), and stars may follow in it."""
    blocks: list[list[_Run]] = [[]]
    for run in runs:
        if run.wildcard in {"**", "**/"}:
            blocks.append([])
        blocks[-1].append(run)
    *before, last = blocks
    return "".join(_block(each, end="") for each in before) + _block(
        last, end=r"(?:/.*)?\Z" if below else r"\Z"
    )


def _block(block: list[_Run], *, end: str) -> str:
    first, *stars = block
    if first.wildcard == "**" and not stars and not first.regex and end:
        return r".*\Z"
    body = first.regex + ("" if stars else end)
    for number, each in enumerate(stars, 1):
        # The last star of all must reach the end: its run has one place only.
        body += f"(?>[^/]*?{each.regex}{end if number == len(stars) else ''})"
    if first.wildcard == "":
        return body
    seek = ".*?" if first.wildcard == "**" else "(?:[^/]*/)*?"
    if end == r"\Z":
        # The end fixes how many names are left: only there is the rest tried.
        names = sum(each.slashes for each in block)
        body = rf"(?=[^/]*(?:/[^/]*){{{names}}}\Z){body}"
    return f"(?>{seek}{body})"
