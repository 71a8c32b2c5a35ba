"""The guardian of a host and its keepers: who is idle, who gets a command, who is to be put down.

    start(launch) ──► an idle keeper, or a new one ──► its link ──► give_back
                                                        └── put_down: whatever is still there

One guardian is started before the first command, and another one should it have been killed; as
many keepers are forked as commands run at the same time, of which a few are kept for the next ones.

What this does not do: wait for a command, or know what it is about (host.py, pump.py).
"""

from __future__ import annotations

import errno
import functools
import logging
import os
import signal
import uuid
import weakref
from collections.abc import Sequence
from contextlib import suppress

import trio

from runner.errors import ExecFailed
from runner.processes import protocol, sweep
from runner.processes.command import Command
from runner.processes.guardian_link import GuardianLink
from runner.processes.isolation.inside import Inside
from runner.processes.isolation.limiting import wait_groups_gone
from runner.processes.kept import Kept
from runner.processes.launch import Launch, exec_failed
from runner.processes.link import KeeperLink, LinkLost
from runner.processes.tree import read_stat

IDLE_KEEPERS = 4  # a keeper costs 1 ms to fork and about 1 MB
TRIES = IDLE_KEEPERS + 3  # all that are idle may have been killed
HELLO = 20.0  # for a guardian to start, on a machine that is very busy
PATIENCE = 6.0  # a keeper gives up after 4 s what cannot be killed
NO_KEEPER = "no process can look after it: "
NO_GUARDIAN = "runner starts a second Python, `sys.executable`, to look after programs"
_sweepers = trio.CapacityLimiter(1)
_everywhere: weakref.WeakSet[Keepers] = weakref.WeakSet()
log = logging.getLogger(__name__)


def _close_all(links: set[GuardianLink | KeeperLink], pid: int) -> None:
    """Let everything end when a host is forgotten, or Python ends, without `aclose`.

    In a child that somebody has forked, these are copies: what they lead to is the parent's.
    """
    for link in links:
        if pid == os.getpid():
            link.shut()
        link.sock.close()  # not `close`: there may be no trio here
    for link in links:
        if isinstance(link, GuardianLink):
            link.forget()


class Keepers:
    """The processes between us and the commands of a host.

    Attributes:
        run_id: what the commands are tagged with.
        enter: what starts a guardian, if it is to run elsewhere.
        pid: whose they are.
        guardian: the present one; None before the first command and after the end.
        idle: keepers without a command.
        is_closed: whether none is to be had any more.
    """

    def __init__(self, run_id: str, enter: Sequence[str] = ()) -> None:
        """Nothing is started yet."""
        self.run_id = run_id
        self.enter = tuple(enter)
        self.guardian: GuardianLink | None = None
        self.idle: list[KeeperLink] = []
        self.is_closed = False
        self._links: set[GuardianLink | KeeperLink] = set()  # all that are open
        self.pid = os.getpid()
        _everywhere.add(self)
        self._finalizer = weakref.finalize(self, _close_all, self._links, self.pid)

    def check_open(self, name: str) -> None:
        """Raise ExecFailed for a program if no keeper is to be had any more."""
        if self.is_closed:
            raise ExecFailed(
                "exec", name, "its process host has been closed", hint="open a new one"
            )

    async def start(
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
        self.check_open(launch.name)
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

    def anew(self) -> Keepers:
        """Those of a child that was forked from us: these here look after its parent's commands.

        It is a run of its own, so that no sweep of one ends what is the other's.
        """
        self._finalizer()
        made = Keepers(uuid.uuid4().hex, self.enter)
        made.is_closed = self.is_closed
        return made

    async def _take_keeper(self, inside: Inside | None = None) -> KeeperLink:
        guardian = self._living_guardian()
        plan = None if inside is None else inside.plan
        if self.idle and plan is None:
            return self.idle.pop()
        try:
            link = guardian.fork_keeper() if plan is None else guardian.fork_keeper_inside(plan)
        except LinkLost:
            guardian.kill()  # it is dying: the next try is to find that out at once
            raise
        self._links.add(link)
        try:
            pid, fds = await self._hear(link, guardian, is_inside=plan is not None)
            if inside is not None:
                inside.begin(pid, fds, link.order_killed)
        except BaseException:
            self._drop(link)
            raise
        return link

    def _living_guardian(self) -> GuardianLink:
        if self.guardian is not None and not self.guardian.alive:
            log.warning("the guardian of run %s is dead; a new one is started", self.run_id)
            self._drop(self.guardian)
            self.guardian = None
            while self.idle:  # nobody would inherit from them
                self._drop(self.idle.pop())
        if self.guardian is None:
            self.guardian = GuardianLink(self.run_id, self.enter)
            self._links.add(self.guardian)
        return self.guardian

    async def _hear(
        self, link: KeeperLink, guardian: GuardianLink, *, is_inside: bool
    ) -> tuple[int, list[int]]:
        """Wait until a new keeper says that it is there; its pid, and descriptors from inside."""
        with trio.move_on_after(HELLO):
            await link.wait_until(lambda: link.pid is not None or link.command.over)
        said, fds = link.hear_aside()
        if link.command.error is not None:
            kind = NotInside if is_inside else OSError
            raise kind(link.command.error, said or "fork")
        if link.pid is None and said:  # of the program that was to make the namespaces
            raise NotInside(errno.EPERM, said)
        if link.pid is None:
            if not link.lost:
                guardian.kill()  # it does not serve: stopped by a command, say
            raise LinkLost
        return link.pid, fds

    def _drop(self, link: GuardianLink | KeeperLink) -> None:
        self._links.discard(link)
        link.close()

    def give_back(self, link: KeeperLink) -> None:
        """Keep the keeper of a command that is over for the next one, if it is fit for that."""
        end = link.command.end
        if end is not None and end.remaining:
            log.warning("run %s: %d processes cannot be ended", self.run_id, end.remaining)
        if link.reusable and not self.is_closed and len(self.idle) < IDLE_KEEPERS:
            self.idle.append(link)
        else:
            self._drop(link)

    async def put_down(self, link: KeeperLink) -> None:
        """See to it that a command is over and all of it gone, by harsher and harsher means."""
        command = link.command
        with trio.CancelScope(shield=True):  # each step is bounded
            if not command.over:
                with suppress(LinkLost):
                    link.request(protocol.KILL)
                with trio.move_on_after(PATIENCE):
                    await link.wait_until(lambda: command.over)
            if command.settled and not command.gone:  # it may have ended before it heard of that
                await self._end_kept(link)
            if command.settled or command.down:
                return
            link.lose()
            guardian = self.guardian
            with suppress(LinkLost), trio.move_on_after(PATIENCE):
                if guardian is not None and self.is_closed:
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
        guardian, pid = self.guardian, link.pid
        with suppress(OSError):  # it has ended
            if guardian is not None and pid is not None and _is_child(pid, guardian.pid):
                os.kill(pid, signal.SIGKILL)

    def keep(self, link: KeeperLink, inside: Inside | None, launch: Launch) -> Kept:
        """Have its keeper look after what a command has left running."""
        streams = launch.stdout, launch.stderr
        return Kept(link, inside, streams=streams, end=self._end_kept, drop=self._drop)

    async def _end_kept(self, link: KeeperLink) -> None:
        """End what a command has left running, by its keeper or else by the guardian."""
        guardian = self.guardian
        with trio.CancelScope(shield=True), suppress(LinkLost):  # each step is bounded
            link.request(protocol.KILL)
            with trio.move_on_after(PATIENCE):
                await link.wait_until(lambda: link.lost)
            if not link.lost and guardian is not None and link.pid is not None:
                with trio.move_on_after(PATIENCE):
                    await guardian.end_keeper(link.pid)

    async def _sweep(self) -> None:
        """End what carries our tag, but for what living keepers look after: also another host's."""
        ours = [each for each in _everywhere if (each.run_id, each.pid) == (self.run_id, self.pid)]
        links = [link for each in ours for link in each._links]  # noqa: SLF001 - of one class
        spare = {link.pid for link in links if isinstance(link, KeeperLink) and not link.lost}
        look = functools.partial(sweep.sweep_run, self.run_id, frozenset(spare))
        try:
            await trio.to_thread.run_sync(look, limiter=_sweepers)
        except RuntimeError:  # no thread can be started: they count as processes
            look()

    async def aclose(self) -> None:
        """End everything that still runs, and the guardian."""
        self.is_closed = True
        self.idle.clear()
        guardian = self.guardian
        with trio.CancelScope(shield=True):
            for link in self._links:
                link.shut()  # their readers read EOF and close them; so do the processes
            if guardian is not None:
                guardian.go_on()
                if not await guardian.wait(2 * PATIENCE):
                    guardian.kill()
                await self._sweep()
                self.guardian = None
            for link in tuple(self._links):
                self._drop(link)
            await wait_groups_gone()


def _is_child(pid: int, parent: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat[0] == parent


class NotInside(OSError):
    """A process did not come inside, and what it says about that."""

    def __str__(self) -> str:
        return f"it cannot be held inside: {self.strerror}"
