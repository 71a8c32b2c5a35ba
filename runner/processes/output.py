"""What is kept of a stream that may be endless: its head, its tail, and an exact count.

`Capture` takes any number of bytes in any pieces and never holds more than `max_bytes` of them:
the first half of that for ever, and a ring with the last half. While nothing had to be dropped, the
two together are the whole stream.

It does no I/O and knows nothing of where the bytes come from.
"""

from __future__ import annotations

from runner.messages import Output


class Capture:
    """The head and the tail of one stream, in bounded memory."""

    __slots__ = ("_at", "_head", "_head_max", "_ring", "_seen", "_tail_max")

    def __init__(self, max_bytes: int) -> None:
        """Keep at most `max_bytes` bytes, the odd one in the head; 0 only counts."""
        self._head_max = max(0, max_bytes + 1) // 2
        self._tail_max = max(0, max_bytes) // 2
        self._head = bytearray()
        self._ring = bytearray()
        self._at = 0  # where in the full ring the next byte goes, which is where the oldest is
        self._seen = 0

    @property
    def size(self) -> int:
        """How many bytes have come in all."""
        return self._seen

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes of the stream; they are copied as far as they are kept."""
        self._seen += len(data)
        room = self._head_max - len(self._head)
        if room > 0:
            self._head += data[:room]
            if len(data) <= room:
                return
            data = memoryview(data)[room:]
        self._feed_ring(memoryview(data))

    def _feed_ring(self, data: memoryview) -> None:
        if len(data) >= self._tail_max:  # all that the ring holds is older than what comes
            self._ring[:] = data[len(data) - self._tail_max :]
            self._at = 0
            return
        room = self._tail_max - len(self._ring)
        if room > 0:
            self._ring += data[:room]
            data = data[room:]
        first = data[: self._tail_max - self._at]
        self._ring[self._at : self._at + len(first)] = first
        rest = data[len(first) :]
        self._ring[: len(rest)] = rest
        self._at = (self._at + len(data)) % (self._tail_max or 1)

    def output(self) -> Output:
        """What is kept by now; it can be asked for at any time."""
        tail = bytes(self._ring[self._at :] + self._ring[: self._at])
        omitted = self._seen - len(self._head) - len(tail)
        if not omitted:
            return Output(head=bytes(self._head) + tail)
        return Output(head=bytes(self._head), tail=tail, omitted=omitted)
