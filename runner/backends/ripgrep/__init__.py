"""grep on a local directory: ripgrep says where, we read what stands there.

Model. `rg` runs in the directory itself (its working directory is our descriptor) and names files,
lines and offsets; its output is read as it comes, in bounded memory (said.py). What it names is
read again beneath the directory before anything of it is answered (reading.py), while ripgrep goes
on. The pattern is
given as `--regexp=…`, so it can never become an option (command.py). Which files are searched is
decided by the rules of `grepping`.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence

import trio

from runner.backends.beneath import Beneath
from runner.backends.ripgrep.command import RipgrepFailed, arguments, program
from runner.backends.ripgrep.command import failures as failures
from runner.backends.ripgrep.reading import Reader
from runner.backends.ripgrep.said import Sighting, names_of
from runner.backends.search import UnusablePattern
from runner.backends.threads import in_thread, no_collection
from runner.messages import Grep, Matches
from runner.processes.host import ProcessHost

_RECEIVE = 1 << 18
_STDERR = 1 << 14


async def grep(
    host: ProcessHost,
    top: Beneath,
    message: Grep,
    takes: Callable[[str], bool],
    *,
    ignored: Sequence[str],
    only: str | None,
    prefix: str,
) -> Matches:
    """Run ripgrep in an open directory and read what it saw.

    Args:
        host: runs it.
        top: where it runs.
        message: what is asked for.
        takes: which files count, by their paths from there.
        ignored: directories below it in which no file counts.
        only: looks at that one name only; then `prefix` is what the answer calls it.
        prefix: goes before the names of the answer.
    """
    wanted = takes if only is None else lambda path: path == only and takes(path)
    sighting = Sighting(message, wanted)
    reader = Reader(top.fd, message, prefix, named=only is not None)
    said = bytearray()
    command = [program(), *arguments(message, only=only, ignored=ignored), "--", "./"]

    async def listen(stream: trio.abc.ReceiveStream) -> None:
        while data := await stream.receive_some(_STDERR):
            said.extend(data[: max(_STDERR - len(said), 0)])

    def take(data: bytes) -> None:
        with no_collection():
            fresh = sighting.feed(data)
            if not sighting.is_overfull:  # then all of it will be answered
                fresh.sort(key=names_of)
                reader.read(fresh)

    def answer() -> Matches:
        with no_collection():
            return reader.answer(*sighting.finish())

    with contextlib.closing(reader):
        async with host.open_process(command, cwd=top.fd, env={}, stdin=b"") as process:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, process.stderr)
                # While we read what it saw, ripgrep goes on until the pipe is full.
                while data := await process.stdout.receive_some(_RECEIVE):
                    await in_thread(functools.partial(take, bytes(data)))
            code = await process.wait()
        _require_success(code, bytes(said))
        return await in_thread(answer)


def _require_success(code: int, said: bytes) -> None:
    # 1: nothing matched. 2 with nothing to complain of: a file or directory could not be read.
    if code not in {0, 1} and not (code == 2 and not said):
        text = said.decode("utf-8", "replace").strip()
        if code == 2:
            raise UnusablePattern(text.removeprefix("rg: "))
        raise RipgrepFailed(f"ripgrep ended with {code}: {text}")
