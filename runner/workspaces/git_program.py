"""The git program, for commits in a repository of the user's: with their configuration and hooks.

What reaches git of our environment: the allow-list of all programs, and what says who the user is
to git, where its configuration is, and how it signs. It asks nobody anything.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping

import attrs

from runner.errors import CommitError, ExecFailed
from runner.messages import Outcome
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost

PATIENCE = 600.0  # seconds: hooks may run tests
_MOST_OUTPUT = 1 << 28  # bytes: a listing of a large tree
_SAID = 4000  # characters of what it said, in an error
_PASSED = {
    *("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_AUTHOR_DATE"),
    *("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_COMMITTER_DATE", "EMAIL"),
    *("XDG_CONFIG_HOME", "GNUPGHOME", "GPG_TTY", "SSH_AUTH_SOCK"),
}
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "GIT_EDITOR": ":", "LC_ALL": "C"}
# Nothing of it goes on after its end.
_PLAIN = (
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsmonitor=false"),
    *("-c", "i18n.commitEncoding=UTF-8"),
)


@attrs.frozen(kw_only=True)
class Git:
    """Runs git.

    Attributes:
        host: runs programs.
        directory: where it runs.
        env: what it gets besides: which repository, which index.
    """

    host: ProcessHost
    directory: str
    env: Mapping[str, str] = attrs.field(factory=dict)

    def at(self, directory: str, index: str) -> Git:
        """The same with another work tree, where it runs, and another index."""
        env = {**self.env, "GIT_WORK_TREE": directory, "GIT_INDEX_FILE": index}
        return attrs.evolve(self, directory=directory, env=env)

    async def ask(self, *arguments: str, stdin: bytes = b"", **env: str) -> str | None:
        """What it says, without the line's end; None if it says no."""
        code, out, _ = await self._run(arguments, stdin, env)
        return None if code else os.fsdecode(out).rstrip("\n")

    async def data(self, *arguments: str, what: str, stdin: bytes = b"", **env: str) -> bytes:
        """What it says.

        Args:
            arguments: of git.
            what: cannot be done if it fails, for the error.
            stdin: what it reads.
            env: what it gets besides.

        Raises:
            CommitError: it failed; with what it said.
        """
        code, out, said = await self._run(arguments, stdin, env)
        if code:
            raise CommitError(f"{what}: {said or f'git ended with {code}'}")
        return out

    async def text(self, *arguments: str, what: str, stdin: bytes = b"", **env: str) -> str:
        """The same as text, without the line's end."""
        return os.fsdecode(await self.data(*arguments, what=what, stdin=stdin, **env)).rstrip("\n")

    async def _run(
        self, arguments: tuple[str, ...], stdin: bytes, env: Mapping[str, str]
    ) -> tuple[int, bytes, str]:
        if shutil.which("git") is None:
            raise CommitError("a commit to a branch needs the program git: install it")
        passed = [each for each in os.environ if each in _PASSED or each.startswith("GIT_CONFIG")]
        environment = base_environment(
            os.environ, pass_env=passed, extra={**_QUIET, **self.env, **env}
        )
        try:
            done = await self.host.run(
                ["git", *_PLAIN, *arguments],
                cwd=self.directory,
                env=environment,
                input=stdin,
                timeout=PATIENCE,
                max_output=_MOST_OUTPUT,
            )
        except ExecFailed as error:
            raise CommitError(f"git cannot be run in {self.directory!r}: {error.reason}") from error
        said = (done.err.data() + done.out.data()).decode("utf-8", "replace").strip()
        if done.outcome is not Outcome.EXITED:
            return -1, b"", f"git {arguments[0]} was ended after {PATIENCE:g} seconds. {said}"
        return done.exit_code or 0, done.out.data(), said[-_SAID:]
