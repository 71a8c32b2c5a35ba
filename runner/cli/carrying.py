"""Carrying out turns in a session and its scope, as they were ordered; their output is streamed.

It is no batch: nothing is copied, nothing is tried again. Standard output is the agent's, standard
error ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import trio

from runner.agents.events import ErrorClass
from runner.cli.endings import ended_by
from runner.cli.exits import Exit
from runner.cli.order import Order
from runner.cli.session_where import keeps, open_place
from runner.cli.signals import Ladder, Step
from runner.cli.streams import STDERR, STDOUT, discard_output
from runner.cli.turns import code_of, report
from runner.cli.voice import Voice, show
from runner.cli.writer import Writer
from runner.config import RunnerConfig
from runner.errors import SessionClosed
from runner.runtime import open_runner
from runner.scopes.scope import Scope
from runner.sessions.session import Session
from runner.sessions.turn import Turn

ONE_PROCESS_PER_TURN = ("shell", "command")  # their text is a stream, that of the others messages


async def main(config: RunnerConfig, order: Order) -> int:
    """Carry it out, its output streamed; the answer is the exit code."""
    out, err = Writer(STDOUT), Writer(STDERR)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(out.run)
        nursery.start_soon(err.run)
        code = await _carry_out(config, order, out, err)
        await out.flushed()
        await err.flushed()
        nursery.cancel_scope.cancel()
    if out.is_closed:
        discard_output()
        return Exit.BROKEN_PIPE
    return code


async def _carry_out(config: RunnerConfig, order: Order, out: Writer, err: Writer) -> int:
    code: int = Exit.INTERRUPTED
    work, verifying = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery, open_runner(config) as runner:
        scope = await open_place(
            runner, order.directory, order.workspace, env=order.env, isolation=order.isolation
        )
        session = runner.session(
            scope,
            order.agent,
            id=order.session or None,
            timeout=order.timeout,
            silence=order.silence,
            max_park=order.max_park,
            ignore=order.ignore,
            watch=order.watch,
            isolation=order.isolation,
            durable=bool(order.session),
            servers=order.servers,
            recording=order.recording or None,
            on_lost=order.on_lost,
            snapshots=keeps(order.workspace),
        )

        async def interrupt() -> None:
            with contextlib.suppress(SessionClosed):
                await session.interrupt()
            verifying.cancel()

        def start_interrupt() -> None:
            nursery.start_soon(interrupt)

        out.on_close = start_interrupt  # nobody listens any more, so nobody wants the rest
        ladder = Ladder(
            steps=(
                Step("interrupting; once more ends everything at once", start_interrupt),
                Step("ending everything at once", work.cancel),
            ),
            say=err.put_line,
            begin_at=0,
        )
        await nursery.start(ladder.watch)
        with work:  # not around the runner: it has to end what is put down here
            turns = await _follow(session, order, out, err)
            is_verified = False
            with verifying:
                is_verified = turns[-1].ok and await _verify(scope, order.verify, err)
            for turn in turns:
                report(turn, is_verified, order, out, err)
            if turns[-1].unrecorded:
                err.put_line(turns[-1].unrecorded)
            code = code_of(turns, is_verified=is_verified, has_checks=bool(order.verify))
        nursery.cancel_scope.cancel()
    return code if ladder.last is None else ended_by(ladder.last)


async def _follow(session: Session, order: Order, out: Writer, err: Writer) -> list[Turn]:
    """Carry out the turns, and let their events be seen as they come."""
    turns: list[Turn] = []
    is_stream = order.agent.kind in ONE_PROCESS_PER_TURN
    voice = Voice(out=err if order.as_json else out, err=err, is_stream=is_stream)
    async with session.events() as events, trio.open_nursery() as nursery:
        nursery.start_soon(show, events, voice)
        async with session:
            for prompt in order.prompts:
                if not turns or turns[-1].error is not ErrorClass.INTERRUPTED:
                    turns.append(await session.send(prompt))
        # The session is closed: the events come to their end.
    voice.end()
    return turns


async def _verify(scope: Scope, commands: Sequence[str], err: Writer) -> bool:
    for command in commands:
        done = await scope.exec(command)
        if not done.ok:
            err.put(done.stdout + done.stderr)
            err.put_line(f"not verified: {command} (exit code {done.exit_code})")
            return False
        err.put_line(f"verified: {command}")
    return True
