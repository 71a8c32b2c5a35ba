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
from runner.backends.ripgrep.said import Hit, Seen
from runner.backends.threads import breathe
from runner.messages import FileMatches, Grep, Match, Matches

WHOLE = 1 << 18  # bytes of a file that is read whole; of larger ones, the lines only
_BREATH = 64  # files
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

    def _standing(self, seen: Seen) -> list[Match]:
        """What stands there; nothing if the file has vanished, or is no longer what it was."""
        names = seen.names
        if not seen.kept:
            return []
        try:
            directory = self._descent.go(names[:-1])
            fd = os.open(names[-1], READING | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            return []
        try:
            status = os.fstat(fd)
            if not is_regular(status):
                return []
            whole = os.pread(fd, status.st_size, 0) if status.st_size <= WHOLE else None
            path = self._prefix if self._named else self._prefix + "/".join(names)
            if whole is not None and not self._around and whole.isascii():
                plain = _plain(path, seen, whole.decode("ascii"))
                if plain is not None:
                    return plain
            return self._lines(path, seen, _Content(fd, whole))
        except OSError:
            return []
        finally:
            os.close(fd)

    def _lines(self, path: str, seen: Seen, content: _Content) -> list[Match]:
        if not self._around:
            every = content.true(seen.hits())
            return [records.match(path, int(line), _text(text)) for line, _, text in every]
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

    def answer(self, seen: list[Seen], dropped_lines: int, dropped_files: int) -> Matches:
        """The answer.

        Args:
            seen: all of it, in order.
            dropped_lines: how many more lines were seen.
            dropped_files: how many more files.
        """
        self.read(seen)
        output, limit = self._message.output, self._message.limit
        if output == "lines":
            omitted = dropped_lines + sum([each.lines - each.kept for each in seen])
            every = [match for each in seen for match in each.standing or ()]
            matches = tuple(every[:limit])
            return Matches(matches=matches, omitted=omitted + len(every) - len(matches))
        found = [(each.standing[0].path, each.lines) for each in seen if each.standing]
        omitted = dropped_files + max(len(found) - limit, 0)
        if output == "files":
            return Matches(files=tuple([path for path, _ in found[:limit]]), omitted=omitted)
        counts = tuple([FileMatches(path=path, lines=lines) for path, lines in found[:limit]])
        return Matches(counts=counts, omitted=omitted)


def _plain(path: str, seen: Seen, whole: str) -> list[Match] | None:
    """The lines of a file that is plain ASCII, as most are; None if what was said is not.

    The same as by `_Content`, in one go.
    """
    said = seen.plain()
    if said is None:
        return None
    starts = whole.startswith
    return [
        records.match(path, int(line), text)
        for line, offset, text in _PLAIN.findall(said)
        if starts(text, int(offset))
    ]


class _Content:
    """A file that is compared with what was said of it."""

    __slots__ = ("_fd", "_whole")

    def __init__(self, fd: int, whole: bytes | None) -> None:
        self._fd = fd
        self._whole = whole

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
