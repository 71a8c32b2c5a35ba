"""Programs in a local directory, run by a process host: to their ends, or beside what comes next.

What these functions wait for, they wait for in trio; a program that runs beside is looked after by
`Backgrounds`, and what a command has left running by its keeper (`Kept`), until the place is left.
"""

from __future__ import annotations

import os
import signal as signals
from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from runner import messages as m
from runner.backends.beneath import DIRECTORY
from runner.backends.local.logs import open_log
from runner.backends.local.place import Place
from runner.errors import ExecFailed, InvalidArgument
from runner.processes.kept import Kept
from runner.processes.reins import Reins


def whereabouts(root: int, path: str) -> str:
    """The path of a root for its programs: as it was given, unless it has been moved since."""
    real = os.readlink(f"/proc/self/fd/{root}")
    return path if os.path.realpath(path) == real else real


@contextmanager
def _directory(place: Place, op: str, cwd: str) -> Iterator[tuple[int, str | None]]:
    """The directory of a program, and the scope for what is to hold it."""
    root = place.root.open(make=True)
    directory = os.dup(root.fd) if cwd == "." else root.open(place.root.route(op, cwd), DIRECTORY)
    try:
        yield directory, None if place.isolation is None else whereabouts(root.fd, place.root.path)
    finally:
        os.close(directory)


def _argv(command: str | tuple[str, ...]) -> tuple[str, ...]:
    return ("sh", "-c", command) if isinstance(command, str) else command


async def run(place: Place, message: m.Exec) -> m.Completed:
    """Run a program in the scope and wait for its end; `ProcessHost.run` says how it ends."""
    with (
        place.answers("exec", message.cwd),
        _directory(place, "exec", message.cwd) as (directory, scope),
    ):
        if message.terminal:
            return await _run_at_terminal(place, message, directory)
        log = open_log(place, "exec", message.log)
        left: set[Kept] = set()
        try:
            completed = await place.programs().run(
                _argv(message.command),
                cwd=directory,
                env=place.environment(message.env),
                input=message.input,
                timeout=message.timeout,
                silence=message.silence,
                max_output=message.max_output,
                isolation=place.isolation,
                decided=place.decided,
                scope=scope,
                kept=left if message.leftover == "keep" else None,
                reins=None if log is None else Reins(log.feed),
            )
        finally:
            place.kept |= left
            if log is not None:
                log.close()
        for each in left:
            completed = attrs.evolve(completed, kept=each.id)
        return completed if log is None else attrs.evolve(completed, unlogged=log.unlogged)


async def _run_at_terminal(place: Place, message: m.Exec, directory: int) -> m.Completed:
    argv = _argv(message.command)
    if place.isolation is not None:
        reason = "what holds programs cannot give them a terminal"
        raise ExecFailed("exec", argv[0], reason, hint="run it without a terminal")
    env = place.environment(message.env)
    return await place.programs().run_at_terminal(
        argv, cwd=directory, env=env, timeout=message.timeout
    )


async def start(place: Place, message: m.Start) -> m.Started:
    """Start a program that runs beside what comes next."""
    with (
        place.answers("start", message.cwd),
        _directory(place, "start", message.cwd) as (directory, scope),
    ):
        log = open_log(place, "start", message.log)

        async def carry_out(reins: Reins) -> m.Completed:
            try:
                completed = await place.programs().run(
                    _argv(message.command),
                    cwd=directory,
                    env=place.environment(message.env),
                    input=message.input,
                    timeout=message.timeout,
                    silence=message.silence,
                    max_output=0,  # what is kept, the spool keeps
                    isolation=place.isolation,
                    decided=place.decided,
                    scope=scope,
                    reins=reins,
                )
            finally:
                if log is not None:
                    log.close()
            return completed if log is None else attrs.evolve(completed, unlogged=log.unlogged)

        feed = None if log is None else log.feed
        try:
            return await place.backgrounds.start(message, carry_out, feed)
        except ExecFailed as error:
            error.op = "start"
            raise


async def poll(place: Place, message: m.Poll) -> m.News:
    """What has come of a program's output."""
    with place.answers("poll", message.id):
        program = place.backgrounds.get("poll", message.id)
        return await program.poll(message.position, message.limit, message.wait)


async def wait(place: Place, message: m.Wait) -> m.Completed | None:
    """Wait for a program's end."""
    with place.answers("wait", message.id):
        return await place.backgrounds.get("wait", message.id).wait(message.timeout)


def signal(place: Place, message: m.Signal) -> bool:
    """Send a signal to a program."""
    with place.answers("signal", message.id):
        if message.signal not in signals.valid_signals():
            reason = f"{message.signal} is no signal"
            raise InvalidArgument("signal", message.id, reason, hint="signal.SIGTERM, say")
        return place.backgrounds.get("signal", message.id).send_signal(message.signal)


async def kill(place: Place, message: m.Kill) -> bool:
    """End a program, or what one has left running."""
    with place.answers("kill", message.id):
        for each in [each for each in place.kept if each.id == message.id]:
            ran = not each.is_over()
            await each.aclose()
            place.kept.discard(each)
            return ran
        ran = await place.backgrounds.get("kill", message.id).kill()
        if message.forget:
            place.backgrounds.forget(message.id)
        return ran


async def write_input(place: Place, message: m.WriteInput) -> None:
    """Write to a program's standard input."""
    with place.answers("write_input", message.id):
        program = place.backgrounds.get("write_input", message.id)
        await program.write(message.data, close=message.close)


def list_processes(place: Place, _message: m.ListProcesses) -> tuple[m.ProcessInfo, ...]:
    """The programs that were started here."""
    return place.backgrounds.infos()
