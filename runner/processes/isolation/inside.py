"""One program's confinement, from what is asked for to what came of it.

`Inside` is what a process host keeps for a program that something is asked of: which mode is in
force and why, the plan, the group, the proxy, and whoever looks on while it runs. All of its tasks
are system tasks, which end with `close`; none of them raises.
"""

from __future__ import annotations

import contextvars
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

import attrs
import trio

from runner.errors import ExecFailed
from runner.messages import Outcome
from runner.messages.isolation import Decided, InForce, Isolation, Limit, Limits, ModeInForce
from runner.processes.environment import CERTIFICATES
from runner.processes.isolation import users, watching
from runner.processes.isolation.layers import layers_of, network_of
from runner.processes.isolation.limiting import Limiting
from runner.processes.isolation.plan import Plan, make_plan
from runner.processes.isolation.proxy import Proxy
from runner.processes.isolation.root import is_beneath
from runner.processes.isolation.users import Lacking

log = logging.getLogger(__name__)
NO_BOUNDARY = "programs are not held inside their scope"
_removers = trio.CapacityLimiter(1)


@attrs.frozen(kw_only=True)
class Where:
    """Where a program is to run.

    Attributes:
        scope: the directory that it can write, absolute.
        directory: its working directory, absolute.
        outside: what leads us to where these names are of, put before them; "" = they are ours.
    """

    scope: str
    directory: str
    outside: str = ""


class Inside:
    """A program's confinement.

    Attributes:
        plan: what the guardian and the process inside are told; None = it is as any other.
        in_force: what holds.
    """

    def __init__(
        self,
        isolation: Isolation,
        mode: ModeInForce,
        where: Where,
        *,
        env: Mapping[str, str],
        run_id: str,
        lacking: tuple[str, ...] = (),
        program: str = "",
        decided: Decided | None = None,
    ) -> None:
        """Make ready for a program; nothing runs yet.

        Args:
            isolation: what is asked for.
            mode: in force.
            where: it is to run.
            env: its variables.
            run_id: of its host.
            lacking: what is not in force by the choice of the mode.
            program: the bwrap program that makes the namespaces; "" = we do.
            decided: told what the proxy decides.

        Raises:
            ExecFailed: it cannot be as it is asked for.
        """
        self._isolation, self._where = isolation, where
        self._decided, self._program = decided, program
        self._has_own = is_beneath(env.get("TMPDIR", ""), (where.scope, *isolation.writable))
        self._scopes: list[trio.CancelScope] = []
        limiting = Limiting(isolation, mode, run_id, ours=2 if program else 1)
        self._limiting = limiting
        self._private = ""
        try:
            if mode == "landlock":
                self._private = _make_private()
            self.plan = self._make_plan(mode, env)
            layers = layers_of(mode, isolation, where.scope, program=program)
        except (Lacking, OSError) as error:  # the latter of a full disk, say
            self.close()
            raise ExecFailed("exec", None, f"it cannot be held inside: {error}") from error
        self.in_force = InForce(
            mode=mode,
            layers=layers,
            network=network_of(mode, isolation),
            limits=limiting.means(),
            lacking=(*lacking, *limiting.lacking),
        )

    def _make_plan(self, mode: ModeInForce, env: Mapping[str, str]) -> Plan | None:
        if mode == "none" and self._isolation.limits == Limits():
            return None
        return make_plan(
            self._isolation,
            mode,
            scope=self._where.scope,
            directory=self._where.directory,
            home=env.get("HOME", ""),
            certificates=_certificates(env),
            cgroups=self._limiting.groups,
            rlimits=self._limiting.rlimits(),
            private=self._private,
            program=self._program,
            outside=self._where.outside,
        )

    @property
    def env(self) -> dict[str, str]:
        """Variables that a program needs to find what is there."""
        found: dict[str, str] = {}
        if self._has_own:
            pass  # its own place for what is temporary can be written inside as well
        elif self.in_force.mode == "bwrap":
            found["TMPDIR"] = "/tmp"  # noqa: S108 - a private one
        elif self._private:
            found["TMPDIR"] = self._private
        if self.in_force.network == "proxy":
            found |= Proxy.variables()
        return found

    def check_program(self, name: str, program: str) -> None:
        """See to it that a program can be found inside.

        Raises:
            ExecFailed: it cannot be seen there.
        """
        if self.plan is None or not self.plan.visible or not program.startswith("/"):
            return
        for path in (program, os.path.realpath(program)):
            if not is_beneath(path, self.plan.visible):
                hint = f"let `readable` of the isolation name {os.path.dirname(path)!r}"
                raise ExecFailed("exec", name, f"{path} is not to be seen inside", hint=hint)

    def begin(self, pid: int, listeners: list[int], kill: Callable[[], None]) -> None:
        """Look on from here on: the process inside is there, and the program comes next.

        Args:
            pid: of the process inside.
            listeners: sockets that it made there, ours now.
            kill: ends the program.
        """

        def end(limit: Limit) -> None:
            self._limiting.ended_for = self._limiting.ended_for or limit
            kill()

        limits = self._isolation.limits
        for fd in listeners:
            proxy = Proxy(self._isolation.network, self._decided)
            self._spawn(proxy.serve, socket.socket(fileno=fd))
        if limits.disk is not None:
            self._spawn(watching.watch_disk, self._where.scope, limits.disk, end)
        if self._private:  # on disk, where /tmp of others is in memory and has a size
            self._spawn(watching.watch_disk, self._private, self._isolation.private, end)
        if self._limiting.watches_memory and limits.memory is not None:
            self._spawn(watching.watch_memory, pid, limits.memory, end)

    def watch_wall(self, kill: Callable[[], None]) -> None:
        """End it when its time is over; for programs that have no timeout of their own."""
        limit = self._isolation.limits.wall

        async def wait(seconds: float) -> None:
            await trio.sleep(seconds)
            self._limiting.ended_for = self._limiting.ended_for or "wall"
            kill()

        if limit is not None:
            self._spawn(wait, limit)

    def timeout(self, asked: float | None) -> float | None:
        """The shorter of two times."""
        wall = self._isolation.limits.wall
        return asked if wall is None else wall if asked is None else min(asked, wall)

    def _spawn(self, work: Callable[..., object], *arguments: object) -> None:
        cancel_scope = trio.CancelScope()
        self._scopes.append(cancel_scope)

        async def carry_out() -> None:
            with cancel_scope:
                try:
                    await work(*arguments)  # type: ignore[misc] # they are all async
                except Exception:  # a system task that raises ends trio itself
                    log.exception("what looks on a program has failed")

        # In the asker's context: who it is, is told with the proxy's decisions.
        trio.lowlevel.spawn_system_task(carry_out, context=contextvars.copy_context())

    def exceeded(self, exit_code: int, outcome: Outcome, duration: float) -> Limit | None:
        """The limit that ended the program, or one of its processes."""
        return self._limiting.exceeded(exit_code, outcome, duration)

    def stop(self) -> None:
        """Look on no longer."""
        for each in self._scopes:
            each.cancel(reason="the program has ended")

    def close(self) -> None:
        """Look on no longer, and let the group go, which nothing is in any more."""
        self.stop()
        if self._private:  # a program may have left a lot there
            trio.lowlevel.spawn_system_task(_remove, self._private)
            self._private = ""
        self._limiting.close()


def _certificates(env: Mapping[str, str]) -> list[str]:
    """What the machine trusts, where it says so itself: a caller's own variables open no file."""
    named = (
        env[name] for name in CERTIFICATES if name in env and env[name] == os.environ.get(name)
    )
    return [each for each in named if os.path.isabs(each)]


def _make_private() -> str:
    """A directory for what is temporary, where there can be no /tmp of a program's own."""
    path = tempfile.mkdtemp(prefix="runner-private-")
    os.chown(path, *users.own_ids())
    return path


async def _remove(path: str) -> None:
    remove = partial(shutil.rmtree, path, ignore_errors=True)
    with suppress(trio.Cancelled):  # it has begun then, and goes on
        await trio.to_thread.run_sync(remove, limiter=_removers)
