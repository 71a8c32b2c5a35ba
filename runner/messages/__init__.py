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
    FileStat,
    FileType,
    Found,
    Listing,
    Match,
    Matches,
)
from runner.messages.effects import Append, Copy, Edit, Mkdir, Move, Remove, Write
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
from runner.messages.programs import Completed, Exec, Outcome, Output
from runner.messages.reading import Downloaded, Drawing, Lines

__all__ = [
    "AnswerT",
    "Append",
    "Completed",
    "Copy",
    "Digest",
    "Download",
    "Downloaded",
    "Drawing",
    "Edit",
    "Entry",
    "Exec",
    "Exists",
    "FileEffect",
    "FileStat",
    "FileType",
    "Found",
    "Glob",
    "Grep",
    "Lines",
    "ListKeys",
    "Listing",
    "Ls",
    "Match",
    "Matches",
    "Message",
    "Mkdir",
    "Move",
    "Observation",
    "Operation",
    "Outcome",
    "Output",
    "Read",
    "ReadLines",
    "Realpath",
    "Remove",
    "Stat",
    "Tree",
    "Write",
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
)
FileEffect: TypeAlias = Write | Append | Edit | Mkdir | Copy | Move | Remove
Operation: TypeAlias = Observation | FileEffect | Exec
