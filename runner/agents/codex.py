"""The `codex` agent: how codex is started, what it may do, how it is ended.

`codex app-server`: one live process over many turns; what is said over its pipes is
`codex_server`'s business. Everything below was tried with the real program, 0.169.0.

*Private.* HOME, CODEX_HOME and TMPDIR lie in the session's private directory. TMPDIR because codex
gives up its own sandbox when its home is below the directory for temporary files; and as the one
place beside the directory where a confined command may write, instead of a `/tmp` for everybody.

*Bounded.* Its retries are bounded for the provider that the user's configuration has, unless it
says otherwise. A connection that is refused it tries for ever, which the session ends (its
flight.py); an answer that never begins it waits for without end: only the turn's deadlines end it.

What is not here: credentials (the session copies them), the lives of processes, the protocol.
"""

from __future__ import annotations

import re
import tomllib
from typing import ClassVar

import attrs

from runner.agents.codex_open import MAX_PROMPT
from runner.agents.codex_server import CodexConversation
from runner.agents.driver import Ability, CodexAgent, Launch, Rung, Setting
from runner.agents.lines import mapping_of, text_of
from runner.errors import ConfigError

# For a provider of the user's own. Codex's defaults are 4 and 5, multiplied: 30 requests.
BOUNDS = {"request_max_retries": 2, "stream_max_retries": 3, "stream_idle_timeout_ms": 120_000}

# The tool by which the model asks questions; without this it has it in "plan mode" only.
ASKING = ("features.default_mode_request_user_input=true",)

QUIET = ("check_for_update_on_startup=false", "analytics.enabled=false")

# It would write all that its shell exports into a file of its home, keys as well (measured).
KEPT_NOWHERE = ("features.shell_snapshot=false",)


@attrs.frozen
class CodexDriver:
    """How codex carries out turns.

    Raises:
        ConfigError: the agent's `config` is not TOML.
    """

    agent: CodexAgent
    overrides: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "overrides", (*QUIET, *KEPT_NOWHERE, *_bounds(self.agent.config)))

    name: ClassVar[str] = "codex"
    process_per_turn: ClassVar[bool] = False
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset(
        {
            "steer",
            "interrupt",
            "fork",
            "fork at turn",
            "approvals",
            "schema",
            "access",
            "per turn",
            "mcp",
        }
    )
    # Never SIGINT: it leaves running commands behind, the end of input and SIGTERM do not.
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=3.0),
        Rung(act="eof", wait=5.0),
        Rung(act="SIGTERM", wait=2.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """How to start the program for a conversation, new or not: both start alike."""
        home = f"{setting.private}/home"
        asking = ASKING if setting.approvals else ()
        overrides = [word for each in (*self.overrides, *asking) for word in ("-c", each)]
        env = {"HOME": home, "CODEX_HOME": f"{home}/.codex", "TMPDIR": f"{setting.private}/scratch"}
        return Launch(
            argv=(self.agent.program, "app-server", *overrides, *self.agent.args),
            env=(*env.items(), *self.agent.env.items()),
            pass_env=self.agent.pass_env,
            files=(
                (f"{home}/.codex/config.toml", self.agent.config.encode()),
                (f"{setting.private}/scratch/.keep", b""),  # makes the directory
            ),
            copies=_copies(setting, home),
        )

    def conversation(self, setting: Setting) -> CodexConversation:
        """The protocol state for a process started so."""
        return CodexConversation(setting, self.agent.access, self.agent.model)

    def history(self, private: str, conversation: str) -> str:
        """Where it keeps a conversation: by the day on which it was begun."""
        return f"{private}/home/.codex/sessions/*/*/*/rollout-*-{conversation}.jsonl"


def _copies(setting: Setting, home: str) -> tuple[tuple[str, str], ...]:
    """The files of the conversation that is forked, and of what that was a fork of.

    They are needed as long as the fork is, and at their place.
    """
    if setting.origin is None or setting.resume:
        return ()
    whole, _, _ = setting.origin.history.rpartition("/sessions/")
    there, here = f"{whole}/sessions", f"{home}/.codex/sessions"
    return () if there == here else ((there, here),)  # the same for one that is set back


def _bounds(config: str) -> list[str]:
    """The bounds, as overrides, for the provider in use that does not say its own."""
    try:
        known = tomllib.loads(config)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"codex's config is not TOML: {exc}") from exc
    name = text_of(known, "model_provider")
    provider = mapping_of(mapping_of(known, "model_providers"), name)
    # An override's keys cannot be quoted: a name that would need it keeps codex's own bounds.
    if not provider or not re.fullmatch(r"[\w-]+", name):
        return []
    return [
        f"model_providers.{name}.{key}={value}"
        for key, value in BOUNDS.items()
        if key not in provider
    ]
