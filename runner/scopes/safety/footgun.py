"""The policy "footgun" of the lint: what destroys far more than was meant. Pure.

Model. Each rule looks at one simple command: `rm -r` of all that is here, of a home or of the top
of the machine; a write onto a disk; a shell that runs what is piped into it; a fork bomb. What is
named below the working directory, or deep in the machine, is the caller's business.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from runner.scopes.safety.finder import (
    DOWNLOADS,
    SHELLS,
    Danger,
    Finder,
    operands,
    options,
    shell_arguments,
    unwrapped,
)
from runner.scopes.shell import Simple

PIPED_DOWNLOAD = (
    "Piping downloads to shell is dangerous. Download to a file first (e.g., 'curl -O <url>'), "
    "inspect it, then execute if safe."
)

_HOME = r"~[\w.-]*|\$HOME|\$\{HOME\}"
_TOP = re.compile(
    rf"""(?:/|/[^/]+|/home/[^/]+|/\*|/[^/]+/\*|{_HOME}|(?:{_HOME})/\*?   # machine, home
       |(?:\./|\.\./)*(?:\*+|\.|\.\.|\.\*|\.\[.*|\{{\*.*)                # all that is here
       |\$\w+/\*?|\$\{{\w+\}}/\*?|\$\(…\)/\*?                             # `/` if that is empty
    )/*""",
    re.VERBOSE,
)
_DISK = re.compile(r"/dev/(?!(?:null|zero|full|tty|std(?:in|out|err)|fd/.*|shm/.*|pts/.*)$)")


def footguns(finder: Finder) -> Iterator[Danger]:
    """What the policy "footgun" finds."""
    for each in finder.commands():
        for simple in unwrapped(each):
            found = (
                _removes_much(finder, simple)
                or _writes_a_disk(finder, simple)
                or _runs_what_is_piped(finder, simple)
                or _bombs(finder, simple)
            )
            if found is not None:
                yield found


def _removes_much(finder: Finder, simple: Simple) -> Danger | None:
    if simple.name.lower() != "rm":
        return None
    given = set(options(simple))
    if not given & {"r", "R", "--recursive", "--no-preserve-root"}:
        return None
    for word in operands(simple):
        shape = re.sub(r"/{2,}", "/", word.shape)
        if shape.startswith("/") and "/.." in shape:
            shape = posixpath.normpath(shape)
        if _TOP.fullmatch(shape):
            hint = "name the directories and files to remove, below the working directory"
            if shape.startswith("$") and "HOME" not in shape:
                hint = "an empty variable makes this '/': write ${NAME:?}, or the directory's name"
            return finder.danger("rm", "rm", hint)
    return None


def _writes_a_disk(finder: Finder, simple: Simple) -> Danger | None:
    hint = "write to a file in the working directory"
    if simple.name.lower() == "dd":
        for word in simple.words[1:]:
            if word.text.startswith("of=") and _DISK.match(word.text[3:]):
                return finder.danger("disk", "dd", hint)
    for operator, word in simple.redirects:
        if operator in {">", ">>", ">|", "&>", "&>>", "<>"} and _DISK.match(word.text):
            return finder.danger("disk", simple.name or operator, hint)
    return None


def _runs_what_is_piped(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name.lower()
    runs = [word for word in simple.words[1:] if finder.downloads(*word.inner)]
    if runs and (name in SHELLS or name in {"eval", "source", "."}):
        return finder.danger("piped-shell", name, "", PIPED_DOWNLOAD)
    if name not in SHELLS or not simple.piped:
        return None
    script, given = shell_arguments(simple)
    if script is not None or given:
        return None
    for each in finder.script.commands:
        if each.pipeline == simple.pipeline and each.name.lower() in DOWNLOADS:
            return finder.danger("piped-shell", name, "", PIPED_DOWNLOAD)
    hint = "write the script to a file, look at it, and run that file"
    return finder.danger("piped-shell", name, hint)


def _bombs(finder: Finder, simple: Simple) -> Danger | None:
    name = simple.name
    if name not in finder.script.functions:
        return None
    if name == ":" or (simple.piped and finder.again(simple)):
        hint = "a function that starts itself twice fills the machine with processes"
        return finder.danger("fork-bomb", name, hint)
    return None
