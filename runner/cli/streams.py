"""Standard output and standard error: whole lines, and a reader who has gone.

Standard output carries what was asked for; standard error everything else. Both are written by file
descriptor: what is written is out, nothing waits in a buffer for the interpreter's end.
A reader who has gone (`runner check FILE --show | head`) is `OutputClosed`, never a traceback.

Writing blocks until the reader takes it. A command that must not stand still meanwhile (a batch)
writes through `runner.cli.writer`.
"""

from __future__ import annotations

import contextlib
import os

STDOUT = 1
STDERR = 2


class OutputClosed(Exception):
    """The reader of the standard output has gone."""


def write_all(descriptor: int, data: bytes) -> None:
    """Write all of it.

    Raises:
        OutputClosed: there is no reader (any more).
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except (BrokenPipeError, ConnectionResetError):
            raise OutputClosed from None
        except BlockingIOError:  # somebody shares the terminal with us and made it non-blocking
            _wait_writable(descriptor)
        except OSError as exc:
            # EBADF: started with it closed (`>&-`); EIO: the terminal is gone
            raise OutputClosed from exc


def _wait_writable(descriptor: int) -> None:
    import select  # noqa: PLC0415  # hardly ever needed

    select.select([], [descriptor], [])


def encode(text: str) -> bytes:
    """Text as bytes for people and programs; what is no Unicode (surrogates) comes out as `?`."""
    return text.encode("utf-8", "surrogateescape" if _escapes_only(text) else "replace")


def _escapes_only(text: str) -> bool:
    return all(
        not 0xD800 <= ord(char) < 0xDC80 and not 0xDD00 <= ord(char) < 0xE000 for char in text
    )


def put(text: str) -> None:
    """Write a line (or lines) to the standard output.

    Raises:
        OutputClosed: the reader has gone.
    """
    write_all(STDOUT, encode(text + "\n"))


def complain(text: str) -> None:
    """Write a line (or lines) to the standard error; nobody may be listening."""
    with contextlib.suppress(OutputClosed):
        write_all(STDERR, encode(text + "\n"))


def discard_output() -> None:
    """Let what is still written to it vanish: the interpreter flushes at its end."""
    with contextlib.suppress(OSError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDOUT)
        os.close(null)


def occupy_closed() -> None:
    """Put something in the place of standard streams that were closed (`>&-`) before we began.

    Else the next file that is opened gets their number: trio's epoll descriptor, or the ledger.
    Standard output becomes a pipe without a reader: nobody reads it, and that is what it says.
    """
    for descriptor in (0, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            if descriptor == STDOUT:
                reader, place = os.pipe()
                os.close(reader)
            else:
                place = os.open(os.devnull, os.O_RDWR)
            if place != descriptor:
                os.dup2(place, descriptor)
                os.close(place)


def is_terminal(descriptor: int) -> bool:
    """Whether a person looks at it, with a terminal that can move its cursor."""
    return os.isatty(descriptor) and os.environ.get("TERM", "dumb") not in ("", "dumb")
