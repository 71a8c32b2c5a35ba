"""What agentfs-sdk (0.6.4) calls its options, errors and statistics of files."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from typing import Literal, TypeAlias

S_IFMT = 0o170000
S_IFREG = stat.S_IFREG
S_IFDIR = stat.S_IFDIR
S_IFLNK = stat.S_IFLNK

FsErrorCode: TypeAlias = Literal[
    "ENOENT", "EEXIST", "EISDIR", "ENOTDIR", "ENOTEMPTY", "EPERM", "EINVAL", "ENOSYS"
]
FsSyscall: TypeAlias = Literal[
    "open",
    "stat",
    "mkdir",
    "rmdir",
    "rm",
    "unlink",
    "rename",
    "scandir",
    "copyfile",
    "access",
]


@dataclass
class AgentFSOptions:
    """Where an `AgentFS` is kept: `.agentfs/ID.db`, or a path.

    Here that is a directory; or one beside it, where agentfs-sdk has its file already.
    """

    id: str | None = None
    path: str | None = None


class ErrnoException(Exception):
    """An operation on files failed.

    Attributes:
        code: such as "ENOENT".
        syscall: what failed, such as "open".
        path: where, from "/".
    """

    def __init__(
        self,
        code: FsErrorCode,
        syscall: FsSyscall,
        path: str | None = None,
        message: str | None = None,
    ) -> None:
        """Keep the facts; the text is agentfs-sdk's."""
        where = "" if path is None else f" '{path}'"
        super().__init__(f"{code}: {message or code}, {syscall}{where}")
        self.code, self.syscall, self.path = code, syscall, path


@dataclass
class Stats:
    """A file or directory; times are seconds since 1970."""

    ino: int
    mode: int
    nlink: int
    uid: int
    gid: int
    size: int
    atime: int
    mtime: int
    ctime: int

    def is_file(self) -> bool:
        """Whether it is a file."""
        return stat.S_ISREG(self.mode)

    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def is_symbolic_link(self) -> bool:
        """Whether it is a link."""
        return stat.S_ISLNK(self.mode)


def directory_of(options: AgentFSOptions) -> tuple[str, str | None]:
    """Where it is kept, and a database of agentfs-sdk's that it begins with.

    Raises:
        ValueError: there is neither an id nor a path, or the id cannot be one; as agentfs-sdk says.
    """
    if not options.id and not options.path:
        raise ValueError("AgentFS.open() requires at least 'id' or 'path'.")
    if options.id and not re.fullmatch(r"[a-zA-Z0-9_-]+", options.id):
        text = "Agent ID must contain only alphanumeric characters, hyphens, and underscores"
        raise ValueError(text)
    where = os.path.abspath(options.path or f".agentfs/{options.id}.db")
    if os.path.exists(where) and not os.path.isdir(where):
        return f"{where}.runner", where
    return where, None
