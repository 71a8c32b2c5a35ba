"""ProcessHost: the one place where programs are started, and where they are ended.

    run / open_process ──► a keeper from the pool ──► leader ──► whatever it starts

Nothing is started before the first use; then one guardian, and as many keepers as commands run at
the same time, of which a few are kept for the next ones. A command's end is its leader's end: the
keeper then ends everything else below it before it reports, so that nothing of a command is alive
when its call returns, by return, timeout, cancellation or error. If we die, keepers and guardian
read EOF and do the same.

It holds against all that a command may do, but for killing its keeper and the guardian: then what
carries our tag in its environment (`RUNNER_RUN`) is found by that, here and at `aclose`. What also
cleared its environment is lost to us; only a PID namespace could hold it: that, and the rest of
what `Isolation` asks for, is in `isolation/`. Then the keeper is pid 1 of its command's namespaces,
and serves that one command. All of it needs Linux: subreapers, pidfds, epoll.
"""

from __future__ import annotations

import functools
import logging
import os
import signal
import time
import uuid
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import trio

from runner.errors import ExecFailed
from runner.messages import Completed, Isolation, Outcome
from runner.messages.isolation import ModeInForce
from runner.processes import protocol, sweep
from runner.processes.isolation.choosing import Choice, choose, locate
from runner.processes.isolation.inside import Inside, wait_groups_gone
from runner.processes.isolation.proxy import Decided
from runner.processes.kept import Kept
from runner.processes.launch import Launch, exec_failed, not_entered
from runner.processes.link import Command, End, GuardianLink, KeeperLink, LinkLost
from runner.processes.process import Process
from runner.processes.pump import Pump
from runner.processes.reins import Reins

IDLE_KEEPERS = 4  # a keeper costs 1 ms to fork and about 1 MB
TRIES = 3
HELLO = 20.0  # for a guardian to start, on a machine that is very busy
PATIENCE = 6.0  # a keeper gives up after 4 s what cannot be killed
TAG = sweep.TAG
_sweepers = trio.CapacityLimiter(1)
NO_KEEPER = "no process can look after it: "
NO_GUARDIAN = "runner starts a second Python, `sys.executable`, to look after programs"
log = logging.getLogger(__name__)


def _close_all(links: set[GuardianLink | KeeperLink]) -> None:
    """Let everything end when a host is forgotten, or Python ends, without `aclose`."""
    for link in links:
        link.sock.close()  # not `close`: there may be no trio here
    for link in links:
        if isinstance(link, GuardianLink):
            link.forget()


class ProcessHost:
    """Starts programs and leaves nothing of them; usable from any task, without a nursery.

    Attributes:
        run_id: what the processes are tagged with, in the variable RUNNER_RUN.
    """

    def __init__(self, *, run_id: str | None = None) -> None:
        """Make a host; nothing is started yet.

        Args:
            run_id: letters, digits, `-` and `_`; None = a new one. See `runner.processes.sweep`.
        """
        self.run_id = uuid.uuid4().hex if run_id is None else sweep.check_run_id(run_id)
        self._guardian: GuardianLink | None = None
        self._idle: list[KeeperLink] = []
        self._links: set[GuardianLink | KeeperLink] = set()  # all that are open
        self._closed = False
        weakref.finalize(self, _close_all, self._links)

    def __repr__(self) -> str:
        guardian = "no guardian" if self._guardian is None else f"guardian {self._guardian.pid}"
        return f"<ProcessHost {self.run_id} {guardian}, {len(self._idle)} keepers idle>"

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
            stdin = _has_input(data, reins)
            launch = self._launch(argv, cwd=cwd, env=env, stdin=stdin, inside=inside)
            link, command = await self._start(
                launch, inside, want_started=reins is not None, keep=kept is not None
            )
            pump = Pump(link, launch, data=data or b"", max_output=max_output, reins=reins)
            timeout = timeout if inside is None else inside.timeout(timeout)
            outcome = await pump.run(timeout, silence, grace)
            if command.lost:
                self._check_open(launch.name)
            if command.error is not None:
                raise _refused(launch, command)
            pump.drain()
            end = command.end or _killed()
            completed = _completed(pump, command, end, outcome, inside)
            if kept is not None and end.kept and completed.outcome is Outcome.EXITED:
                kept.add(self._keep(link, inside, launch))
                link = inside = None  # they are kept as well
            return completed
        finally:
            if pump is not None:
                pump.drain()
            if launch is not None:
                launch.close()
            if inside is not None:
                inside.stop()
            if link is not None:
                if not link.command.gone:
                    with trio.move_on_after(4 * PATIENCE, shield=True):
                        await self._put_down(link)
                self._give_back(link)
            if inside is not None:
                inside.close()

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
            link, command = await self._start(launch, inside, want_started=True)
            await link.wait_until(lambda: command.leader is not None or command.over)
            if command.error is not None:
                raise _refused(launch, command)
            process = Process(link, launch, self._put_down, owns_stdin=stdin is None, inside=inside)
            if inside is not None:
                inside.watch_wall(functools.partial(_order_killed, link))
            if stdin is not None:
                trio.lowlevel.spawn_system_task(process.feed, stdin, feeding)
            yield process
        finally:
            feeding.cancel(reason="the process has been left")
            if process is not None:
                process.close()
            if launch is not None:
                launch.close()
            if inside is not None:
                inside.stop()
            if link is not None:
                if not link.command.settled:
                    with trio.move_on_after(4 * PATIENCE, shield=True):
                        await self._put_down(link)
                self._give_back(link)
            if inside is not None:
                inside.close()

    async def aclose(self) -> None:
        """End everything that still runs, and the guardian; nothing can be started any more.

        Cancellation: it is all gone before this leaves.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        self._closed = True
        self._idle.clear()
        guardian = self._guardian
        with trio.CancelScope(shield=True):
            for link in self._links:
                link.shut()  # their readers read EOF and close them; so do the processes
            if guardian is not None:
                if not await guardian.wait(2 * PATIENCE):
                    guardian.kill()
                await self._sweep()
                self._guardian = None
            for link in tuple(self._links):
                self._drop(link)
            await wait_groups_gone()

    # ------------------------------------------------------------ keepers and the guardian

    async def choose(self, isolation: Isolation) -> Choice:
        """Find out which mode is in force for what is asked for; quick once it is known.

        Raises:
            ExecFailed: it is required, and cannot be had here.
        """
        identity = "\0".join((str(os.geteuid()), *GuardianLink.command()))
        return await choose(isolation, self._try, identity=identity)

    async def _try(self, mode: ModeInForce, directory: str, script: str) -> Completed:
        """Run a trial of a mode."""
        env = {"PATH": os.defpath, "HOME": "/nonexistent"}
        where = locate(directory, None)
        inside = Inside(Isolation(mode=mode), mode, where, env=env, run_id=self.run_id)
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
            where = locate(cwd, scope)
            return Inside(
                isolation,
                choice.mode,
                where,
                env=env,
                run_id=self.run_id,
                lacking=choice.lacking,
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
        launch = Launch(argv, cwd=cwd, env={**env, **more, TAG: self.run_id}, stdin=stdin)
        try:
            self._check_open(launch.name)
            if inside is not None:
                inside.check_program(launch.name, os.fsdecode(launch.words.split(b"\0", 1)[0]))
        except ExecFailed:
            launch.close()
            raise
        return launch

    def _check_open(self, name: str) -> None:
        if self._closed:
            raise ExecFailed(
                "exec", name, "its process host has been closed", hint="open a new one"
            )

    async def _start(
        self, launch: Launch, inside: Inside | None, *, want_started: bool, keep: bool = False
    ) -> tuple[KeeperLink, Command]:
        """Give a command to a keeper; try again as long as it cannot have begun."""
        for _ in range(TRIES):
            try:
                link = await self._take_keeper(inside)
                command = await self._give(link, launch, want_started=want_started, keep=keep)
            except LinkLost:
                continue
            except OSError as error:
                if isinstance(error, NotInside):
                    raise ExecFailed("exec", launch.name, str(error)) from None
                raise exec_failed(launch.name, error.errno or 0, what=NO_KEEPER) from error
            launch.close_far()
            return link, command
        self._check_open(launch.name)
        raise ExecFailed("exec", launch.name, "the guardian process does not run", hint=NO_GUARDIAN)

    async def _give(
        self, link: KeeperLink, launch: Launch, *, want_started: bool, keep: bool
    ) -> Command:
        try:
            link.watcher()  # it may fail, and now nothing has begun
            return await link.start(launch, want_started=want_started, keep=keep)
        except BaseException:
            self._drop(link)
            raise

    async def _take_keeper(self, inside: Inside | None = None) -> KeeperLink:
        if self._guardian is not None and not self._guardian.alive:
            log.warning("the guardian of run %s is dead; a new one is started", self.run_id)
            self._drop(self._guardian)
            self._guardian = None
            while self._idle:  # nobody would inherit from them
                self._drop(self._idle.pop())
        plan = None if inside is None else inside.plan
        if self._idle and plan is None:
            return self._idle.pop()
        if self._guardian is None:
            self._guardian = GuardianLink(self.run_id)
            self._links.add(self._guardian)
        guardian = self._guardian
        link = guardian.fork_keeper() if plan is None else guardian.fork_keeper_inside(plan)
        self._links.add(link)
        try:
            with trio.move_on_after(HELLO):
                await link.wait_until(lambda: link.pid is not None or link.command.over)
            said, fds = link.hear_aside()
            if link.command.error is not None:
                kind = OSError if plan is None else NotInside
                raise kind(link.command.error, said or "fork")
            if link.pid is None:
                guardian.kill()  # it does not serve: stopped by a command, say
                raise LinkLost
            if inside is not None:
                inside.begin(link.pid, fds, functools.partial(_order_killed, link))
        except BaseException:
            self._drop(link)
            raise
        return link

    def _drop(self, link: GuardianLink | KeeperLink) -> None:
        self._links.discard(link)
        link.close()

    def _give_back(self, link: KeeperLink) -> None:
        """Keep the keeper of a command that is over for the next one, if it is fit for that."""
        end = link.command.end
        if end is not None and end.remaining:
            log.warning("run %s: %d processes cannot be ended", self.run_id, end.remaining)
        if link.reusable and not self._closed and len(self._idle) < IDLE_KEEPERS:
            self._idle.append(link)
        else:
            self._drop(link)

    async def _put_down(self, link: KeeperLink) -> None:
        """See to it that a command is over and all of it gone, by harsher and harsher means."""
        command = link.command
        with trio.CancelScope(shield=True):  # each step is bounded
            if command.settled and not command.gone:
                await self._end_kept(link)
            if not command.over:
                with suppress(LinkLost):
                    link.request(protocol.KILL)
                with trio.move_on_after(PATIENCE):
                    await link.wait_until(lambda: command.over)
            if command.settled or command.down:
                return
            link.lose()
            guardian = self._guardian
            with suppress(LinkLost), trio.move_on_after(PATIENCE):
                if guardian is not None and self._closed:
                    command.down = await guardian.wait(PATIENCE)
                elif guardian is not None and link.pid is not None:
                    await guardian.end_keeper(link.pid)
                    command.down = True
            if command.down:
                return
            log.warning("run %s has lost keeper and guardian; sweeping by tag", self.run_id)
            self._kill_keeper(link)
            await self._sweep()
            command.down = True

    def _kill_keeper(self, link: KeeperLink) -> None:
        """End a keeper that hears nobody (a command has stopped it), nor does its guardian."""
        guardian, pid = self._guardian, link.pid
        with suppress(OSError):  # it has ended
            if guardian is not None and pid is not None and parent_of(pid) == guardian.pid:
                os.kill(pid, signal.SIGKILL)

    def _keep(self, link: KeeperLink, inside: Inside | None, launch: Launch) -> Kept:
        """Have its keeper look after what a command has left running."""
        streams = launch.stdout, launch.stderr
        return Kept(link, inside, streams=streams, end=self._end_kept, drop=self._drop)

    async def _end_kept(self, link: KeeperLink) -> None:
        """End what a command has left running, by its keeper or else by the guardian."""
        guardian = self._guardian
        with trio.CancelScope(shield=True), suppress(LinkLost):  # each step is bounded
            link.request(protocol.KILL)
            with trio.move_on_after(PATIENCE):
                await link.wait_until(lambda: link.lost)
            if not link.lost and guardian is not None and link.pid is not None:
                with trio.move_on_after(PATIENCE):
                    await guardian.end_keeper(link.pid)

    async def _sweep(self) -> None:
        """End what carries our tag, but for what living keepers look after."""
        spare = {link.pid for link in self._links if isinstance(link, KeeperLink) and not link.lost}
        look = functools.partial(sweep.sweep_run, self.run_id, frozenset(spare))
        try:
            await trio.to_thread.run_sync(look, limiter=_sweepers)
        except RuntimeError:  # no thread can be started: they count as processes
            look()


def parent_of(pid: int) -> int:
    """The parent of a process; OSError if there is no such process."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


class NotInside(OSError):
    """A process did not come inside, and what it says about that."""

    def __str__(self) -> str:
        return f"it cannot be held inside: {self.strerror}"


def _order_killed(link: KeeperLink) -> None:
    """Have a keeper end its command, or what that has left running; if it is gone, it does so.

    It is asked for, and not left to EOF: so its leaving says that all of it is gone.
    """
    if not link.lost and not link.command.gone:
        with suppress(LinkLost):
            link.request(protocol.KILL)


def _refused(launch: Launch, command: Command) -> ExecFailed:
    """What the keeper says why it could not start a program."""
    number = command.error or 0
    if command.is_directory:
        return not_entered(launch.name, os.strerror(number))
    return exec_failed(launch.name, number)


def _has_input(data: bytes | None, reins: Reins | None) -> bool:
    return data is not None or (reins is not None and reins.writes)


def _completed(
    pump: Pump, command: Command, end: End, outcome: Outcome, inside: Inside | None
) -> Completed:
    """What is said of a command that has ended."""
    if end.when < pump.told:  # it was only the rest of its tree that took too long
        outcome = Outcome.EXITED
    duration = max(0.0, end.when - command.began)
    exceeded = None if inside is None else inside.exceeded(end.exit_code, outcome, duration)
    return Completed(
        exit_code=end.exit_code,
        outcome=outcome,
        out=pump.out.capture.output(),
        err=pump.err.capture.output(),
        duration=duration,
        leftovers=end.leftovers,
        isolation=None if inside is None else inside.in_force,
        limit_exceeded=exceeded,
    )


def _killed() -> End:
    """The end of a command whose keeper is gone: the guardian, or the sweep, kills what it had."""
    return End(exit_code=-signal.SIGKILL, leftovers=0, remaining=0, when=time.monotonic())
