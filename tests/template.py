"""What commands and supervisors are forked from: run by conftest.py, never imported.

It loads everything once and forks a process for each message that it gets on its standard input, a
socket, together with three descriptors: to start a Python and to import took most of the time. Such a
process has a session, a directory, an environment and standard streams of its own, and ends as any
Python does. What a command imports is another test's matter, with a Python of its own.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
import types

import runner.agents
import runner.cli
import runner.jobs
import runner.runtime
import runner.sessions
import runner.testing.scripted
from runner.__main__ import main

PACKAGES = (runner.cli, runner.jobs, runner.agents, runner.sessions)


def load() -> None:
    """Import what commands need."""
    for package in PACKAGES:
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # then the command itself says so
                importlib.import_module(module.name)
    gc.freeze()


def become(asked: dict[str, object], descriptors: list[int]) -> None:
    """Be that process; ends it."""
    os.setsid()
    for number, each in enumerate(descriptors):
        os.dup2(each, number)
    os.closerange(3, 1024)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    if asked["code"] is None:
        sys.path[0] = asked["cwd"]
        sys.argv[1:] = asked["args"]
        main()
    sys.path[0] = ""
    sys.argv = ["-c", *asked["args"]]
    sys.modules["__main__"] = module = types.ModuleType("__main__")
    exec(compile(asked["code"], "<string>", "exec"), module.__dict__)
    sys.exit()


def serve(control: socket.socket) -> None:
    """Fork a process for each message; say its pid, and later how it ended."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 18, 3)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.detach()
            become(json.loads(message), descriptors)
        for each in descriptors:
            os.close(each)
        control.send(b"%d" % pid)
        _, status = os.waitpid(pid, 0)
        control.send(b"%d" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    load()
    serve(socket.socket(fileno=os.dup(0)))
