"""The way in by the program bwrap: from a fork of the guardian to a keeper that is pid 1 inside.

    guardian ──fork──► `become`: arguments, files ──exec──► bwrap ──► Python inside: `main`, keeper

`become` runs outside, with no more rights than the guardian; what bwrap says that goes wrong is
said aside, for that is its standard error. `main` is in a Python of its own, which bwrap starts
when the root is put together; it takes the second plan and goes on as any process inside does.

It is loaded by the guardian, and inside: the standard library only.
"""

from __future__ import annotations

import os
import socket
import sys

from runner.processes.isolation import enter, syscalls
from runner.processes.keeper import keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

OURS = "/.runner"  # where what we load stands inside
PACKAGE = "runner/processes"
PASSED = ("LD_LIBRARY_PATH",)  # an interpreter may need it to find its own library
# Our modules without the packages' own code, as the guardian loads them.
BOOT = """\
import sys, types
for name in ("runner", "runner.processes"):
    package = types.ModuleType(name)
    package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from runner.processes.isolation.by_program import main
main(*map(int, sys.argv[2:]))
"""


def become(
    plan: dict[str, Any], sock: socket.socket, aside: socket.socket
) -> NoReturn:  # pragma: no cover - it becomes another program
    """Become bwrap; raises if that cannot be.

    Args:
        plan: the first one, with the program, its arguments and steps.
        sock: the keeper's, passed on.
        aside: where the second plan is, passed on.
    """
    enter.join(plan["cgroups"])
    words = [plan["program"], *plan["arguments"]]
    for step in plan["steps"]:
        words += _arguments(step)
    python = os.path.realpath(sys.executable)
    os.set_inheritable(sock.fileno(), True)
    os.set_inheritable(aside.fileno(), True)
    os.dup2(aside.fileno(), 2)
    numbers = map(str, (sock.fileno(), aside.fileno(), os.getpid()))
    words += ["--", python, "-I", "-S", "-B", "-c", BOOT, OURS, *numbers]
    env = {name: os.environ[name] for name in PASSED if name in os.environ}
    os.execve(plan["program"], words, env)  # noqa: S606 - as it is meant


def _here() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _arguments(step: tuple[Any, ...]) -> list[str]:
    kind, *rest = step
    if kind == "ours":
        return ["--ro-bind", _here(), f"{OURS}/{PACKAGE}"]
    if kind == "words":
        return rest
    if kind == "python":
        base = os.path.realpath(sys.base_prefix)
        if base == "/":
            raise OSError(f"the Python {sys.executable} stands in no directory of its own")
        return [] if base.startswith("/usr/") or base == "/usr" else ["--ro-bind", base, base]
    if kind == "file":
        place, content = rest
        fd = os.memfd_create("file", 0)
        os.write(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        return ["--perms", "0644", "--file", str(fd), place]
    option, source, place, is_optional, identity = rest
    fd = enter.open_wanted(syscalls.open_path, source, is_optional, identity)
    if fd < 0:
        return []
    os.set_inheritable(fd, True)
    return [option, str(fd), place]


def main(sock: int, aside: int, pid: int) -> NoReturn:  # pragma: no cover - inside
    """Go on inside, where bwrap has put everything in its place.

    Args:
        sock: the keeper's socket.
        aside: where the second plan is.
        pid: ours, as the guardian sees it: bwrap's, which waits for us outside.
    """
    for fd in (sock, aside):  # no program is ever to have them
        os.set_inheritable(fd, False)
    ours, beside = socket.socket(fileno=sock), socket.socket(fileno=aside)
    _, directory = enter.enter(ours, beside, -1, (os.getuid(), os.getgid()))
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 2)  # it was `aside`
    os.close(null)
    keep(ours, pid, directory)
