"""What is asked of codex: a thread, begun, resumed or forked, and turns in it. Pure.

Where somebody decides, codex asks ("on-request") for what its sandbox does not let it do; where
nobody does, it is told so ("never"), and has to make do without. With full access it has nothing to
ask for.
"""

from __future__ import annotations

from runner.agents.codex_read import Record
from runner.agents.driver import Access, McpServer, Setting, TurnOptions
from runner.agents.lines import list_of, text_of
from runner.agents.oneshot import as_unicode

SANDBOX: dict[Access, dict[str, object]] = {
    "read-only": {"type": "readOnly"},
    "workspace-write": {
        "type": "workspaceWrite",
        "writableRoots": [],
        "networkAccess": False,
        "excludeTmpdirEnvVar": False,  # the session's own
        "excludeSlashTmp": True,
    },
    "danger-full-access": {"type": "dangerFullAccess"},
}

# It takes 1 MiB of characters with a turn; a note of the session's may come before the prompt.
MAX_PROMPT = (1 << 20) - (1 << 17)


def policy(setting: Setting, access: Access) -> str:
    """Whether it asks."""
    asking = "untrusted" if setting.guarded else "on-request"
    return asking if _asks(setting, access) else "never"


def thread(setting: Setting, own: Access, model: str) -> tuple[str, dict[str, object]]:
    """The request that opens the setting's thread.

    Args:
        setting: whose.
        own: the agent record's access.
        model: the agent record's; may be empty.
    """
    access, origin = setting.options.access or own, setting.origin
    params: dict[str, object] = {
        "cwd": setting.cwd,
        "approvalPolicy": policy(setting, access),
        "sandbox": access,
    }
    if model:
        params["model"] = model
    if setting.servers:
        asks = _asks(setting, access)
        servers = {each.name: _server(each, asks=asks) for each in setting.servers}
        params["config"] = {"mcp_servers": servers}
    if setting.resume:
        return "thread/resume", {
            "threadId": setting.conversation,
            "excludeTurns": True,
            **params,
        }
    if origin is None:
        return "thread/start", params
    if origin.marker:
        params["lastTurnId"] = origin.marker
    return "thread/fork", {"threadId": origin.conversation, "excludeTurns": True, **params}


def surplus(setting: Setting, thread: Record) -> int | None:
    """How many turns a fork has that are not to be in it; None if it lacks the last that is.

    Older versions (seen: 0.115.0) copy the whole thread, whatever they are asked for, and say which
    turns are in it. Newer ones do as they are asked, and say none.
    """
    turns = [text_of(each, "id") for each in list_of(thread, "turns") if isinstance(each, dict)]
    marker = "" if setting.origin is None else setting.origin.marker
    if not (turns and marker):
        return 0
    return len(turns) - 1 - turns.index(marker) if marker in turns else None


def turn(setting: Setting, own: Access, prompt: str, options: TurnOptions) -> dict[str, object]:
    """What the request for a turn says, besides in which thread.

    Args:
        setting: whose.
        own: the agent record's access.
        prompt: of the turn.
        options: likewise.
    """
    # Not as the thread was opened: its process lives on, for turns that are to be as the agent's.
    access, schema = options.access or own, options.schema
    params: dict[str, object] = {
        "input": as_input(prompt),
        "cwd": setting.cwd,
        "approvalPolicy": policy(setting, access),
        "sandboxPolicy": SANDBOX[access],
    }
    return params if schema is None else {**params, "outputSchema": schema}


def as_input(prompt: str) -> list[dict[str, str]]:
    """A prompt as the input of a turn."""
    return [{"type": "text", "text": as_unicode(prompt)}]


def _asks(setting: Setting, access: Access) -> bool:
    return setting.approvals and access != "danger-full-access"


def _server(server: McpServer, *, asks: bool) -> dict[str, object]:
    # Where nobody is asked, codex would refuse what it would ask for.
    mode = {"default_tools_approval_mode": "auto" if asks else "approve"}
    if server.url:
        return {"url": server.url, "http_headers": server.headers, **mode}
    program, *args = server.command
    return {"command": program, "args": args, "env": server.env, **mode}


def lost(trouble: str) -> str:
    """What was said of a thread that codex does not know; empty if it was about something else."""
    return trouble if "no rollout found" in trouble else ""
