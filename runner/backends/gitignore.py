r"""The rules of `.gitignore` files, as ripgrep reads them. Pure.

Model. A file's lines become `Rules`; an `Ignored` is the rules of one directory and of those above
it. What is asked is whether an entry is ignored: the last rule of the deepest file that says
anything about it decides. A directory that is ignored is not entered, so nothing in it can be
brought back.

A rule: `#` begins a comment, `!` brings back, a `/` before the end anchors at the file's
directory, a `/` at the end means directories only, `\` takes the meaning of what follows. `*` and
`?` stay within a name, `**/`, `/**/`, `/**` span directories; `[a-z]`, `[!a-z]` and (unlike git)
`{a,b}`. A rule that cannot be understood is none. Names are bytes.
"""

from __future__ import annotations

import functools
import itertools
import os
import re

import attrs

LONGEST_RULE = 1000  # characters; a longer one is none
MOST_RULES = 10_000
# What a regular expression engine may try in turn is bounded, or a hostile rule would hold us up.
MOST_SPANS = 4  # `**` in a rule, and stars within braces
MOST_BRANCHES = 256  # ways through all braces of a rule


class NoRule(ValueError):
    """The line is no rule that can be understood."""


@attrs.frozen
class _Rule:
    regex: re.Pattern[bytes]
    ignores: bool
    directories: bool


class Rules:
    """The rules of one file, the last first."""

    __slots__ = ("_any", "_rules")

    def __init__(self, content: bytes) -> None:
        """Read a file's lines; as ripgrep, stop at the first that is not UTF-8."""
        rules: list[_Rule] = []
        for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")[:MOST_RULES]:
            try:
                rule = _parse(line.decode())
            except UnicodeDecodeError:
                break
            except NoRule:
                continue
            if rule is not None:
                rules.append(rule)
        self._rules = rules[::-1]
        # Most names meet no rule: one regular expression says so.
        every = b"|".join(b"(?:%s)" % each.regex.pattern for each in rules)
        self._any = re.compile(every, re.DOTALL)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def says(self, path: bytes, *, is_directory: bool) -> bool | None:
        """Whether a path from the file's directory is ignored; None if no rule is about it."""
        if self._any.fullmatch(path) is None:
            return None
        for each in self._rules:
            if (is_directory or not each.directories) and each.regex.fullmatch(path):
                return each.ignores
        return None


@attrs.frozen
class Ignored:
    """The rules that hold in a directory.

    Attributes:
        rules: of the directory's own file.
        strip: how much of a path (from where the walk began) leads to the directory.
        lead: what goes before such a path, if the directory is above where the walk began.
        above: the rules of the directories above it.
    """

    rules: Rules
    strip: int = 0
    lead: str = ""
    above: Ignored | None = None

    def takes(self, path: str, *, is_directory: bool) -> bool:
        """Whether a path (from where the walk began) is ignored."""
        level: Ignored | None = self
        while level is not None:
            raw = os.fsencode(level.lead + path[level.strip :])
            verdict = level.rules.says(raw, is_directory=is_directory)
            if verdict is not None:
                return verdict
            level = level.above
        return False


@functools.lru_cache(maxsize=256)
def rules_of(content: bytes) -> Rules:
    """The rules in a file's content."""
    return Rules(content)


def _parse(line: str) -> _Rule | None:
    if line.startswith("#"):
        return None
    if not line.endswith("\\ "):
        line = line.rstrip()
    if not line or len(line) > LONGEST_RULE:
        return None
    ignores, anchored = True, False
    if line.startswith(("\\!", "\\#")):
        line = line[1:]
    else:
        if line.startswith("!"):
            ignores, line = False, line[1:]
        if line.startswith("/"):
            anchored, line = True, line[1:]
    directories = line.endswith("/")
    if directories:
        line = line[:-1].removesuffix("\\")
    if not anchored and "/" not in line and line != "**":
        line = "**/" + line
    if line.endswith("/**"):
        line += "/*"
    return _Rule(re.compile(_Translation(line).regex, re.DOTALL), ignores, directories)


_PREFIX, _SUFFIX, _MIDDLE = b"(?:/?|.*/)", b"/.*", b"(?:/|/.*/)"
_STAR = b"[^/]*"


class _Translation:
    """A rule's glob as a regular expression on bytes, token by token as `globset` does it."""

    def __init__(self, glob: str) -> None:
        self._rest = list(reversed(glob))
        self._before = ""
        # The branches of each `{…}` we are in; the outermost has one. A branch is its tokens.
        self._stack: list[list[list[bytes]]] = [[[]]]
        self._spans = 0
        self._ways = 1
        while self._rest:
            before, character = self._before, self._bump()
            self._take(character, before)
        if len(self._stack) > 1:
            raise NoRule("an open brace")
        tokens = self._stack[0][0]
        self.regex = b".*" if tokens == [_PREFIX] else _joined(tokens)

    def _bump(self) -> str:
        self._before = self._rest.pop()
        return self._before

    def _next(self) -> str | None:
        return self._rest[-1] if self._rest else None

    def _push(self, *tokens: bytes) -> None:
        self._stack[-1][-1].extend(tokens)

    def _take(self, character: str, before: str) -> None:
        if character == "?":
            self._push(b"[^/]")
        elif character == "*":
            self._star(before)
        elif character == "[":
            self._class()
        elif character == "{":
            self._stack.append([[]])
        elif character == "}":
            self._close()
        elif character == "," and len(self._stack) > 1:
            self._stack[-1].append([])
        else:
            if character == "\\":
                if not self._rest:
                    raise NoRule("nothing to take the meaning of")
                character = self._bump()
            self._push(re.escape(character.encode()))

    def _close(self) -> None:
        if len(self._stack) < 2:
            raise NoRule("a brace that was not opened")
        branches = [_joined(each) for each in self._stack.pop()]
        filled = [each for each in branches if each]
        self._ways *= len(filled) or 1
        if self._ways > MOST_BRANCHES:
            raise NoRule("too many branches")
        self._push(b"(?:%s)" % b"|".join(filled) if filled else b"")

    def _one_star(self) -> None:
        if len(self._stack) > 1:
            self._count_span()
        self._push(_STAR)

    def _count_span(self) -> None:
        self._spans += 1
        if self._spans > MOST_SPANS:
            raise NoRule("too many stars")

    def _star(self, before: str) -> None:
        if self._next() != "*":
            return self._one_star()
        self._bump()
        self._count_span()
        nested = len(self._stack) > 1
        if not self._stack[-1][-1]:
            if self._next() not in {None, "/"}:
                return self._one_star()
            if self._rest:
                self._bump()
            return self._push(_PREFIX)
        if before != "/" and not (nested and before in {",", "{"}):
            return self._one_star()
        following = self._next()
        if following is None or (nested and following in {",", "}"}):
            token = _SUFFIX
        elif following == "/":
            self._bump()
            token = _MIDDLE
        else:
            return self._one_star()
        last = self._stack[-1][-1].pop()
        self._push(last if last in {_PREFIX, _SUFFIX} else token)
        return None

    def _class(self) -> None:
        negated = self._next() in {"!", "^"}
        if negated:
            self._bump()
        ranges: list[list[str]] = []
        in_range, first = False, True
        while True:
            if not self._rest:
                raise NoRule("an open class")
            character = self._bump()
            if character == "]" and not first:
                break
            if character == "-" and not first and not in_range:
                in_range = True
            elif in_range:
                ranges[-1][1] = character
                if ranges[-1][0] > character:
                    raise NoRule("a range that goes down")
                in_range = False
            else:
                ranges.append([character, character])
            first = False
        if in_range:
            ranges.append(["-", "-"])
        parts = b"".join(
            _member(low) + (b"" if low == high else b"-" + _member(high)) for low, high in ranges
        )
        self._push(b"[%s%s]" % (b"^" if negated else b"", parts))


def _joined(tokens: list[bytes]) -> bytes:
    """Tokens in a row. Between two stars the earliest match is as good as any: no way back."""
    stars = [place for place, each in enumerate(tokens) if each == _STAR]
    joined = list(tokens)
    for here, there in itertools.pairwise(stars):
        between = tokens[here + 1 : there]
        if not any(each.startswith((b"(?", b"/.")) for each in between):
            joined[here] = b"(?>[^/]*?" + b"".join(between) + b")"
            joined[here + 1 : there] = [b""] * len(between)
    return b"".join(joined)


def _member(character: str) -> bytes:
    """A character in a class; one of several bytes cannot be in a range, and is its bytes."""
    return b"".join(b"\\x%02x" % byte for byte in character.encode())
