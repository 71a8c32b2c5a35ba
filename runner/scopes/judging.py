"""Verdicts on a whole message: each path and command of it, by each of several grants. Pure.

Model. A path comes here resolved (backends/straight.py): it is judged by the names as written and
by the real ones, for every kind that its operation has with it.

A command is judged as a line, by the simple commands in it, and by the files that it plainly names:
a word that rules deny reading, a redirection to what rules deny writing. That finds `cat .env`, but
not what `cat` gets by a variable: for commands, rules are a help, and the sandbox is the boundary.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator

import attrs

from runner.backends.beneath import Names
from runner.backends.straight import Resolved
from runner.scopes.permissions import (
    Grant,
    Kind,
    Ruleset,
    Spot,
    Verdict,
    judge_command,
    judge_spot,
    matching,
)
from runner.scopes.shell import Budget, Script, Simple, TooIntricate, read_script

MOST_WORDS = 1000  # of a command that are looked at as paths
LONGEST_WORD = 4096


@attrs.frozen
class Judged:
    """A verdict, and the path or command that it is about, as the caller wrote it."""

    path: str
    verdict: Verdict


class Bases:
    """The directories that grants were given for, as given and as they really are."""

    def __init__(self, grants: Iterable[Grant], real_path: Callable[[str], str]) -> None:
        """Look up the real paths when they are first needed."""
        self._grants = tuple(grants)
        self._real_path = real_path
        self._known: dict[tuple[str, str], str] = {}

    def spots(self, grant: Grant, resolved: Resolved, below: Names = ()) -> tuple[Spot, ...]:
        """The names by which a grant judges a path, or what lies beneath it."""
        given, names = plain(resolved.given + below), plain(resolved.names + below)
        written = _spot(resolved.root, given, grant.base)
        base = grant.base
        if base is not None:
            key = (base, resolved.real_root)
            if key not in self._known:
                self._known = {each: to for each, to in self._known.items() if each[0] != base}
                self._known[key] = self._real_path(base)
            base = self._known[key]
        real = _spot(resolved.real_root, names, base)
        if not resolved.mounts:
            return (written,) if written == real else (written, real)
        kept = (*_kept(resolved, given, written), *_kept(resolved, names, real))
        return tuple(dict.fromkeys((written, real, *kept)))


def plain(names: Names) -> Names:
    """Names without `..`; what would go above the top is left out, and fails by itself."""
    if ".." not in names:
        return names
    done: list[str] = []
    for name in names:
        if name != "..":
            done.append(name)
        elif done:
            done.pop()
    return tuple(done)


def _kept(resolved: Resolved, names: Names, spot: Spot) -> Iterator[Spot]:
    """The same place by the absolute paths where it is kept, if it is kept elsewhere."""
    for mount in resolved.mounts:
        depth = len(mount.names)
        if names[:depth] == mount.names:
            for root in (mount.root, mount.real_root):
                yield Spot(_joined(root, names[depth:]), spot.relative)
            return


def _joined(root: str, names: Names) -> str:
    inner = "/".join(names)
    return (root.rstrip("/") + "/" + inner if inner else root) or "/"


def _spot(root: str, names: Names, base: str | None) -> Spot:
    absolute = _joined(root, names)
    if base is None:
        return Spot(absolute, "/".join(names) or ".")
    if absolute == base:
        return Spot(absolute, ".")
    above = base.rstrip("/") + "/"
    return Spot(absolute, absolute[len(above) :] if absolute.startswith(above) else None)


def judge(ruleset: Ruleset, kind: Kind, spots: Iterable[Spot]) -> list[Verdict]:
    """A verdict on each name of a path; what is hidden in listings may not be looked at, either."""
    verdicts = []
    for spot in spots:
        verdict = judge_spot(ruleset, kind, spot)
        if kind in {"ls", "glob", "grep"} and verdict.action != "deny":
            rule = matching(ruleset, "read", spot)
            if rule is not None and rule.action == "deny":
                verdict = Verdict(action="deny", kind="read", target=spot.absolute, rule=rule)
        verdicts.append(verdict)
    return verdicts


# ---------------------------------------------------------------- commands


@attrs.frozen
class Line:
    """A command, as far as rules see it.

    Attributes:
        text: as a line.
        commands: the simple commands in it; None = there are too many to be looked at.
        reads: words that may be paths.
        writes: what output is redirected to.
    """

    text: str
    commands: tuple[str, ...] | None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


def line_of(command: str | tuple[str, ...]) -> Line:
    """Read a command."""
    if not isinstance(command, str):
        text = shlex.join(command)
        return Line(text, (text,), tuple(_words(command[1:])))
    script = Script()
    try:
        read_script(command, script, Budget())
    except TooIntricate:
        return Line(command, None)
    reads: list[str] = []
    writes: list[str] = []
    for each in script.commands:
        reads += _words(word.text for word in each.words[1:])
        for operator, word in each.redirects:
            (writes if ">" in operator else reads).append(word.text)
    return Line(
        command,
        tuple(_text(each) for each in script.commands),
        tuple(dict.fromkeys(reads)),
        tuple(dict.fromkeys(writes)),
    )


def _text(simple: Simple) -> str:
    """A simple command as rules see it, with the variables that it is given."""
    words = (*simple.assignments, *simple.words)
    if not words:
        return " ".join(f"{operator} {word.text}" for operator, word in simple.redirects)
    return " ".join(each.text for each in words)


def _words(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if word and len(word) <= LONGEST_WORD and "\0" not in word:
            yield word
            _, equals, value = word.partition("=")
            if equals and value:
                yield value


def judge_line(
    ruleset: Ruleset, line: Line, spots_of: Callable[[str], tuple[Spot, ...] | None]
) -> Iterator[Verdict]:
    """The verdicts on a command.

    Args:
        ruleset: the rules.
        line: the command.
        spots_of: the names of the path that a word says, if it can be one.
    """
    if line.commands is None:
        if ruleset.may("execute", "deny", "ask"):
            # Nobody has looked at all of it, so nothing but a plain "allow" can be said of it.
            yield Verdict(action="deny", kind="execute", target=line.text[:200], rule=None)
        return
    yield judge_command(ruleset, line.text, line.commands)
    kinds: tuple[tuple[Kind, tuple[str, ...]], ...] = (("read", line.reads), ("write", line.writes))
    for kind, words in kinds:
        if not any(rule.action == "deny" for rule in ruleset.of(kind).rules):
            continue
        for word in words[:MOST_WORDS]:
            for spot in spots_of(word) or ():
                rule = matching(ruleset, kind, spot)
                if rule is not None and rule.action == "deny":
                    yield Verdict(action="deny", kind=kind, target=spot.absolute, rule=rule)
