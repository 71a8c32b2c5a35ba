"""Hooks that are executable files: `pre-commit`, `post-workspace-create`, … in some directories.

    <directory>/pre-<event> NAME PATH       asked before: an exit code but 0 refuses it, and what it
                                            wrote to its standard error is the reason
    <directory>/post-<event> NAME PATH      told afterwards

NAME is the workspace's name, PATH its live tree. In the environment are an allow-list and
RUNNER_HOOK, RUNNER_EVENT, RUNNER_WORKSPACE, RUNNER_WORKSPACE_PATH and RUNNER_HOOK_<WHAT> for what
else there is to say: RUNNER_HOOK_SNAPSHOT (its name), _MESSAGE, _COMMAND, _DIRECTION. It runs in
the directory that is given for it (the live tree), and is ended, with all that it started, after
`deadline` seconds.

A file that is not executable is no hook; that is logged once, since it is easily forgotten. One
that cannot be started, or takes too long, refuses: whoever puts a gate there wants it to be kept.

The directories must lie where programs in workspaces cannot write: these run with nothing around
them.
"""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from runner.errors import ExecFailed, HookVeto
from runner.messages import Outcome
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

logger = logging.getLogger("runner.workspaces.hooks")

MOST_REASON = 4096  # characters of a reason
DEADLINE = 60.0


@attrs.frozen(kw_only=True)
class Occasion:
    """What an event is about, for executable files.

    Attributes:
        name: of the workspace.
        path: of its live tree, absolute.
        cwd: where the files run; there before the workspace is.
        more: what else to say: of a commit `{"message": …}`.
    """

    name: str
    path: str
    cwd: str
    more: Mapping[str, str] = MappingProxyType({})


# What an event is about besides its workspace, by the word for it in the environment.
_WHAT = {
    "command": "command",
    "commit": "message",
    "snapshot": "snapshot",
    "restore": "snapshot",
    "sync": "direction",
}


def more_of(event: str, about: Sequence[object]) -> Mapping[str, str]:
    """What else there is to say of an event, from what its hooks get."""
    what = _WHAT.get(event)
    if what is None or len(about) < 2 or about[1] is None:
        return {}
    value = about[1]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {what: shlex.join(map(str, value))}
    return {what: str(getattr(value, "name", value))}


class HookFiles:
    """The executable files that are hooks.

    Args:
        host: runs them; None = there are none.
        directories: where they are; those that are not there have none.
        deadline: seconds for each.
    """

    def __init__(
        self,
        host: ProcessHost | None,
        directories: Sequence[str | os.PathLike[str]] = (),
        *,
        deadline: float = DEADLINE,
    ) -> None:
        """Nothing is looked at yet: files may come and go."""
        self._host = host
        self._directories = tuple(os.path.abspath(each) for each in directories)
        self._deadline = deadline
        self._warned: set[str] = set()

    def __bool__(self) -> bool:
        return self._host is not None and any(map(os.path.isdir, self._directories))

    async def ask(self, event: str, occasion: Occasion) -> None:
        """Ask those that are to be asked before it.

        Raises:
            HookVeto: one refuses it.
        """
        for path in self._found("pre", event):
            reason = await self._run(path, event, occasion)
            if reason is not None:
                raise HookVeto(path, reason)

    async def tell(self, event: str, occasion: Occasion) -> tuple[tuple[str, str], ...]:
        """Tell those that are to be told afterwards; the paths of those that failed, and why."""
        failed = []
        for path in self._found("post", event):
            reason = await self._run(path, event, occasion)
            if reason is not None:
                failed.append((path, reason))
        return tuple(failed)

    def _found(self, when: str, event: str) -> Iterator[str]:
        if self._host is None:
            return
        names = dict.fromkeys((f"{when}-{event}", f"{when}-{event.replace('_', '-')}"))
        for directory in self._directories:
            for name in names:
                path = os.path.join(directory, name)
                if not os.path.isfile(path):
                    continue
                if os.access(path, os.X_OK):
                    yield path
                elif path not in self._warned:
                    self._warned.add(path)
                    logger.warning("%s is no hook: it is not executable (chmod +x)", path)

    async def _run(self, path: str, event: str, occasion: Occasion) -> str | None:
        """Why it failed, or refuses; None if it did not."""
        assert self._host is not None
        more = {f"RUNNER_HOOK_{name.upper()}": value for name, value in occasion.more.items()}
        env = {
            **base_environment(os.environ),
            "RUNNER_HOOK": os.path.basename(path),
            "RUNNER_EVENT": event,
            "RUNNER_WORKSPACE": occasion.name,
            "RUNNER_WORKSPACE_PATH": occasion.path,
            **more,
        }
        try:
            done = await self._host.run(
                (path, occasion.name, occasion.path),
                cwd=occasion.cwd,
                env={name: _variable(value) for name, value in env.items()},
                timeout=self._deadline,
            )
        except ExecFailed as error:
            return error.reason
        if done.outcome is Outcome.TIMEOUT:
            return f"it took more than {self._deadline:g} seconds"
        if done.exit_code == 0:
            return None
        said = done.err.data().decode("utf-8", "replace").strip()[-MOST_REASON:]
        return said or f"it ended with exit code {done.exit_code}"


def _variable(value: str) -> str:
    """What can stand in an environment: no NUL, and not more than the kernel takes."""
    return value.replace("\0", "\ufffd")[: 32 * 1024]


NO_FILES = HookFiles(None)
