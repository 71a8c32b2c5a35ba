"""What the rules of the lint work on: simple commands, also in scripts in scripts. Pure."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from typing import Literal

import attrs

from runner.scopes.shell import Budget, Script, Simple, Word, read_script
from runner.scopes.shell.tokens import without_magic

SHELLS = frozenset(["sh", "bash", "zsh", "fish", "dash", "ksh", "ash"])
DOWNLOADS = frozenset(["curl", "wget"])
# They run the command behind them; what that is stands somewhere after their own options.
WRAPPERS = frozenset(
    [
        "sudo",
        "doas",
        "env",
        "nohup",
        "nice",
        "ionice",
        "time",
        "timeout",
        "xargs",
        "command",
        "exec",
        "builtin",
        "setsid",
        "stdbuf",
        "chroot",
        "busybox",
        "find",
        "coproc",
        "watch",
        "parallel",
        "flock",
        "unshare",
        "chrt",
        "taskset",
    ]
)

# They run a text: all that they are given, or what follows their `-c`.
_RUN_WORDS = frozenset(["watch", "parallel"])
_RUN_OPTION = frozenset(["su", "runuser", "script"])
INTERESTING = frozenset({"rm", "dd", "trap", *_RUN_WORDS, *_RUN_OPTION, *SHELLS, *DOWNLOADS})


@attrs.frozen(kw_only=True)
class Danger:
    """Why a command is refused.

    Attributes:
        command: the whole of it.
        rule: "rm", "disk", "piped-shell", "fork-bomb", "intricate", or one of strict.
        kind: whether it destroys, or (strict only) leaves the directory.
        name: the program that it is about.
        reason: what is wrong.
        hint: what to do instead.
    """

    command: str
    rule: str
    name: str
    reason: str
    hint: str = ""
    kind: Literal["dangerous", "escape"] = "dangerous"


class Finder:
    """The rules at work on one command."""

    def __init__(self, command: str, budget: Budget) -> None:
        """Nothing is read yet."""
        self.command = command
        self.script = Script()
        self._budget = budget
        self._seen = 0
        self._downloads = [0]  # how many of the first n commands download
        self._in_pipeline: Counter[tuple[int, str]] = Counter()

    def danger(self, rule: str, name: str, hint: str, reason: str = "") -> Danger:
        """A danger of this command."""
        reason = reason or f"dangerous command '{name}' is not allowed"
        return Danger(command=self.command, rule=rule, name=name, reason=reason, hint=hint)

    def read(self, text: str) -> None:
        """Read a text of shell."""
        read_script(text, self.script, self._budget)

    def take(self, argv: Sequence[str]) -> None:
        """Take a program with its arguments: no shell has a hand in it."""
        end = len(self.script.commands)
        words = tuple(
            Word(each, without_magic(each, "*?[~$"), joined=False, inner=(end, end))
            for each in argv
        )
        self.script.commands.append(
            Simple(
                words=words,
                piped=False,
                pipeline=end,
                redirects=(),
                bodies=[],
                substituted=[],
                assignments=(),
            )
        )

    def commands(self) -> Iterator[Simple]:
        """All simple commands, also those in scripts that are given to a shell as text."""
        while self._seen < len(self.script.commands):
            each = self.script.commands[self._seen]
            self._seen += 1
            self._in_pipeline[each.pipeline, each.name] += 1
            yield each
            for text in inner_scripts(each):
                self.read(text)

    def downloads(self, first: int, last: int) -> bool:
        """Whether one of some commands downloads something."""
        commands, sums = self.script.commands, self._downloads
        while len(sums) <= last:
            sums.append(sums[-1] + (commands[len(sums) - 1].name.lower() in DOWNLOADS))
        return sums[last] > sums[first]

    def again(self, simple: Simple) -> bool:
        """Whether its program stood in its pipeline before."""
        return self._in_pipeline[simple.pipeline, simple.name] > 1


def intricate(finder: Finder) -> Danger:
    """A line that is not looked through to its end."""
    reason = "the command has too many parts to be looked through"
    return finder.danger("intricate", "", "write it into a file, and run that", reason)


def unwrapped(simple: Simple, names: Container[str] = INTERESTING) -> Iterator[Simple]:
    """A command, and what it runs if it is one that runs another, of those that matter."""
    yield simple
    if simple.name.lower() not in WRAPPERS:
        return
    for number, word in enumerate(simple.words[1:], 1):
        name = word.text.rpartition("/")[2].lower()
        if name in names:
            inner = attrs.evolve(simple, words=simple.words[number:], redirects=())
            # xargs and find give no standard input to what they run.
            yield attrs.evolve(inner, piped=simple.piped and simple.name not in {"xargs", "find"})
            return


def inner_scripts(simple: Simple) -> Iterator[str]:
    """Texts that a command gives to a shell: `sh -c`, `su -c`, `eval`, a here-document."""
    for each in unwrapped(simple):
        name = each.name.lower()
        if name == "eval":
            yield " ".join(word.text for word in each.words[1:])
        elif name in _RUN_WORDS:  # what they run without a shell is found as what others run is
            yield from (word.text for word in operands(each) if " " in word.text)
        elif name == "trap":
            yield from (word.text for word in itertools.islice(operands(each), 1))
        elif name in _RUN_OPTION:
            yield from _option_values(each, "-c", "--command")
        if name not in SHELLS:
            continue
        script, given = shell_arguments(each)
        if script is not None:
            yield script.text
        elif not given:
            yield from each.bodies


def _option_values(simple: Simple, *names: str) -> Iterator[str]:
    words = [word.text for word in simple.words[1:]]
    for word, following in itertools.zip_longest(words, words[1:]):
        name, equals, value = word.partition("=")
        if word in names and following is not None:
            yield following
        elif equals and name in names:
            yield value


def shell_arguments(simple: Simple) -> tuple[Word | None, list[Word]]:
    """What follows a shell's `-c`, and its operands; `-s` and `-` are none."""
    words = list(simple.words[1:])
    for number, word in enumerate(words):
        text = word.text
        if text in {"-s", "--"}:
            return None, [] if text == "-s" else words[number + 1 :]
        if text.startswith("-") and not text.startswith("--") and text.endswith("c"):
            return (words[number + 1] if number + 1 < len(words) else None), []
        if not text.startswith(("-", "+")):
            return None, words[number:]
    return None, []


def options(simple: Simple) -> Iterator[str]:
    """The letters of the short options of a command, and its long ones."""
    for word in simple.words[1:]:
        if word.text == "--":
            return
        if word.text.startswith("--"):
            yield word.text.partition("=")[0]
        elif word.text.startswith("-"):
            yield from set(word.text[1:])


def operands(simple: Simple) -> Iterator[Word]:
    """The words of a command that are no options."""
    only = False
    for word in simple.words[1:]:
        if only or not word.text.startswith("-"):
            yield word
        elif word.text == "--":
            only = True
