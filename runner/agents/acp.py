"""The `acp` agent: how a program that speaks the Agent Client Protocol is started, and ended.

One live process over many turns; what is said over its pipes is `acp_talk`'s business. Tried with
the real gemini-cli (0.61.0) and opencode (1.18.33).

*Access.* The protocol has nothing that confines a program. What it may do is what one of its own
modes lets it do (`AcpAgent.modes`), or what the isolation does that it is started in. An access
without a mode is refused before anything is started, but for full access, which asks for nothing.

*Private.* HOME and TMPDIR lie in the session's private directory, with the files that the agent's
record gives. Where a program keeps its conversations is its own secret: there are no forks of them,
and nothing is known of their growth.

Some wrappers of other programs do not end with their input: the ladder goes on to SIGTERM.

What is not here: credentials (the session copies them), the lives of processes, the protocol.
"""

from __future__ import annotations

import glob
import posixpath
from typing import ClassVar, get_args

import attrs

from runner.agents.acp_talk import FULL, AcpConversation
from runner.agents.driver import MAX_PROMPT, Ability, Access, AcpAgent, Launch, Rung, Setting
from runner.errors import ConfigError

_ACCESS: tuple[Access, ...] = get_args(Access)


@attrs.frozen
class AcpDriver:
    """How a program that speaks the protocol carries out turns.

    Raises:
        ConfigError: the agent's record has no program, a mode for an access that there is not, no
            mode for its own access, or a file outside its home.
    """

    agent: AcpAgent

    name: ClassVar[str] = "acp"
    process_per_turn: ClassVar[bool] = False
    max_prompt: ClassVar[int] = MAX_PROMPT
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=3.0),
        Rung(act="eof", wait=5.0),
        Rung(act="SIGTERM", wait=2.0),
    )

    def __attrs_post_init__(self) -> None:
        if not self.agent.argv:
            raise ConfigError('the agent "acp" needs the argv of a program')
        for access in self.agent.modes:
            if access not in _ACCESS:
                raise ConfigError(f"modes are for {', '.join(_ACCESS)}, not for {access!r}")
        for path in filter(None, (*self.agent.files, *self.agent.seed, self.agent.by_minute)):
            if path.startswith("/") or posixpath.normpath(path).split("/")[0] in {"..", "."}:
                raise ConfigError(f"files are named relative to the program's home, not {path!r}")
        self._check(self.agent.access)

    def _check(self, access: Access) -> None:
        if access != FULL and access not in self.agent.modes:
            raise ConfigError(
                f"nothing holds this program to {access!r}: its `modes` name none for it. Name one"
                f" that does, or give it {FULL!r}, in an isolation if it has to be held"
            )

    @property
    def abilities(self) -> frozenset[Ability]:
        """What its program can do."""
        known: frozenset[Ability] = frozenset({"interrupt", "approvals", "mcp", "files"})
        return known | {"access", "per turn"} if self.agent.modes else known

    def launch(self, setting: Setting) -> Launch:
        """How to start the program for a conversation, new or not: both start alike.

        Raises:
            ConfigError: no mode holds the access that is wanted.
        """
        self._check(setting.options.access or self.agent.access)
        home = f"{setting.private}/home"
        files = ((f"{home}/{path}", text.encode()) for path, text in self.agent.files.items())
        return Launch(
            argv=self.agent.argv,
            env=(
                ("HOME", home),
                ("TMPDIR", f"{setting.private}/scratch"),
                *self.agent.env.items(),
            ),
            pass_env=self.agent.pass_env,
            aged=f"{glob.escape(home)}/{self.agent.by_minute}" if self.agent.by_minute else "",
            files=(
                (f"{home}/.keep", b""),  # makes the directory
                (f"{setting.private}/scratch/.keep", b""),
                *files,
            ),
        )

    def conversation(self, setting: Setting) -> AcpConversation:
        """The protocol state for a process started so."""
        return AcpConversation(setting, self.agent)

    def history(self, private: str, conversation: str) -> str:
        """Not known."""
        return ""
