"""The last bytes of a program's two outputs, for any number of followers. Pure; no I/O, no trio.

A follower's position says how much of each output lies behind it. It is where some byte was the
next to come: so its total finds the byte, and what each output had by then is known from there.
Nobody is registered: who does not come back costs nothing.

Rules: at most `max_bytes` are kept; what is dropped is what came first; what a follower is told to
have missed, and what it is given, are together all that came.
"""

from __future__ import annotations

from collections import deque

import attrs

from runner.messages import News, Piece, Position, StreamName

NAMES: dict[int, StreamName] = {1: "stdout", 2: "stderr"}
SMALL = 1 << 12  # pieces up to this size are put together if they follow each other
LARGE = 1 << 16  # and larger ones are cut, so that little is moved when some of one is dropped


@attrs.define(eq=False)
class _Chunk:
    """Bytes of one output, and what both had before them."""

    number: int
    out: int
    err: int
    data: bytearray


class Spool:
    """Keeps what has come last."""

    def __init__(self, max_bytes: int) -> None:
        """Keep so many bytes of both outputs together; 0 only counts."""
        self._max = max(0, max_bytes)
        self._chunks: deque[_Chunk] = deque()
        self._size = 0
        self._seen = [0, 0, 0]

    @property
    def position(self) -> Position:
        """After all that has come."""
        return Position(out=self._seen[1], err=self._seen[2])

    def feed(self, number: int, data: memoryview) -> None:
        """Take the next bytes of output 1 or 2; they are copied as far as they are kept."""
        if len(data) > self._max:  # all else is older
            self._seen[number] += len(data) - self._max
            self._chunks.clear()
            self._size = 0
            data = data[len(data) - self._max :]
        while data:
            self._add(number, data[:LARGE])
            data = data[LARGE:]
        while self._size > self._max:
            self._drop(self._size - self._max)

    def _drop(self, count: int) -> None:
        """Drop the oldest bytes, as many as that at most."""
        first = self._chunks[0]
        if len(first.data) <= count:
            self._size -= len(first.data)
            self._chunks.popleft()
            return
        del first.data[:count]
        self._size -= count
        if first.number == 1:
            first.out += count
        else:
            first.err += count

    def _add(self, number: int, data: memoryview) -> None:
        last = self._chunks[-1] if self._chunks else None
        if last is not None and last.number == number and len(last.data) + len(data) <= SMALL:
            last.data += data
        else:
            _, out, err = self._seen
            self._chunks.append(_Chunk(number, out, err, bytearray(data)))
        self._seen[number] += len(data)
        self._size += len(data)

    def since(self, position: Position, limit: int, *, is_last: bool = False) -> News:
        """What has come since a position, to a limit.

        Args:
            position: where a follower is; one that nobody can be at counts as the oldest.
            limit: bytes to give at most; at least one is given if there is one.
            is_last: whether no more will come.
        """
        recent: list[_Chunk] = []
        for chunk in reversed(self._chunks):
            if chunk.out + chunk.err + len(chunk.data) <= position.total:
                break
            recent.append(chunk)
        recent.reverse()
        now = self.position
        begin = Position(out=recent[0].out, err=recent[0].err) if recent else now
        skip = max(0, position.total - begin.total)
        if skip:  # the position lies within the first
            begin = position
        missed = Position(
            out=max(0, begin.out - position.out), err=max(0, begin.err - position.err)
        )
        pieces: list[Piece] = []
        at = [0, begin.out, begin.err]
        left = max(1, limit)
        for chunk in recent:
            data = bytes(chunk.data[skip : skip + left])
            skip = 0
            pieces.append(Piece(stream=NAMES[chunk.number], data=data))
            at[chunk.number] += len(data)
            left -= len(data)
            if not left:
                break
        after = Position(out=at[1], err=at[2])
        return News(
            pieces=tuple(pieces), position=after, missed=missed, is_last=is_last and after == now
        )

    def kept(self, number: int) -> bytes:
        """What is kept of one output."""
        return b"".join(bytes(each.data) for each in self._chunks if each.number == number)
