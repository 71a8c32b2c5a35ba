"""ProcessHost: the one place where programs are started, and where they are ended.

    run / open_process ──► a keeper from the pool ──► leader ──► whatever it starts

The way of one exec: what it needs is found and opened (launch.py), a keeper gets it (keepers.py,
by link.py), which starts it and waits for its end (keeper.py, in a process of the guardian's) while
its bytes come to us (pump.py).

Nothing is started before the first use; then one guardian, and as many keepers as commands run at
the same time, of which a few are kept for the next ones. A command's end is its leader's end: the
keeper then ends everything else below it before it reports, so that nothing of a command is alive
when its call returns, by return, timeout, cancellation or error. If we die, keepers and guardian
read EOF and do the same.

It holds against all that a command may do, but for killing its keeper and the guardian, or stopping
both again and again while we die: then what carries our tag in its environment (`RUNNER_RUN`) is
found by that, here, at `aclose` and when the next one starts (sweep.py). What also
cleared its environment is lost to us; only a PID namespace could hold it: that, and the rest of
what `Isolation` asks for, is in `isolation/`. Then the keeper is pid 1 of its command's namespaces,
and serves that one command. All of it needs Linux: subreapers, pidfds, epoll.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import trio

from runner.errors import ExecFailed
from runner.messages import Completed, Isolation, Outcome
from runner.messages.isolation import Decided, ModeInForce
from runner.processes import sweep
from runner.processes.at_terminal import run_at_terminal
from runner.processes.guardian_link import GuardianLink
from runner.processes.isolation.choosing import Choice, choose, locate
from runner.processes.isolation.inside import Inside
from runner.processes.isolation.probe import Way
from runner.processes.isolation.program import find_program
from runner.processes.keepers import PATIENCE, Keepers
from runner.processes.kept import Kept
from runner.processes.launch import Launch
from runner.processes.link import KeeperLink
from runner.processes.process import Process
from runner.processes.pump import Pump
from runner.processes.reins import Reins


class ProcessHost:
    """Starts programs and leaves nothing of them; usable from any task, without a nursery.

    A child that is forked (os.fork) may use it as well, and has keepers of its own then.
    """

    def __init__(
        self, *, run_id: str | None = None, enter: Sequence[str] = (), outside: str = ""
    ) -> None:
        """Make a host; nothing is started yet.

        Args:
            run_id: letters, digits, `-` and `_`; None = a new one. See `runner.processes.sweep`.
            enter: what its guardian is started by, and so is where all of its programs run: in the
                namespaces of a holder, say (`runner.processes.holding`).
            outside: what leads us to their root, as "/proc/123/root".
        """
        self._outside = outside
        run_id = uuid.uuid4().hex if run_id is None else sweep.check_run_id(run_id)
        self._made = Keepers(run_id, enter)

    @property
    def run_id(self) -> str:
        """What the processes are tagged with, in the variable RUNNER_RUN."""
        return self._keepers.run_id

    @property
    def _keepers(self) -> Keepers:
        if self._made.pid != os.getpid():
            self._made = self._made.anew()
        return self._made

    def __repr__(self) -> str:
        guardian, idle = self._keepers.guardian, self._keepers.idle
        who = "no guardian" if guardian is None else f"guardian {guardian.pid}"
        return f"<ProcessHost {self.run_id} {who}, {len(idle)} keepers idle>"

    async def run(
        self,
        argv: Sequence[str],
        *,
        cwd: int | str,
        env: Mapping[str, str],
        input: bytes | None = None,  # noqa: A002 - the word of subprocess.run
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        grace: float = 2.0,
        isolation: Isolation | None = None,
        scope: str | None = None,
        decided: Decided | None = None,
        kept: set[Kept] | None = None,
        reins: Reins | None = None,
    ) -> Completed:
        """Run a program and wait for its end, which is the end of its leader.

        Args:
            argv: the program, looked up in the PATH of `env`, and its arguments.
            cwd: a directory, as a descriptor or a path.
            env: its whole environment; our tag is added.
            input: its standard input; None = an empty one.
            timeout: seconds until it is ended: SIGTERM to the leader's group, SIGKILL to all.
            silence: seconds without output until it is ended likewise.
            max_output: bytes kept of each of its two outputs, half of them head, half tail.
            grace: seconds between SIGTERM and SIGKILL.
            isolation: what is to hold it; None = nothing, and nothing is said about it.
            scope: the only directory that it can write then, absolute; None = `cwd`.
            decided: told what the proxy decides, if the isolation lists hosts.
            kept: gets what the program leaves running when it ends by itself, which is the
                caller's to end then; None = that is ended with it.
            reins: for other tasks, to follow and to guide it while it runs.

        Returns:
            How it ended and what is kept of its output, also if it was ended by us.

        Raises:
            ExecFailed: it could not be started, or not be held as is required.

        Cancellation: every process of it is gone before this leaves.
        """
        inside = await self._hold(isolation, argv, cwd, env, scope=scope, decided=decided)
        try:
            return await self._run(
                argv,
                cwd,
                env,
                inside,
                data=input,
                timeout=timeout,
                silence=silence,
                max_output=max_output,
                grace=grace,
                kept=kept,
                reins=reins,
            )
        finally:
            if reins is not None:
                reins.let_go()

    async def _run(
        self,
        argv: Sequence[str],
        cwd: int | str,
        env: Mapping[str, str],
        inside: Inside | None,
        *,
        data: bytes | None = None,
        timeout: float | None = None,
        silence: float | None = None,
        max_output: int = 1 << 20,
        grace: float = 2.0,
        kept: set[Kept] | None = None,
        reins: Reins | None = None,
    ) -> Completed:
        launch: Launch | None = None
        pump: Pump | None = None
        link: KeeperLink | None = None
        try:
            stdin = data is not None or (reins is not None and reins.writes)
            launch = self._launch(argv, cwd=cwd, env=env, stdin=stdin, inside=inside)
            link, command = await self._keepers.start(
                launch, inside, want_started=reins is not None, keep=kept is not None
            )
            pump = Pump(link, launch, data=data or b"", max_output=max_output, reins=reins)
            timeout = timeout if inside is None else inside.timeout(timeout)
            outcome = await pump.run(timeout, silence, grace)
            if command.lost:
                self._keepers.check_open(launch.name)
            if command.error is not None:
                raise launch.refused(command.error, is_directory=command.is_directory)
            completed = pump.completed(outcome, inside)
            is_kept = command.end is not None and command.end.kept
            if kept is not None and is_kept and completed.outcome is Outcome.EXITED:
                kept.add(self._keepers.keep(link, inside, launch))
                link = inside = None  # they are kept as well
            return completed
        finally:
            if pump is not None:
                pump.drain()
            await self._leave(launch, inside, link)  # noqa: ASYNC102 - shielded there, and bounded

    async def run_at_terminal(
        self,
        argv: Sequence[str],
        *,
        cwd: int,
        env: Mapping[str, str],
        timeout: float | None = None,
    ) -> Completed:
        """Run a program that has our terminal; see `runner.processes.at_terminal`.

        Raises:
            ExecFailed: there is no terminal, or it could not be started.

        Cancellation: it is ended.
        """
        keepers = self._keepers
        keepers.check_open(argv[0])
        env = {**env, sweep.TAG: self.run_id}
        return await run_at_terminal(argv, cwd=cwd, env=env, enter=keepers.enter, timeout=timeout)

    @asynccontextmanager
    async def open_process(
        self,
        argv: Sequence[str],
        *,
        cwd: int | str,
        env: Mapping[str, str],
        stdin: bytes | None = None,
        isolation: Isolation | None = None,
        scope: str | None = None,
        decided: Decided | None = None,
    ) -> AsyncIterator[Process]:
        """Start a program that runs beside us; leaving the context ends its whole tree.

        Args:
            argv: the program, looked up in the PATH of `env`, and its arguments.
            cwd: a directory, as a descriptor or a path.
            env: its whole environment; our tag is added.
            stdin: its standard input; None = it stays open, as `Process.stdin`.
            isolation: what is to hold it, as for `run`; `Process.isolation` is what does.
            scope: likewise.
            decided: likewise.

        Raises:
            ExecFailed: it could not be started, or not be held as is required.

        Cancellation: every process of it is gone before this leaves.
        """
        inside = await self._hold(isolation, argv, cwd, env, scope=scope, decided=decided)
        launch: Launch | None = None
        link: KeeperLink | None = None
        process: Process | None = None
        feeding = trio.CancelScope()
        try:
            launch = self._launch(argv, cwd=cwd, env=env, stdin=True, inside=inside)
            link, command = await self._keepers.start(launch, inside, want_started=True)
            await link.wait_until(lambda: command.leader is not None or command.over)
            if command.error is not None:
                raise launch.refused(command.error, is_directory=command.is_directory)
            process = Process(
                link, launch, self._keepers.put_down, owns_stdin=stdin is None, inside=inside
            )
            if inside is not None:
                inside.watch_wall(link.order_killed)
            if stdin is not None:
                trio.lowlevel.spawn_system_task(process.feed, stdin, feeding)
            yield process
        finally:
            feeding.cancel(reason="the process has been left")
            if process is not None:
                process.close()
            await self._leave(launch, inside, link)  # noqa: ASYNC102 - shielded there, and bounded

    async def aclose(self) -> None:
        """End everything that still runs, and the guardian; nothing can be started any more.

        Cancellation: it is all gone before this leaves.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._keepers.aclose()

    async def choose(self, isolation: Isolation) -> Choice:
        """Find out which mode is in force for what is asked for; quick once it is known.

        Raises:
            ExecFailed: it is required, and cannot be had here.
        """
        words = (*self._keepers.enter, *GuardianLink.command())
        identity = "\0".join((str(os.geteuid()), *words))
        return await choose(isolation, self._try, identity=identity)

    async def _try(self, way: Way, directory: str, script: str) -> Completed:
        """Run a trial of a way to hold programs."""
        env = {"PATH": os.defpath, "HOME": "/nonexistent"}
        where = locate(directory, None)
        mode: ModeInForce = "landlock" if way == "landlock" else "bwrap"
        program = find_program() if way == "bwrap program" else ""
        inside = Inside(
            Isolation(mode=mode), mode, where, env=env, run_id=self.run_id, program=program
        )
        return await self._run(("sh", "-c", script, "sh", mode), directory, env, inside)

    async def _hold(
        self,
        isolation: Isolation | None,
        argv: Sequence[str],
        cwd: int | str,
        env: Mapping[str, str],
        *,
        scope: str | None,
        decided: Decided | None,
    ) -> Inside | None:
        """Make ready what is to hold a program."""
        if isolation is None:
            return None
        try:
            choice = await self.choose(isolation)
            where = locate(cwd, scope, self._outside)
            return Inside(
                isolation,
                choice.mode,
                where,
                env=env,
                run_id=self.run_id,
                lacking=choice.lacking,
                program=choice.program,
                decided=decided,
            )
        except ExecFailed as error:
            error.path = argv[0] if argv and not isinstance(argv, str) else error.path
            raise

    def _launch(
        self,
        argv: Sequence[str],
        *,
        cwd: int | str,
        env: Mapping[str, str],
        stdin: bool,
        inside: Inside | None,
    ) -> Launch:
        more = {} if inside is None else inside.env
        launch = Launch(argv, cwd=cwd, env={**env, **more, sweep.TAG: self.run_id}, stdin=stdin)
        try:
            self._keepers.check_open(launch.name)
            if inside is not None:
                inside.check_program(launch.name, os.fsdecode(launch.words.split(b"\0", 1)[0]))
        except ExecFailed:
            launch.close()
            raise
        return launch

    async def _leave(
        self, launch: Launch | None, inside: Inside | None, link: KeeperLink | None
    ) -> None:
        """Close what is ours of a command, and see to it that nothing of it is left."""
        if launch is not None:
            launch.close()
        if inside is not None:
            inside.stop()
        if link is not None:
            if not link.command.gone:
                with trio.move_on_after(4 * PATIENCE, shield=True):
                    await self._keepers.put_down(link)
            self._keepers.give_back(link)
        if inside is not None:
            inside.close()
