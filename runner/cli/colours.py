"""Colours for people: only on a terminal, never with NO_COLOR (no-color.org), or as they say."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, TypeAlias, TypeVar

import click

from runner.cli.streams import STDOUT, is_terminal

When: TypeAlias = Literal["auto", "always", "never"]
CommandT = TypeVar("CommandT", bound=Callable[..., object])

SIGNS = {"@": "cyan", "+": "green", "-": "red"}  # of lines
CODES = {"A": "green", "M": "yellow", "D": "red", "R": "cyan"}  # of changes


def colour(command: CommandT) -> CommandT:
    """When there are colours."""
    return click.option(
        "--color",
        "colour",
        type=click.Choice(["auto", "always", "never"]),
        default="auto",
        help="When there are colours.  [auto: on a terminal]",
    )(command)


def has_colours(when: When = "auto") -> bool:
    """Whether what goes to the standard output has colours."""
    if when == "auto":
        return is_terminal(STDOUT) and not os.environ.get("NO_COLOR")
    return when == "always"


def paint(text: str, colour: str, *, bold: bool = False) -> str:
    """A text in a colour."""
    return click.style(text, fg=colour or None, bold=bold or None)


def paint_diff(text: str) -> str:
    """The unified diff of a file, as git colours it."""
    lines = text.split("\n")
    begin = next((at for at, each in enumerate(lines) if each.startswith("@@ ")), len(lines))
    painted = [click.style(each, bold=True) if each else "" for each in lines[:begin]]
    painted += [_painted(each) for each in lines[begin:]]
    return "\n".join(painted)


def _painted(line: str) -> str:
    colour = SIGNS.get(line[:1])
    return click.style(line, fg=colour) if colour else line
