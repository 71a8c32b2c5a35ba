"""What is left of a text when its secrets are taken out. Pure; linear in the text.

Taken out are: the values of variables whose names sound like secrets (given by whoever redacts);
what is assigned to such a name in the text itself (`API_KEY=…`, `--password …`, `token: …`); tokens
of common make; user and password in a URL; private keys. That is a help: a secret that looks like
nothing in particular, or is given away in pieces, passes.

Why linear: every pattern begins where no other match of it can begin within its run (a look-behind)
and repeats possessively, so that no character is looked at more than a few times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

HIDDEN = "[redacted]"
SHORT = 6  # characters of a value that is taken out only where it stands as a word

_NAME = re.compile(
    r"secret|token|passw|passphrase|api_?key|apikey|access_?key|private_?key|credential"
    r"|(?:^|_)(?:auth|authorization|cookie|key|pwd|pass|pat|dsn)(?:$|_)",
    re.IGNORECASE,
)
# A word and what may stand between it and its value; whether it sounds secret is asked afterwards.
_WORD = re.compile(
    r"""(?<![\w-])(?P<name>[A-Za-z_-][\w-]{0,127}+)(?P<between>['"]?(?:=|:\s?)|\s)"""
)
_VALUE = re.compile(
    r"""(?:(?:Bearer|Basic)\s)?(?:'[^'\n]*+'?|"[^"\n]*+"?|[^\s'"&;|]++)""", re.IGNORECASE
)
_TOKENS = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
        sk-[A-Za-z0-9_-]{16,}+                              # OpenAI, Anthropic
      | gh[pousr]_[A-Za-z0-9]{20,}+ | github_pat_\w{20,}+   # GitHub
      | glpat-[\w-]{16,}+                                   # GitLab
      | xox[abeoprs]-[A-Za-z0-9-]{10,}+                     # Slack
      | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])            # AWS
      | AIza[\w-]{30,}+                                     # Google
      | hf_[A-Za-z0-9]{20,}+ | npm_[A-Za-z0-9]{20,}+ | pypi-[\w-]{20,}+
      | [rs]k_(?:live|test)_[A-Za-z0-9]{16,}+               # Stripe
      | eyJ[\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]++)?             # JSON web tokens
    )""",
    re.VERBOSE,
)
_BEARER = re.compile(r"(?i)(?<!\w)(?P<scheme>bearer|basic)\s(?P<value>[\w.~+/=-]{8,}+)")
_USER = re.compile(r"(?<=://)[^/\s@]{1,1024}+(?=@)")
_PRIVATE = re.compile(
    r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def sounds_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret."""
    return _NAME.search(name.replace("-", "_")) is not None


def secret_values(env: Mapping[str, str]) -> frozenset[str]:
    """The values of the variables whose names sound like secrets."""
    return frozenset(value for name, value in env.items() if value and sounds_secret(name))


class Redactor:
    """Takes given values, and what looks like a secret, out of texts."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        """Longer values first, so that none leaves the end of another behind."""
        every = sorted(
            {each for each in values if each.strip()}, key=lambda each: (-len(each), each)
        )
        words = [
            re.escape(each) if len(each) >= SHORT else rf"(?<!\w){re.escape(each)}(?!\w)"
            for each in every
        ]
        self._values = re.compile("|".join(words)) if words else None

    def redact(self, text: str) -> str:
        """The text without them."""
        if self._values is not None:
            text = self._values.sub(HIDDEN, text)
        text = _PRIVATE.sub(HIDDEN, text)
        text = _USER.sub(HIDDEN, text)
        text = _TOKENS.sub(HIDDEN, text)
        text = _BEARER.sub(lambda found: f"{found['scheme']} {HIDDEN}", text)
        return _without_assigned(text)


def _without_assigned(text: str) -> str:
    """The text without the values that are assigned to names that sound like secrets."""
    pieces: list[str] = []
    done = place = 0
    while (found := _WORD.search(text, place)) is not None:
        place = found.end()
        name, between = found["name"], found["between"]
        # `--password x` gives a value; `print token x` does not.
        if (between.isspace() and not name.startswith("-")) or not sounds_secret(name):
            continue
        value = _VALUE.match(text, place)
        if value is not None:
            pieces += [text[done:place], HIDDEN]
            done = place = value.end()
    return "".join((*pieces, text[done:]))
