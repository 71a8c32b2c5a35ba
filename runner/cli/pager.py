"""A pager for what is long, as git has one: only on a terminal, `$PAGER` or `less`.

An empty PAGER, `cat`, or a program that is not there, is none. `less` gets `LESS=FRX` unless the
environment says otherwise: what fits on the screen is not paged, and colours are. Who leaves the
pager has seen enough: that is no error. While it is there, Ctrl-C is the pager's.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterable

from runner.cli.streams import STDOUT, OutputClosed, encode, is_terminal, write_all

_SHELL = re.compile(r"[^\w\s./=+-]")  # more than a program and its options


def page(pieces: Iterable[str], *, is_wanted: bool = True) -> None:
    """Let pieces of text be read.

    Args:
        pieces: each with its line ends.
        is_wanted: whether there may be a pager.

    Raises:
        OutputClosed: there is no pager, and the reader has gone.
    """
    pager = find_pager() if is_wanted else ""
    if not pager:
        for each in pieces:
            write_all(STDOUT, encode(each))
        return
    environ = {"LESS": "FRX", "LV": "-c", **os.environ}
    before = signal.signal(signal.SIGINT, _leave_it)  # SIG_IGN would be inherited by the pager
    try:
        # The user's own words, for a shell, as every program takes PAGER.
        process = subprocess.Popen(["/bin/sh", "-c", pager], stdin=subprocess.PIPE, env=environ)
        assert process.stdin is not None
        try:
            for each in pieces:
                write_all(process.stdin.fileno(), encode(each))
        except OutputClosed:
            pass
        finally:
            process.stdin.close()
            process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def _leave_it(_number: int, _frame: object) -> None:
    """The pager has it as well."""


def find_pager() -> str:
    """The pager that is to be used, as a line for a shell; empty = none."""
    if not is_terminal(STDOUT):
        return ""
    pager = os.environ.get("PAGER")
    if pager is None:
        pager = "less" if shutil.which("less") else ""
    pager = pager.strip()
    is_there = shutil.which(pager.split()[0]) if pager else None  # what is said is not to be lost
    return "" if pager == "cat" or not (is_there or _SHELL.search(pager)) else pager
