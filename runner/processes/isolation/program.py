"""What our own launcher does, asked of the program bwrap: for machines where only that may.

Ubuntu 24.04, for one, lets no process make a user namespace but those that an AppArmor profile
names, and bwrap is named. Then bwrap puts the root together, from the same plan, and starts a
Python of its own inside as pid 1, which is our keeper as ever: it gives up what it has left, has
the lifeline, and carries the command out (by_program.py). What differs: that Python and the
directory of ours that it loads can be read inside, and each start is one of Python more. A bwrap
that is set-uid root is of no use: it limits no file system in memory.

Here the plan becomes steps, in bwrap's order; `by_program` makes them arguments where it is known
what is there for whoever carries them out. Everything here is decided outside.
"""

from __future__ import annotations

import os
import re
import shutil

from runner.processes.isolation import syscalls
from runner.processes.isolation.root import CLOSED, Root

NAME = "bwrap"
FIRST = "/usr/bin:/bin:/usr/local/bin"  # where a profile may name it
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20}
Step = tuple[object, ...]


def find_program() -> str:
    """The program's absolute path, "" if it is not installed."""
    found = shutil.which(NAME, path=FIRST) or shutil.which(NAME) or ""
    return found if os.path.isabs(found) else ""


def takes_descriptors(program: str) -> bool:
    """Whether it binds what we have opened: by paths, one that is swapped meanwhile would do.

    From 0.10 on, and in what distributions have mended since: the word stands in the program.
    """
    with open(program, "rb") as file:
        return b"ro-bind-fd" in file.read()


def namespaces(*, network: bool, nesting: bool) -> list[str]:
    """The arguments that say what is to be its own.

    Args:
        network: whether the network is.
        nesting: whether there may be namespaces inside.
    """
    words = ["--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts"]
    words += ["--unshare-cgroup-try", *(() if nesting else ("--disable-userns",))]
    words += ["--unshare-net"] if network else []
    return [*words, "--as-pid-1", "--cap-drop", "ALL", "--hostname", "sandbox", "--chdir", "/"]


def steps_of(root: Root) -> list[Step]:
    """What stands inside, in order.

    ("words", ...) are arguments; ("bind", option, source, place, whether it need not be there,
    which directory it is to be);
    ("file", place, content); ("python",) and ("ours",) are where what our own process needs comes.
    """
    steps: list[Step] = [("words", "--proc", "/proc")]
    for number, (kind, path, *rest) in enumerate(root.mounts):
        assert isinstance(path, str)
        if number == root.private_end:
            steps.append(("python",))
        if path == "/dev" and kind == "tmpfs":
            steps.append(("words", "--dev", "/dev"))
        elif path.startswith("/dev/") and path != "/dev/shm":  # noqa: S108 - a place inside
            continue  # it comes with --dev
        elif kind == "tree":
            steps.append(_bind(path, *root.trees[rest[0]]))  # type: ignore[call-overload]
        elif kind == "link":
            steps.append(("words", "--symlink", rest[0], path))
        elif kind == "file":
            steps.append(("file", path, rest[0]))
        elif kind == "readonly":
            steps += [("ours",)] if path == "/" else []
            steps.append(("words", "--remount-ro", path))
        else:
            steps.append(("words", *_memory(path, str(rest[0]))))
    return steps


def _bind(
    place: str, source: str, attributes: int, kind: str, identity: tuple[int, int] | None
) -> Step:
    if not attributes & syscalls.ATTR_NODEV:
        return ("words", "--dev-bind", source, place)  # the device null: a hidden file
    option = "--ro-bind-fd" if attributes == CLOSED else "--bind-fd"
    return ("bind", option, source, place, kind == "optional", identity)


def _memory(path: str, options: str) -> list[str]:
    """A file system in memory."""
    size = re.search(r"size=(\d+)([km]?)", options)
    mode = re.search(r"mode=(\d+)", options)
    assert size is not None
    assert mode is not None
    count = int(size[1]) * _UNITS[size[2]]
    return ["--size", str(count), "--perms", mode[1].zfill(4), "--tmpfs", path]
