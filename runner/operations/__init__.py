"""The methods of everything that takes operations: scopes and backends alike.

Each method turns its call into one frozen message (`runner.messages`), has it carried out, and
gives the answer in the caller's terms: text instead of bytes, a `Done` instead of what was kept of
the streams. A scope asks its worker, a backend itself; so whatever takes the one takes the other.

Every method may raise `PathEscapes` or `InvalidPath` for its paths, and another `OperationError` if
it was carried out and failed. Cancelled while it runs, it is put down before the call leaves, and a
file is as before or as after.

What is not here: carrying anything out (backends/), order (actors/).
"""

from __future__ import annotations

from runner.operations.asking import Asking as Asking
from runner.operations.beside import Background as Background
from runner.operations.beside import Beside
from runner.operations.beside import Follower as Follower
from runner.operations.beside import Fresh as Fresh
from runner.operations.changing import Batch as Batch
from runner.operations.changing import Uploading
from runner.operations.done import Done as Done
from runner.operations.framing import Line as Line
from runner.operations.hashlines import line_hash as line_hash
from runner.operations.hashlines import with_hashes as with_hashes
from runner.operations.observing import Observing
from runner.operations.running import Running
from runner.operations.streaming import ReadingStream as ReadingStream
from runner.operations.streaming import Streaming
from runner.operations.streaming import WritingStream as WritingStream


class Operations(Observing, Uploading, Streaming, Running, Beside):
    """All operations; a subclass says who is asked."""

    __slots__ = ()
