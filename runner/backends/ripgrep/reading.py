"""What ripgrep saw is read again, beneath the directory: nothing of what it says is taken on trust.

Ripgrep opens files by path, so a directory that is swapped for a link while it walks could lead it
out. Therefore each line that it shows is compared with what stands at that place in the file, which
is opened here by descriptor and without following links; what does not stand there is dropped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from runner.backends import records
from runner.backends.beneath import READING
from runner.backends.descent import Descent
from runner.backends.files import is_regular
from runner.backends.ripgrep.said import Hit, Seen, Standing
from runner.backends.threads import breathe, no_collection
from runner.messages import FileMatches, Grep, Matches

WHOLE = 1 << 18  # bytes of a file that is read whole; of larger ones, the lines only
_BREATH = 64  # files
NOTHING = Standing((), ())
_PLAIN = re.compile(r"^(\d+):(\d+):(.*)", re.MULTILINE | re.ASCII)


class Reader:
    """Reads what was seen, and makes the answer of it; for one thread at a time; to be closed."""

    def __init__(self, top: int, message: Grep, prefix: str, *, named: bool) -> None:
        """Nothing is read yet.

        Args:
            top: the directory where ripgrep ran; the caller's.
            message: what was asked for.
            prefix: goes before the names of the answer.
            named: `prefix` is the whole name: one file was asked for.
        """
        self._descent = Descent(top)
        self._message = message
        self._prefix = prefix
        self._named = named
        self._around = message.output == "lines" and bool(message.before or message.after)

    def close(self) -> None:
        """Let go of the directories."""
        self._descent.close()

    def read(self, seen: Iterable[Seen]) -> None:
        """Read what was seen in files, unless that was done."""
        for number, each in enumerate(seen):
            if number % _BREATH == 0:
                breathe()
            if each.standing is None:
                each.settle(self._standing(each))

    def _standing(self, seen: Seen) -> Standing:
        content = _Content.opened(self._descent, seen.names) if seen.kept else None
        if content is None:
            return NOTHING
        try:
            if self._around:
                return self._with_lines_around(seen, content)
            return content.plain(seen) or _standing(content.true(seen.hits()))
        finally:
            content.close()

    def _with_lines_around(self, seen: Seen, content: _Content) -> Standing:
        texts = {int(line): _text(text) for line, _, text in content.true(seen.all())}
        numbers = [number for each in seen.hits() if (number := int(each[0])) in texts]

        def around(start: int, end: int) -> tuple[str, ...]:
            return tuple([texts[each] for each in range(start, end) if each in texts])

        before, after = self._message.before, self._message.after
        return Standing(
            numbers,
            [texts[each] for each in numbers],
            [around(each - before, each) for each in numbers],
            [around(each + 1, each + 1 + after) for each in numbers],
        )

    def answer(self, seen: list[Seen], dropped_lines: int, dropped_files: int) -> Matches:
        """The answer.

        Args:
            seen: all of it, in order.
            dropped_lines: how many more lines were seen.
            dropped_files: how many more files.
        """
        self.read(seen)
        message = self._message
        if message.output == "lines":
            with no_collection():
                return self._lines(seen, dropped_lines)
        found = [each for each in seen if each.standing and each.standing.numbers]
        first = found[: message.limit]
        omitted = dropped_files + len(found) - len(first)
        if message.output == "files":
            return Matches(files=tuple([self._path(each) for each in first]), omitted=omitted)
        counts = [FileMatches(path=self._path(each), lines=each.lines) for each in first]
        return Matches(counts=tuple(counts), omitted=omitted)

    def _lines(self, seen: list[Seen], omitted: int) -> Matches:
        paths: list[str] = []
        numbers: list[int] = []
        texts: list[str] = []
        before: list[tuple[str, ...]] = []
        after: list[tuple[str, ...]] = []
        for each in seen:
            standing = each.standing or NOTHING
            paths += [self._path(each)] * len(standing.numbers)
            numbers += standing.numbers
            texts += standing.texts
            before += standing.before
            after += standing.after
            omitted += each.lines - each.kept
        limit = self._message.limit
        made = records.matches(
            paths[:limit], numbers, texts, *((before, after) if self._around else ())
        )
        return Matches(matches=tuple(made), omitted=omitted + len(paths) - len(made))

    def _path(self, seen: Seen) -> str:
        return self._prefix if self._named else self._prefix + "/".join(seen.names)


def _standing(hits: list[Hit]) -> Standing:
    return Standing([int(each[0]) for each in hits], [_text(each[2]) for each in hits])


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

    def plain(self, seen: Seen) -> Standing | None:
        """The lines, if all is plain ASCII, as it mostly is; else None. The same, in one go."""
        whole = self._whole
        if whole is None or not whole.isascii():
            return None
        said = seen.plain()
        if said is None:
            return None
        numbers, offsets, texts = zip(*_PLAIN.findall(said), strict=True)
        starts = whole.decode("ascii").startswith
        if not all(map(starts, texts, map(int, offsets))):
            return None
        return Standing(list(map(int, numbers)), texts)

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


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "surrogateescape")
    return text[:-1] if text[-1:] == "\r" else text
