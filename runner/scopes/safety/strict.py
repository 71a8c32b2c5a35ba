"""The policy "strict" of the dangerous-command lint: what leaves the directory, too. Pure.

Model. Each rule looks at one simple command (shell.py), at the program's name and its words. First
what is dangerous is sought, in the whole line; then what leaves the working directory. The bodies
of here-documents are text, unless a shell reads them.

This policy refuses much that is harmless (`cd src && make`): it is for callers who give commands of
one kind only. As all of the lint it is no boundary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from runner.scopes.safety.finder import (
    INTERESTING,
    Danger,
    Finder,
    intricate,
    operands,
    options,
    unwrapped,
)
from runner.scopes.safety.footgun import footguns
from runner.scopes.shell import Budget, Simple, TooIntricate, Word

_GCLOUD = re.compile(r"\s*gcloud\s[^;&|\n]*")  # with no other command behind it
_RSYNC = re.compile(r"\brsync\b")

_HINTS = {
    "privileges": "run it without other rights",
    "network": "use the program's own client, such as git or curl, and write to a file",
    "processes": "end processes through whoever started them",
    "machine": "leave the machine as it is; ask whoever runs it",
}
_REFUSED: dict[str, str] = {
    **dict.fromkeys(["sudo", "su", "doas"], "privileges"),
    **dict.fromkeys(["nc", "ncat", "netcat", "telnet", "ftp", "ssh", "scp", "rsync"], "network"),
    **dict.fromkeys(["killall", "pkill"], "processes"),
    **dict.fromkeys(
        [
            "shutdown",
            "reboot",
            "halt",
            "mount",
            "umount",
            "fdisk",
            "mkfs",
            "fsck",
            "iptables",
            "ifconfig",
        ],
        "machine",
    ),
}
_MOVES = frozenset({"cd", "pushd", "popd"})
_PLACES = re.compile(r"(?:PATH|HOME|PWD)=")
_KILL = frozenset(["-9", "-KILL", "-SIGKILL", "-s9", "-sKILL", "-sSIGKILL"])
_FOREVER = re.compile(
    r"while(?<!\wwhile)\s+(?:true|:|1)\b|fork(?<!\wfork)\s*\(\s*\)"  # of what is in small letters
)
_ALL = INTERESTING | _REFUSED.keys() | _MOVES | {"eval", "kill", "init", "chmod", "chown", "ln"}

_Rule = Callable[[Finder, Simple], Danger | None]


def find_strict(command: str | Sequence[str], line: str, *, is_allowed: bool) -> Danger | None:
    """Why a command is refused; None if it is not."""
    finder = Finder(line, Budget())
    try:
        if isinstance(command, str):
            finder.read(command)
        else:
            finder.take(command)
        if not is_allowed:
            is_rsync = _GCLOUD.fullmatch(line) is not None and _RSYNC.search(line) is not None
            found = next(footguns(finder) if is_rsync else _dangers(finder), None)
            if found is not None:
                return found
        return next(_escapes(finder, finder.script.commands), None)
    except TooIntricate:
        return intricate(finder)


def _dangers(finder: Finder) -> Iterator[Danger]:
    forever = _FOREVER.search(finder.command.lower())
    if forever is not None:
        what = "fork" if "fork" in forever[0] else "while"
        yield finder.danger("forever", what, "give the loop an end")
    # The footgun rules also read the scripts that are given to shells.
    yield from footguns(finder)
    for each in finder.script.commands:
        for simple in unwrapped(each, _ALL):
            for rule in _RULES:
                found = rule(finder, simple)
                if found is not None:
                    yield found


def _names(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name.lower()
    group = _REFUSED.get(name.partition(".")[0])  # mkfs.ext4
    return finder.danger("name", name, _HINTS[group]) if group else None


def _hidden(finder: Finder, simple: Simple) -> Danger | None:
    if simple.name == "eval":
        return finder.danger("hidden", "eval", "write the command itself")
    if simple.words and simple.words[0].joined:
        return finder.danger("hidden", simple.name, "write the command's name without quotes")
    for word in _all_words(simple):
        if "$(…)" in word.shape:
            hint = "run the inner command first, and write its result here"
            return finder.danger("substitution", simple.name or "$(…)", hint)
    if simple.substituted:
        hint = "quote the delimiter of the here-document"
        return finder.danger("substitution", simple.name, hint)
    return None


def _removes(finder: Finder, simple: Simple) -> Danger | None:
    if simple.name.lower() != "rm":
        return None
    given = set(options(simple))
    if given & {"r", "R", "f", "--recursive", "--force"} and any(
        set(word.shape) & set("/~*") for word in operands(simple)
    ):
        hint = "name files and directories in the working directory, one by one"
        return finder.danger("rm", "rm", hint)
    return None


def _rights(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name.lower()
    words = [word.text for word in operands(simple)]
    if name == "chmod" and any(each.endswith("777") for each in words):
        return finder.danger("rights", name, "give the rights that are needed, such as 755")
    if name == "chown" and any(each.startswith("root") for each in words):
        return finder.danger("rights", name, "leave the files their owner")
    return None


def _processes(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name.lower()
    words = {word.text for word in simple.words[1:]}
    if name == "kill" and (words & _KILL or ("-s" in words and words & {"9", "KILL", "SIGKILL"})):
        return finder.danger("processes", name, _HINTS["processes"])
    if name == "init" and words & {"0", "6"}:
        return finder.danger("processes", name, _HINTS["machine"])
    if name == "yes" and any(word.text == "/dev/null" for _, word in simple.redirects):
        return finder.danger("forever", name, "it never ends")
    return None


def _links(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name.lower()
    if name == "ln" and {"s", "--symbolic"} & set(options(simple)):
        return finder.danger("link", name, "copy the file")
    if name in {"cp", "mv", "ln"} and any(_goes_up(word) for word in operands(simple)):
        return finder.danger("link", name, "stay in the working directory")
    return None


def _settings(finder: Finder, simple: Simple) -> Danger | None:
    for operator, word in simple.redirects:
        if ">" in operator and word.text.startswith("/etc/"):
            hint = "write to a file in the working directory"
            return finder.danger("settings", simple.name or operator, hint)
    return None


_RULES: tuple[_Rule, ...] = (
    _names,
    _hidden,
    _removes,
    _rights,
    _processes,
    _links,
    _settings,
)


# ---------------------------------------------------------------- leaving the directory


def _escapes(finder: Finder, commands: Sequence[Simple]) -> Iterator[Danger]:
    for each in commands:
        for simple in unwrapped(each, _ALL):
            if simple.name in _MOVES:
                hint = "give the directory as cwd="
                yield _escape(
                    finder, simple.name, "Directory change commands are not allowed", hint
                )
        for word in (*each.assignments, *each.words[1:]):
            if _PLACES.match(word.text) and (each.name == "export" or word in each.assignments):
                hint = "give variables as env="
                yield _escape(finder, each.name, "Command attempts to escape workspace", hint)
        for word in _all_words(each):
            if word.shape.startswith("~") or "$HOME" in word.shape or "${HOME" in word.shape:
                hint = "write paths from the working directory"
                yield _escape(finder, each.name, "Home directory references are not allowed", hint)
            if _goes_up(word):
                hint = "write paths from the working directory"
                yield _escape(finder, each.name, "Parent directory traversal is not allowed", hint)


def _escape(finder: Finder, name: str, reason: str, hint: str) -> Danger:
    return Danger(
        command=finder.command, rule="escape", name=name, reason=reason, hint=hint, kind="escape"
    )


def _goes_up(word: Word) -> bool:
    return "../" in word.text or "..\\" in word.text


def _all_words(simple: Simple) -> Iterator[Word]:
    yield from simple.assignments
    yield from simple.words
    yield from (word for _, word in simple.redirects)
