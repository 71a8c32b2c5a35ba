"""`runner workspace exec`: a program in a workspace, at our terminal or through pipes."""

from __future__ import annotations

import json
import sys
from typing import Unpack

import click
import trio

from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.order import read_seconds
from runner.cli.projects import Given, about, on_project, workspace_name
from runner.cli.streams import STDERR, STDOUT, OutputClosed, complain, put
from runner.cli.writer import Writer
from runner.errors import ConfigError
from runner.messages import Completed, Exec, Outcome, Poll, Position
from runner.operations.beside import Background
from runner.operations.done import Done
from runner.processes.at_terminal import is_at_terminal
from runner.workspaces.project import Project
from runner.workspaces.workspace import Workspace

SIGNALLED = 128  # and the signal's number, as shells say it
SCHEMA = "runner.exec/1"


# What follows the workspace's name is the program's, also what looks like an option.
@click.command("exec", epilog=options.CODES, context_settings={"allow_interspersed_args": False})
@workspace_name
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True)
@click.option("--cwd", metavar="DIR", default=".", help="Where it runs, in the workspace.  [.]")
@click.option("-i", "--stdin", "reads", is_flag=True, help="Give it our input, once it has ended.")
@click.option("--timeout", metavar="TIME", help="Such as 90s or 30m.  [none]")
@about
def exec_(
    *,
    name: str,
    command: tuple[str, ...],
    cwd: str,
    reads: bool,
    timeout: str | None,
    **given: Unpack[Given],
) -> int:
    """Run a program in a workspace; its exit code is ours.

    Options stand before WORKSPACE. COMMAND of one word is a line for `sh -c`; of several it is a
    program and its arguments; a `--` before it is no part of it. All that it starts ends with it.
    On a terminal it has that as if there were no runner: `runner workspace exec NAME bash` is the
    way into any workspace. Else Ctrl-C ends it; with --json its outputs go to standard error, and
    what became of it is a record.
    """
    seconds = read_seconds("--timeout", timeout)
    stdin = sys.stdin.buffer.read() if reads else b""
    if command[0] == "--" and len(command) > 1:  # as it is written for other programs' exec
        command = command[1:]
    elif command[0].startswith("-"):
        what = f"{command[0]!r} stands where the program begins: options stand before {name!r}"
        raise ConfigError(f"exec: {what} (`--` before a program of that name)")
    line = command[0] if len(command) == 1 else command
    at_terminal = is_at_terminal() and not (reads or given["as_json"])

    async def work(project: Project) -> Done[str] | Completed | None:
        workspace = await project.get(name)
        if at_terminal:
            command = line if isinstance(line, str) else tuple(line)
            return await workspace.ask(
                Exec(command=command, cwd=cwd, timeout=seconds, terminal=True)
            )
        async with workspace.stream(line, cwd=cwd, input=stdin, timeout=seconds) as program:
            if not await _copy(workspace, program, to_stderr=given["as_json"]):
                return None
            return await program.done()

    done = on_project(given, work)
    if done is None:
        raise OutputClosed
    if isinstance(done, Done) and given["as_json"]:
        put(json.dumps(_record(name, done)))
    if done.outcome is Outcome.TIMEOUT:
        complain(f"ended: it ran for {timeout}")
        return Exit.TIMEOUT
    return done.exit_code if done.exit_code >= 0 else SIGNALLED - done.exit_code


async def _copy(workspace: Workspace, program: Background, *, to_stderr: bool) -> bool:
    """Write what it writes; False = nobody reads it any more."""
    err = Writer(STDERR)
    out = err if to_stderr else Writer(STDOUT)
    position, is_last, missed = Position(), False, 0
    async with trio.open_nursery() as nursery:
        for writer in {out, err}:
            nursery.start_soon(writer.run)
        while not is_last and not out.is_closed:
            news = await workspace.ask(Poll(id=program.id, position=position, wait=None))
            position, is_last = news.position, news.is_last
            missed += news.missed.total
            for piece in news.pieces:
                to = out if piece.stream == "stdout" else err
                to.put(piece.data.decode("utf-8", "surrogateescape"))
            await out.flushed()
            await err.flushed()
        nursery.cancel_scope.cancel()
    if missed:
        complain(f"the reader was too slow: {missed} bytes of output are left out")
    return not out.is_closed


def _record(name: str, done: Done[str]) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "workspace": name,
        "exit_code": done.exit_code,
        "outcome": done.outcome.value,
        "duration": round(done.duration, 3),
        "leftovers": done.leftovers,
    }
