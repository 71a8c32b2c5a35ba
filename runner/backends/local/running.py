"""Programs in a local directory, run by a process host."""

from __future__ import annotations

import os

from runner import messages as m
from runner.backends.beneath import DIRECTORY
from runner.backends.local.place import Place


def whereabouts(root: int, path: str) -> str:
    """The path of a root for its programs: as it was given, unless it has been moved since."""
    real = os.readlink(f"/proc/self/fd/{root}")
    return path if os.path.realpath(path) == real else real


async def run(place: Place, message: m.Exec) -> m.Completed:
    """Run a program in the scope and wait for its end; `ProcessHost.run` says how it ends."""
    command, cwd = message.command, message.cwd
    argv = ("sh", "-c", command) if isinstance(command, str) else command
    with place.answers("exec", cwd):
        root = place.root.open(make=True)
        directory = (
            os.dup(root.fd) if cwd == "." else root.open(place.root.route("exec", cwd), DIRECTORY)
        )
        try:
            return await place.programs().run(
                argv,
                cwd=directory,
                env=place.environment(message.env),
                input=message.input,
                timeout=message.timeout,
                silence=message.silence,
                max_output=message.max_output,
                isolation=place.isolation,
                scope=None if place.isolation is None else whereabouts(root.fd, place.root.path),
            )
        finally:
            os.close(directory)
