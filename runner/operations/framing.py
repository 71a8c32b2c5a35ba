r"""Lines and text from the pieces of a program's output. Sans-IO: pieces in, lines out.

Each output is framed for itself. A line is text without its end (only "\\n" ends one). What is
longer than `LONGEST` comes in parts, so that memory is bounded whatever the program writes. Text is
UTF-8; what is not becomes surrogate escapes, which `encode("utf-8", "surrogateescape")` turns back.
"""

from __future__ import annotations

import attrs

from runner.messages import News, StreamName

LONGEST = 1 << 16


@attrs.frozen(kw_only=True)
class Line:
    """A line of a program's output.

    Attributes:
        stream: which of its outputs.
        text: without the line end.
        is_whole: False if no line end follows it: it is the last, goes on in the next, or was cut
            off by what was missed.
        missed: bytes of this output right before it that came too fast and are not kept.
    """

    stream: StreamName
    text: str
    is_whole: bool = True
    missed: int = 0

    @property
    def data(self) -> bytes:
        """The bytes that it was."""
        return self.text.encode("utf-8", "surrogateescape")


def split_text(data: bytes) -> int:
    """Where bytes can be cut so that no character of UTF-8 is torn at their end."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            break
        if byte >= 0xC0:  # the first byte of a character, of 2, 3 or 4
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
    return len(data)


@attrs.define(eq=False)
class Framer:
    """Makes lines of what follows a position.

    Attributes:
        missed: bytes of both outputs that were missed so far.
    """

    missed: int = 0
    _rest: dict[StreamName, bytes] = attrs.field(factory=dict)
    _gap: dict[StreamName, int] = attrs.field(factory=dict)

    def take(self, news: News) -> list[Line]:
        """The lines that end in some news; at the last, also what has no end."""
        lines: list[Line] = []
        for stream, missed in (("stdout", news.missed.out), ("stderr", news.missed.err)):
            if missed:
                lines += self._cut_off(stream)  # type: ignore[arg-type] # mypy widens the names
                self._gap[stream] = missed  # type: ignore[index]
                self.missed += missed
        for piece in news.pieces:
            lines += self._frame(piece.stream, piece.data)
        if news.is_last:
            lines += [*self._cut_off("stdout"), *self._cut_off("stderr")]
        return lines

    def _frame(self, stream: StreamName, data: bytes) -> list[Line]:
        whole = (self._rest.pop(stream, b"") + data).split(b"\n")
        rest = whole.pop()
        lines: list[Line] = []
        for each in whole:
            lines += self._long(stream, each)
        while len(rest) > LONGEST:
            rest = self._part(stream, rest, lines)
        if rest:
            self._rest[stream] = rest
        return lines

    def _long(self, stream: StreamName, data: bytes) -> list[Line]:
        lines: list[Line] = []
        while len(data) > LONGEST:
            data = self._part(stream, data, lines)
        lines.append(self._line(stream, data, is_whole=True))
        return lines

    def _part(self, stream: StreamName, data: bytes, lines: list[Line]) -> bytes:
        cut = split_text(data[:LONGEST])
        lines.append(self._line(stream, data[:cut], is_whole=False))
        return data[cut:]

    def _cut_off(self, stream: StreamName) -> list[Line]:
        rest = self._rest.pop(stream, b"")
        return [self._line(stream, rest, is_whole=False)] if rest else []

    def _line(self, stream: StreamName, data: bytes, *, is_whole: bool) -> Line:
        text = data.decode("utf-8", "surrogateescape")
        missed = self._gap.pop(stream, 0) if self._gap else 0
        return Line(stream=stream, text=text, is_whole=is_whole, missed=missed)


@attrs.define(eq=False)
class TextTaker:
    """Makes text of what follows a position, without tearing characters."""

    _rest: dict[StreamName, bytes] = attrs.field(factory=dict)

    def take(self, news: News, stream: StreamName, *, torn: bool) -> bytes:
        """The bytes of one output in some news; unless `torn`, they end with a character."""
        data = self._rest.pop(stream, b"")
        data += b"".join(each.data for each in news.pieces if each.stream == stream)
        cut = len(data) if torn or news.is_last else split_text(data)
        if cut < len(data):
            self._rest[stream] = data[cut:]
        return data[:cut]
