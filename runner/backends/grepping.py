r"""The rules of grep: which files are looked at, what a pattern means, on every backend. Pure.

Lines end in LF or CRLF, which are no part of them. A file that holds a NUL byte is binary and is
skipped; so are links, and (unless `hidden`) what lies in or is a name that begins with a dot. A
file filter without `/` is matched against the name, with one against the path from where the search
begins; types are names of `file_types`, and one of them is enough.

The promised dialect is what Rust's regex crate and Python's `re` have in common and mean alike:
literals, `.` (no CR, no LF), classes with `\d \w \s \b`, `^ $`, groups (also `(?P<name>…)` and
`(?i)`), alternation, greedy and lazy repetition. No look-around, no back-references. With
`multiline` a match may reach over lines (`\n`, `\s`, `(?s:.)`), and every line that it touches is
found.

A hostile pattern takes no more than time linear in the text: see `automaton`.
"""

from __future__ import annotations

import difflib
import functools
import re
import warnings
from collections.abc import Callable, Iterator

import attrs

from runner.backends.automaton import TooLarge, compile_linear, parse, risk_of
from runner.backends.file_types import file_types
from runner.backends.files import TEMPORARY, is_temporary
from runner.backends.search import Glob, UnusablePattern, compile_glob, require_text
from runner.messages import Grep


@attrs.frozen(kw_only=True)
class Sieve:
    """Which files a grep looks at, by their paths from where it begins."""

    hidden: bool
    glob: Glob | None
    by_name: bool
    types: tuple[Glob, ...] | None = None
    by_caller: bool = False

    def takes(self, path: str) -> bool:
        """Whether the file is looked at."""
        if not self.hidden and (path[0] == "." or "/." in path):
            return False
        if TEMPORARY in path and not self.by_caller and any(map(is_temporary, path.split("/"))):
            return False
        if self.glob is not None and not self.glob.matches(
            path.rpartition("/")[2] if self.by_name else path
        ):
            return False
        if self.types is None:
            return True
        name = path.rpartition("/")[2]
        return any(each.matches(name) for each in self.types)

    def named(self) -> Sieve:
        """For a file that the caller named himself: a dot in front hides it no more."""
        return attrs.evolve(self, hidden=True, by_caller=True)


def compile_sieve(message: Grep) -> Sieve:
    """The file filter of a grep; UnusablePattern if the glob or a type cannot be used."""
    glob = message.glob
    return Sieve(
        hidden=message.hidden,
        glob=None if glob is None else compile_glob(glob, hidden=message.hidden),
        by_name=glob is not None and "/" not in glob,
        types=_types(message.types) if message.types else None,
    )


@functools.lru_cache(maxsize=64)
def _types(names: tuple[str, ...]) -> tuple[Glob, ...]:
    return tuple([compile_glob(each, hidden=True) for each in globs_of(names)])


def globs_of(types: tuple[str, ...]) -> list[str]:
    """The globs of file types; UnusablePattern if one is not known."""
    known = file_types()
    for name in types:
        if name not in known:
            near = ", ".join(difflib.get_close_matches(name, known, 3)) or "py, js, rust, …"
            raise UnusablePattern(f"there is no file type {name!r}; there are: {near}")
    return [glob for name in types for glob in known[name]]


def require_grep_pattern(message: Grep) -> None:
    """Raise UnusablePattern for what no backend takes."""
    pattern = message.pattern
    require_text(pattern)
    if "\n" in pattern and not message.multiline:
        raise UnusablePattern("it contains the end of a line: pass multiline=True")
    try:
        pattern.encode()
    except UnicodeEncodeError:
        raise UnusablePattern("it is not valid UTF-8") from None


# What Python's `re` has and the promised dialect has not, outside of classes and escapes.
_TOKEN = re.compile(
    r"""(?P<escape>\\[1-9nrZABG]|\(\?(?:[=!>(]|<[=!]|P=))  # refused
      | \\.                                                # any other escape
      | \[\^?\]?(?:\\.|[^\]\\])*\]                         # a class
      | (?P<possessive>[*+?}]\+)                           # refused
      | (?P<end>\$)
    """,
    re.VERBOSE | re.DOTALL,
)


def compile_grep(message: Grep) -> Callable[[bytes], Iterator[int]]:
    """Which lines (from 0) of a text match, by Python; UnusablePattern if outside the dialect."""
    require_grep_pattern(message)
    pattern = message.pattern
    if message.literal:
        pattern = re.escape(pattern)
    else:
        pattern = _checked(pattern, multiline=message.multiline)
    flags = re.IGNORECASE if message.ignore_case else 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # sets that will mean something else one day
            if message.multiline:
                return _in_text(pattern, flags | re.MULTILINE)
            return _in_lines(pattern, flags)
    except (
        re.error,
        FutureWarning,
        DeprecationWarning,
        RecursionError,
        OverflowError,
        TooLarge,
    ) as error:
        raise UnusablePattern(str(error)) from None


def _checked(pattern: str, *, multiline: bool) -> str:
    """The pattern for Python: what is not in the dialect is refused, `$` is before CRLF, too."""
    pieces: list[str] = []
    place = 0
    for token in _TOKEN.finditer(pattern):
        if token.lastgroup == "end":
            if multiline:
                pieces += [pattern[place : token.start()], r"(?=\r?$)"]
                place = token.end()
        elif token.lastgroup is not None and not (multiline and token.group() == r"\n"):
            raise UnusablePattern(
                f"{token.group()!r}: look-around, back-references, possessive repetition and "
                "the ends of lines are not in the dialect"
            )
    return "".join((*pieces, pattern[place:]))


def _in_lines(pattern: str, flags: int) -> Callable[[bytes], Iterator[int]]:
    parsed = parse(pattern, flags)
    search = parsed.compiled().search
    harmless = risk_of(parsed).harmless
    linear = None if harmless is None else compile_linear(parsed)

    def matching(content: bytes) -> Iterator[int]:
        for number, line in enumerate(raw_lines(content)):
            text = text_of(line)
            if linear is not None and len(text) > (harmless or 0):
                if linear(text):
                    yield number
            elif search(text) is not None:
                yield number

    return matching


def _in_text(pattern: str, flags: int) -> Callable[[bytes], Iterator[int]]:
    parsed = parse(pattern, flags)
    regex = parsed.compiled()
    if risk_of(parsed).endless:
        raise UnusablePattern(
            "repetition within repetition over several lines may take for ever here"
        )

    def matching(content: bytes) -> Iterator[int]:
        text = content.decode("utf-8", "surrogateescape")
        place = number = 0  # what was counted so far
        done = -1  # the last line that was given
        for match in regex.finditer(text):
            start, end = match.span()
            if start == len(text) and text[-1:] in {"\n", ""}:
                return  # behind the last line there is none
            number += text.count("\n", place, start)
            place = start
            last = number + text.count("\n", start, max(end - 1, start))
            yield from range(max(number, done + 1), last + 1)
            done = max(done, last)

    return matching


def is_binary(content: bytes) -> bool:
    """Whether a file is none of lines."""
    return b"\0" in content


def raw_lines(content: bytes) -> list[bytes]:
    """The lines of a text, without LF."""
    lines = content.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def text_of(line: bytes) -> str:
    """A line's text without its end."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")
