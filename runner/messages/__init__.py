"""The vocabulary: one frozen record per operation on a scope, typed by its answer.

A message says *what* is asked for and nothing about who carries it out: the same record is asked
in this process, or (encoded) over a socket. `Message[AnswerT]` is a phantom type: a mailbox's
`ask(Read(...))` is known to be `bytes` without a cast at the call.

Paths are text with surrogate escapes (`os.fsdecode`), relative to the scope, `/` between names.
Contents are bytes: encodings are the handle's business. Sizes are bytes, durations seconds.

Here are values only: no I/O, no trio.
"""

from __future__ import annotations

from typing import TypeAlias

from runner.messages.answers import (
    Entry,
    Failure,
    FileMatches,
    FileStat,
    FileType,
    Found,
    GrepOutput,
    Listing,
    Match,
    Matches,
    Stored,
)
from runner.messages.effects import (
    Append,
    Batch,
    Chmod,
    Copy,
    Edit,
    EditLines,
    FileEffect,
    LineChange,
    Mkdir,
    Move,
    Remove,
    Replacement,
    Touch,
    Upload,
    Write,
)
from runner.messages.isolation import InForce, Isolation, Limit, Limits, NetworkDecision
from runner.messages.message import AnswerT, Message
from runner.messages.observations import (
    Digest,
    Download,
    Exists,
    Glob,
    Grep,
    ListKeys,
    Ls,
    Read,
    ReadLines,
    Realpath,
    Stat,
    Tree,
)
from runner.messages.processes import (
    Guiding,
    Kill,
    ListProcesses,
    News,
    Piece,
    Poll,
    Position,
    ProcessInfo,
    Signal,
    Start,
    Started,
    StreamName,
    Wait,
    WriteInput,
)
from runner.messages.programs import Completed, Exec, Leftover, Outcome, Output
from runner.messages.reading import Downloaded, Drawing, Lines
from runner.messages.streams import (
    CloseStream,
    CommitStream,
    Opened,
    OpenReader,
    OpenWriter,
    ReadStream,
    Streaming,
    WriteStream,
)

__all__ = [
    "AnswerT",
    "Append",
    "Batch",
    "Chmod",
    "CloseStream",
    "CommitStream",
    "Completed",
    "Copy",
    "Digest",
    "Download",
    "Downloaded",
    "Drawing",
    "Edit",
    "EditLines",
    "Effect",
    "Entry",
    "Exec",
    "Exists",
    "Failure",
    "FileEffect",
    "FileMatches",
    "FileStat",
    "FileType",
    "Found",
    "Glob",
    "Grep",
    "GrepOutput",
    "Guiding",
    "InForce",
    "Isolation",
    "Kill",
    "Leftover",
    "Limit",
    "Limits",
    "LineChange",
    "Lines",
    "ListKeys",
    "ListProcesses",
    "Listing",
    "Ls",
    "Match",
    "Matches",
    "Message",
    "Mkdir",
    "Move",
    "NetworkDecision",
    "News",
    "Observation",
    "OpenReader",
    "OpenWriter",
    "Opened",
    "Operation",
    "Outcome",
    "Output",
    "Piece",
    "Poll",
    "Position",
    "ProcessInfo",
    "Read",
    "ReadLines",
    "ReadStream",
    "Realpath",
    "Remove",
    "Replacement",
    "Signal",
    "Start",
    "Started",
    "Stat",
    "Stored",
    "StreamName",
    "Streaming",
    "Touch",
    "Tree",
    "Upload",
    "Wait",
    "Write",
    "WriteInput",
    "WriteStream",
]

Observation: TypeAlias = (
    Read
    | Stat
    | Exists
    | Ls
    | Glob
    | Grep
    | ReadLines
    | Digest
    | Realpath
    | Tree
    | Download
    | ListKeys
    | OpenReader
)
Effect: TypeAlias = FileEffect | Upload | Batch | OpenWriter | CommitStream
Operation: TypeAlias = Observation | Effect | Streaming | Exec | Start | Guiding
