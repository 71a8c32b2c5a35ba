"""The `claude` agent: how Claude Code is started, what it may do, how it is ended.

One live process over many turns (`--input-format stream-json`); what is said over its pipes is
`claude_stream`'s business. Everything below was tried with the real program, 2.1.197 and 2.1.329.

*Access.* Only what holds: `--allowedTools` does not take tools away, `--tools` does. In the two
confined modes the directory's own settings are not read (`--setting-sources=user`: a repository,
or the agent in it, could allow itself anything there, and its hooks run outside the sandbox), but
its CLAUDE.md and rules are, as those of an added directory.
What it asks for comes to us (`--permission-prompt-tool stdio`), also in a session where nobody
decides: it cannot be told to edit files and to ask nobody. What it does by these modes without
asking (edits in the directory, commands in its sandbox) nobody is asked for.

    read-only           the tools that can only read are declared, no others
    workspace-write     edits inside the directory; commands in the program's own sandbox, for
                        which bwrap and socat have to be there, or it is not started
    danger-full-access  everything

*MCP.* Of the servers that the session is given all tools may be used; where somebody decides, they
are asked for. They are named over its pipes: neither an argument nor a file has what is secret of
them. Its own and the directory's are not read.

*Fork.* A conversation can be begun as a copy of another one's file, in whatever directory that is,
up to any message in it (`--resume-session-at`, the marker).

*Resume.* By the conversation's id; by its file where that was begun below another real path: the
directory was moved, or a link leads to it.

*Private.* HOME, the configuration and TMPDIR lie in the session's private directory, so sessions
share nothing: no settings, no history, no MCP servers, and leave nothing in a `/tmp` for everybody.
TMPDIR has a short name if need be: there are sockets in it, without which its sandbox lets no
command run, and says so to the model only.

What is not here: credentials (the session copies them), the lives of processes, the protocol.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from typing import ClassVar

import attrs

from runner.agents.claude_history import knows
from runner.agents.claude_stream import ClaudeConversation
from runner.agents.driver import (
    MAX_PROMPT,
    Ability,
    Access,
    ClaudeAgent,
    Launch,
    Need,
    Rung,
    Setting,
)

# What its sandbox is made with.
_WHY = "for the sandbox that holds its commands; install {}"
NEEDS = (
    Need(program="bwrap", why=_WHY.format("bubblewrap")),
    Need(program="socat", why=_WHY.format("socat")),
)

# What of the directory itself is still to be read when its settings are not.
_MEMORY = {"CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD": "1"}

# Of the path of a directory with sockets in it, whose own are 107 bytes at most (unix(7)).
LONGEST = 64

_READING = ("Read", "Glob", "Grep")

ACCESS: dict[Access, tuple[str, ...]] = {
    "read-only": (
        "--setting-sources=user",
        "--settings=" + json.dumps({"disableAllHooks": True}),
    ),
    "workspace-write": ("--setting-sources=user",),  # and `_sandbox`
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
    max_prompt: ClassVar[int] = MAX_PROMPT
    abilities: ClassVar[frozenset[Ability]] = frozenset(
        {
            "steer",
            "interrupt",
            "fork",
            "fork at turn",
            "approvals",
            "rewrite",
            "schema",
            "access",
            "mcp",
        }
    )
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
        access = self._access(setting)
        confined = access != "danger-full-access"
        added = (f"--add-dir={setting.cwd}",) if confined else ()
        model = (f"--model={agent.model}",) if agent.model else ()
        return Launch(
            argv=(
                agent.program,
                *PROTOCOL,
                *ACCESS[access],
                *(_sandbox(setting) if access == "workspace-write" else ()),
                *_tools(access, setting),
                *added,
                *model,
                *_which(setting),
                *agent.args,
            ),
            env=(*self._environment(setting).items(), *agent.env.items()),
            pass_env=agent.pass_env,
            needs=NEEDS if access == "workspace-write" else (),
            files=(
                # Where 2.1.197 would make a directory for logs, with servers' headers in them.
                (f"{setting.private}/home/.cache/claude-cli-nodejs", b""),
                (f"{setting.private}/scratch/.keep", b""),  # makes the directory
            ),
            links=_links(setting),
        )

    def conversation(self, setting: Setting) -> ClaudeConversation:
        """The protocol state for a process started so."""
        return ClaudeConversation(setting, self.agent.access)

    def history(self, private: str, conversation: str) -> str:
        """Where it keeps a conversation: below a name that it makes from the directory's."""
        return f"{private}/home/.claude/projects/*/{conversation}.jsonl"

    def knows(self, lines: Iterable[bytes], marker: str, *, in_short: bool = False) -> bool:
        """Whether it has a message, started with these lines of a conversation's file."""
        return knows(lines, marker, in_short=in_short)

    def _access(self, setting: Setting) -> Access:
        return setting.options.access or self.agent.access

    def _environment(self, setting: Setting) -> dict[str, str]:
        home = f"{setting.private}/home"
        env = {
            "HOME": home,
            "CLAUDE_CONFIG_DIR": f"{home}/.claude",
            "TMPDIR": next((link for link, _ in _links(setting)), f"{setting.private}/scratch"),
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
        if self._access(setting) != "danger-full-access":
            env |= _MEMORY
        elif self.root:
            env["IS_SANDBOX"] = "1"
        return env


def _links(setting: Setting) -> tuple[tuple[str, str], ...]:
    """A short name for the directory for temporary files, if its own is too long."""
    scratch = f"{setting.private}/scratch"
    if len(os.fsencode(scratch)) <= LONGEST:
        return ()
    name = hashlib.blake2b(os.fsencode(scratch), digest_size=8).hexdigest()
    return ((f"/tmp/runner-{name}", scratch),)  # noqa: S108 - a link, which is checked


def _sandbox(setting: Setting) -> tuple[str, ...]:
    """Its own, which holds what is allowed; where it is guarded, somebody is asked before that."""
    held = {
        "enabled": True,
        "autoAllowBashIfSandboxed": not setting.guarded,
        "allowUnsandboxedCommands": False,
        "failIfUnavailable": True,
    }
    if setting.nested:
        held["enableWeakerNestedSandbox"] = True  # it mounts no /proc, and has the isolation's
    return (
        "--permission-mode=" + ("default" if setting.guarded else "acceptEdits"),
        "--settings=" + json.dumps({"disableAllHooks": True, "sandbox": held}),
    )


def _tools(access: Access, setting: Setting) -> tuple[str, ...]:
    """What it may use, and what without asking."""
    free = [f"mcp__{server.name}" for server in setting.servers if not setting.approvals]
    mode: tuple[str, ...] = ()
    if access == "read-only":
        free = [*_READING, *free]
        asking = ("AskUserQuestion",) if setting.approvals else ()
        mode = (
            "--tools=" + ",".join((*_READING, *asking)),
            "--permission-mode=" + ("default" if setting.approvals else "dontAsk"),
        )
    return (*mode, "--allowedTools=" + ",".join(free)) if free else mode


def _place(cwd: str) -> str:
    """Below which name it keeps the conversations about a directory, if its path is not long."""
    return re.sub(r"[^A-Za-z0-9]", "-", cwd)


def _which(setting: Setting) -> tuple[str, ...]:
    """Which conversation it is to go on with, or to begin."""
    conversation, origin = setting.conversation, setting.origin
    if setting.resume:
        # By its id it finds one only that was begun in the directory of the same real path.
        place = _place(setting.real or setting.cwd)
        is_there = not setting.history or place in setting.history.split("/")
        return (f"--resume={conversation if is_there else setting.history}",)
    if origin is None:
        return (f"--session-id={conversation}",)
    at = (f"--resume-session-at={origin.marker}",) if origin.marker else ()
    return (f"--resume={origin.history}", "--fork-session", f"--session-id={conversation}", *at)
