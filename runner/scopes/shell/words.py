"""What a shell lexer reads: words, simple commands, and the budget for looking at them. Pure."""

from __future__ import annotations

import attrs

STEPS = 5_000  # 10 to 30 ms; a line of 15,000 words in it, if they are plain
CHARACTERS = 4_000_000


class TooIntricate(Exception):
    """There is more to look at than the budget allows."""


@attrs.define
class Budget:
    """What may still be looked at: steps of the lexer, and characters."""

    steps: int = STEPS
    characters: int = CHARACTERS

    def take(self, text: str) -> None:
        """Begin with a text."""
        self.characters -= len(text)
        if self.characters < 0:
            raise TooIntricate

    def step(self, count: int = 1) -> None:
        """Take a token, or what takes as long as some."""
        self.steps -= count
        if self.steps < 0:
            raise TooIntricate


@attrs.define(eq=False)
class Word:
    """A word of a command.

    Attributes:
        text: without quotes and escapes; expansions stand as they are written, `$(…)` for
            substitutions.
        shape: the same, with `_` for `*`, `?`, `[`, `~` and `$` that mean nothing for being quoted.
        joined: quotes stand in the middle of it, between letters (`r''m`).
        inner: the commands substituted in it, as indexes into the script: from, to.
    """

    text: str
    shape: str
    joined: bool
    inner: tuple[int, int]


@attrs.define(eq=False, kw_only=True)
class Simple:
    """A simple command.

    Attributes:
        words: without assignments in front and control words.
        piped: its standard input is a pipe of the same line.
        pipeline: commands of one pipeline have the same number.
        redirects: operators with what they name.
        bodies: its here-documents and here-strings.
        substituted: those of them in which something is substituted.
        assignments: `name=value` words in front of it.
    """

    words: tuple[Word, ...]
    piped: bool
    pipeline: int
    redirects: tuple[tuple[str, Word], ...]
    bodies: list[str]
    substituted: list[str]
    assignments: tuple[Word, ...]

    @property
    def name(self) -> str:
        """The program's name without its directory; empty if there are assignments only."""
        return self.words[0].text.rpartition("/")[2] if self.words else ""

    @property
    def text(self) -> str:
        """The words, with a blank between two."""
        return " ".join(each.text for each in self.words)


@attrs.define(eq=False)
class Script:
    """What was read.

    Attributes:
        commands: in the order of their ends; those in a substitution before the one around it.
        functions: names that are defined as functions.
    """

    commands: list[Simple] = attrs.field(factory=list)
    functions: set[str] = attrs.field(factory=set)
