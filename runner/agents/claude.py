"""The `claude` agent: how Claude Code is started, what it may do, how it is ended.

One live process over many turns (`--input-format stream-json`); what is said over its pipes is
`claude_stream`'s business. Everything below was tried with the real program, 2.1.197 and 2.1.329.

*Access.* Only what holds: `--allowedTools` does not take tools away, `--tools` does. In the two
confined modes the directory's own settings are not read (`--setting-sources=user`: a repository,
or the agent in it, could allow itself anything there, and its hooks run outside the sandbox), but
its CLAUDE.md and rules are, as those of an added directory.
Nobody is there to be asked for leave: `--permission-prompt-tool stdio` brings the questions to
us, and they are refused.

    read-only           the tools that can only read are declared, no others
    workspace-write     edits inside the directory; commands in the program's own sandbox, which
                        it must have (bwrap and socat), or it does not start
    danger-full-access  everything

*Private.* HOME and the configuration lie in the session's private directory, so sessions share
nothing: no settings, no history, no MCP servers.

What is not here: credentials (the session copies them), the lives of processes, the protocol.
"""

from __future__ import annotations

import json
import os
from typing import ClassVar

import attrs

from runner.agents.claude_stream import ClaudeConversation
from runner.agents.driver import Access, ClaudeAgent, Launch, Rung, Setting

_SANDBOX = {
    "disableAllHooks": True,
    "sandbox": {
        "enabled": True,
        "autoAllowBashIfSandboxed": True,
        "allowUnsandboxedCommands": False,
        "failIfUnavailable": True,
    },
}

# What of the directory itself is still to be read when its settings are not.
_MEMORY = {"CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1"}

ACCESS: dict[Access, tuple[str, ...]] = {
    "read-only": (
        "--tools=Read,Glob,Grep",
        "--permission-mode=dontAsk",
        "--allowedTools=Read,Glob,Grep",
        "--setting-sources=user",
        "--settings=" + json.dumps({"disableAllHooks": True}),
    ),
    "workspace-write": (
        "--permission-mode=acceptEdits",
        "--setting-sources=user",
        "--settings=" + json.dumps(_SANDBOX),
    ),
    "danger-full-access": ("--dangerously-skip-permissions",),
}

PROTOCOL = (
    "-p",
    "--input-format=stream-json",
    "--output-format=stream-json",
    "--verbose",
    "--replay-user-messages",
    "--include-partial-messages",
    "--permission-prompt-tool=stdio",
    "--strict-mcp-config",
)


@attrs.frozen
class ClaudeDriver:
    """How Claude Code carries out turns.

    Attributes:
        root: whether it will run as root, where it refuses full access unless told that it is
            confined from outside.
    """

    agent: ClaudeAgent
    root: bool = attrs.field(factory=lambda: os.geteuid() == 0, kw_only=True)

    name: ClassVar[str] = "claude"
    process_per_turn: ClassVar[bool] = False
    # SIGTERM last: it leaves running commands behind, the others end them first. Interrupted as a
    # command is about to begin, it takes up to 3.1 s (measured).
    ladder: ClassVar[tuple[Rung, ...]] = (
        Rung(act="interrupt", wait=5.0),
        Rung(act="eof", wait=5.0),
        Rung(act="SIGINT", wait=2.0),
        Rung(act="SIGTERM", wait=1.0),
    )

    def launch(self, setting: Setting) -> Launch:
        """How to start the program for a conversation, new or not.

        The equals form throughout: a value that begins with `-` stays a value.
        """
        agent = self.agent
        how = "--resume" if setting.resume else "--session-id"
        confined = agent.access != "danger-full-access"
        added = (f"--add-dir={setting.cwd}",) if confined else ()
        model = (f"--model={agent.model}",) if agent.model else ()
        return Launch(
            argv=(
                agent.program,
                *PROTOCOL,
                *ACCESS[agent.access],
                *added,
                *model,
                f"{how}={setting.conversation}",
                *agent.args,
            ),
            env=(*self._environment(setting).items(), *agent.env.items()),
            pass_env=agent.pass_env,
        )

    def conversation(self, setting: Setting) -> ClaudeConversation:
        """The protocol state for a process started so."""
        return ClaudeConversation(setting)

    def _environment(self, setting: Setting) -> dict[str, str]:
        home = f"{setting.private}/home"
        env = {
            "HOME": home,
            "CLAUDE_CONFIG_DIR": f"{home}/.claude",
            # Its own retries last 180 s, and one without an answer 55 minutes, unless bounded.
            "CLAUDE_CODE_MAX_RETRIES": str(self.agent.max_retries),
            "API_TIMEOUT_MS": str(round(self.agent.request_timeout * 1000)),
            "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS": "1",
            # A background task that ends would begin a turn by itself.
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
        }
        if self.agent.access != "danger-full-access":
            env |= _MEMORY
        elif self.root:
            env["IS_SANDBOX"] = "1"
        return env
