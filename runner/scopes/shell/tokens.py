"""The tokens of a shell, by where they stand: each character begins one. Pure.

Every pattern takes at least one character and is linear: what may be long is a run of one class, or
ends at the first character that it seeks.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["code", "quote", "brace", "arith", "here"]

CONTROL = frozenset(
    [
        "if",
        "then",
        "else",
        "elif",
        "fi",
        "do",
        "done",
        "while",
        "until",
        "!",
        "{",
        "}",
        "in",
        "time",
    ]
)
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*+(?:\[[^]]*+\])?\+?=")
IN_QUOTES = "*?[~"  # what means nothing there
IN_SINGLE_QUOTES = "*?[~$`"


def without_magic(text: str, magic: str) -> str:
    """A text with `_` for some characters; `translate` is slow with what is not ASCII."""
    for each in magic:
        text = text.replace(each, "_")
    return text


_EXPANSIONS = r"""
    | (?P<arith>\$\(\()
    | (?P<subst>\$\()
    | (?P<brace>\$\{)
    | (?P<tick>`)
    | (?P<dollar>\$)
"""
TOKENS: dict[Mode, re.Pattern[str]] = {
    "code": re.compile(
        r"""(?P<blank>[^\S\n]+)
        | (?P<words>(?:[^\s'"\\$`;&|()<>#]++[ \t]++){1,64}+)
        | (?P<plain>[^\s'"\\$`;&|()<>#]++)
        | (?P<newline>\n\s*)
        | (?P<comment>\#)
        | (?P<single>\$?'(?:(?<=\$')(?:[^'\\]|\\.)*|[^']*)'?)
        | (?P<double>\$?")
        | (?P<escape>\\.?)
        | (?P<process>[<>]\()
        | (?P<heredoc><<-?(?!<))
        | (?P<redirect>&>>?|<<<|<>|>>|>\||>&|<&|[<>])
        | (?P<operator>;;&?|;&|&&|\|\||\|&|[;&|])
        | (?P<defines>\([^\S\n]*\))
        | (?P<open>\()
        | (?P<close>\))"""
        + _EXPANSIONS,
        re.VERBOSE | re.DOTALL,
    ),
    "quote": re.compile(
        r"""(?P<text>[^"\\$`]+) | (?P<end>") | (?P<escape>\\.?)""" + _EXPANSIONS,
        re.VERBOSE | re.DOTALL,
    ),
    "brace": re.compile(
        r"""(?P<text>[^}"'\\$`]+) | (?P<end>\}) | (?P<escape>\\.?) | (?P<single>'[^']*'?)
        | (?P<double>")"""
        + _EXPANSIONS,
        re.VERBOSE | re.DOTALL,
    ),
    "arith": re.compile(
        r"""(?P<text>[^()$`]+) | (?P<open>\() | (?P<close>\)\)?)""" + _EXPANSIONS,
        re.VERBOSE | re.DOTALL,
    ),
    "here": re.compile(
        r"""(?P<text>[^\\$`]+) | (?P<escape>\\.?)""" + _EXPANSIONS, re.VERBOSE | re.DOTALL
    ),
}
