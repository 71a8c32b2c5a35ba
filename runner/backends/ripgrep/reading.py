"""What ripgrep saw is read again, beneath the directory: nothing of what it says is taken on trust.

Ripgrep opens files by path, so a directory that is swapped for a link while it walks could lead it
out. Therefore each line that it shows is compared with what stands at that place in the file, which
is opened here by descriptor and without following links; what does not stand there is dropped.
"""

from __future__ import annotations

import os
import re

from runner.backends import records
from runner.backends.beneath import READING
from runner.backends.descent import Descent
from runner.backends.files import is_regular
from runner.backends.ripgrep.said import Hit, Seen
from runner.backends.threads import breathe, no_collection
from runner.messages import FileMatches, Grep, Match, Matches

WHOLE = 1 << 18  # bytes of a file that is read whole; of larger ones, the lines only
_BREATH = 64  # files
_PLAIN = re.compile(r"^(\d+):(\d+):(.*)", re.MULTILINE | re.ASCII)


def read_again(
    top: int, seen: list[Seen], dropped: tuple[int, int], message: Grep, prefix: str, *, named: bool
) -> Matches:
    """The answer to `Grep`.

    Args:
        top: the directory where ripgrep ran.
        seen: what it saw, in order.
        dropped: how many more lines, and files, it saw.
        message: what was asked for.
        prefix: goes before the names of the answer.
        named: `prefix` is the whole name: one file was asked for.
    """
    reader = _Reader(message)
    descent = Descent(top)
    try:
        with no_collection():
            for number, each in enumerate(seen):
                if number % _BREATH == 0:
                    breathe()
                content = _Content.opened(descent, each.names)
                if content is None:
                    continue
                try:
                    reader.take(each, content, prefix if named else prefix + "/".join(each.names))
                finally:
                    content.close()
    finally:
        descent.close()
    return reader.answer(*dropped)


class _Content:
    """A file that is compared with what was said of it."""

    __slots__ = ("_fd", "_whole")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._whole = os.pread(fd, size, 0) if size <= WHOLE else None

    @classmethod
    def opened(cls, descent: Descent, names: tuple[str, ...]) -> _Content | None:
        """A regular file; None if it has vanished, or is no longer what it was."""
        try:
            directory = descent.go(names[:-1])
            fd = os.open(names[-1], READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if is_regular(status):
                return cls(fd, status.st_size)
        except OSError:
            pass
        os.close(fd)
        return None

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def plain_matches(self, seen: Seen, path: str) -> list[Match] | None:
        """The matches, if all is plain ASCII, as it mostly is; else None. The same, in one go."""
        whole = self._whole
        if whole is None or not whole.isascii():
            return None
        said = seen.plain()
        if said is None:
            return None
        starts = whole.decode("ascii").startswith
        return [
            records.match(path, int(line), text)
            for line, offset, text in _PLAIN.findall(said)
            if starts(text, int(offset))
        ]

    def true(self, hits: list[Hit]) -> list[Hit]:
        """Those of the lines that stand where they are said to stand."""
        whole = self._whole
        if whole is None:
            return [each for each in hits if self._has(each[2], int(each[1]))]
        starts = whole.startswith
        # A last line without an end is shown with one: with `--crlf`, with a CR.
        return [
            each
            for each in hits
            if starts(each[2], int(each[1])) or whole[int(each[1]) :] + b"\r" == each[2]
        ]

    def _has(self, text: bytes, offset: int) -> bool:
        there = os.pread(self._fd, len(text), offset)
        return there == text or there + b"\r" == text


class _Reader:
    """Makes an answer of what was seen and is true."""

    def __init__(self, message: Grep) -> None:
        self._message = message
        self._around = bool(message.before or message.after)
        self._limit = message.limit
        self._omitted = 0
        self._matches: list[Match] = []
        self._files: list[FileMatches] = []

    def take(self, seen: Seen, content: _Content, path: str) -> None:
        """Take what is true of one file."""
        if self._message.output != "lines":
            if content.true(seen.hits()):
                self._files.append(FileMatches(path=path, lines=seen.lines))
            return
        matches = self._matches_of(path, seen, content)
        room = self._limit - len(self._matches)
        if len(matches) > room:
            self._omitted += len(matches) - room
            matches = matches[:room]
        self._omitted += seen.lines - seen.kept
        self._matches += matches

    def _matches_of(self, path: str, seen: Seen, content: _Content) -> list[Match]:
        if self._around:
            return self._with_lines_around(path, seen, content)
        plain = content.plain_matches(seen, path)
        if plain is not None:
            return plain
        return [
            records.match(path, int(line), _text(text))
            for line, _, text in content.true(seen.hits())
        ]

    def _with_lines_around(self, path: str, seen: Seen, content: _Content) -> list[Match]:
        texts = {int(line): _text(text) for line, _, text in content.true(seen.all())}
        before, after = self._message.before, self._message.after
        return [
            Match(
                path=path,
                line=number,
                text=texts[number],
                before=tuple(
                    [texts[each] for each in range(number - before, number) if each in texts]
                ),
                after=tuple(
                    [texts[each] for each in range(number + 1, number + after + 1) if each in texts]
                ),
            )
            for number in [int(each[0]) for each in seen.hits()]
            if number in texts
        ]

    def answer(self, dropped_lines: int, dropped_files: int) -> Matches:
        """The answer."""
        output = self._message.output
        if output == "lines":
            return Matches(matches=tuple(self._matches), omitted=self._omitted + dropped_lines)
        first = tuple(self._files[: self._limit])
        omitted = dropped_files + len(self._files) - len(first)
        if output == "counts":
            return Matches(counts=first, omitted=omitted)
        return Matches(files=tuple([each.path for each in first]), omitted=omitted)


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape")
    return text[:-1] if text[-1:] == "\r" else text
