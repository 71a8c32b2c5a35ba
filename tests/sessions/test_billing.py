"""What the real programs say that they use, and what is asked of them: `billing=` of a session."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import runner
from runner.agents.driver import Agent, ClaudeAgent, CodexAgent
from runner.agents.events import ErrorClass

FULL = "danger-full-access"
pytestmark = pytest.mark.real_agents


def chatgpt_login() -> dict[str, object]:
    """What codex keeps of a login with a subscription; nobody has signed it."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    who = {"chatgpt_plan_type": "pro", "chatgpt_account_id": "a", "chatgpt_user_id": "u"}
    claims = {"email": "a@b.c", "exp": time.time() + 9e5, "https://api.openai.com/auth": who}
    token = ".".join((part({"alg": "none"}), part(claims), part("x")))
    tokens = {"id_token": token, "access_token": token, "refresh_token": "r", "account_id": "a"}
    now = datetime.now(UTC).isoformat()
    return {"OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": now}


@pytest.fixture
def agent(
    request: pytest.FixtureRequest, model_server: Any, tmp_path: Path
) -> Callable[[str, str], Agent]:
    """A real program that has a key, or a login with a subscription."""

    def claude(how: str) -> Agent:
        env = model_server.claude_env()
        if how == "login":
            del env["ANTHROPIC_API_KEY"]
            env["CLAUDE_CODE_OAUTH_TOKEN"] = "sk-ant-oat01-dummy"
        program = request.getfixturevalue("claude_program")
        return ClaudeAgent(program=program, access=FULL, env=env, pass_env=())

    def codex(how: str) -> Agent:
        (tmp_path / "seed").mkdir(exist_ok=True)
        login = chatgpt_login() if how == "login" else {"OPENAI_API_KEY": "sk-dummy"}
        (tmp_path / "seed" / "auth.json").write_text(json.dumps(login))
        # Of whose login it is it would ask its own provider first, which is not there.
        config = 'chatgpt_base_url = "http://127.0.0.1:9"\n' + model_server.codex_config()
        return CodexAgent(
            program=request.getfixturevalue("codex_program"),
            access=FULL,
            config=config.replace('env_key = "STUB_KEY"', "requires_openai_auth = true"),
            env=model_server.codex_env(),
            pass_env=(),
            seed=str(tmp_path / "seed"),
        )

    return lambda kind, how: {"claude": claude, "codex": codex}[kind](how)


@pytest.mark.parametrize(
    ("kind", "how", "asked", "is_ok"),
    [
        ("claude", "key", "api_key", True),
        ("claude", "key", "subscription", False),
        ("claude", "login", "subscription", True),
        ("claude", "login", "api_key", False),
        ("claude", "login", None, True),
        ("codex", "key", "api_key", True),
        ("codex", "key", "subscription", False),
        ("codex", "key", "any", True),
        ("codex", "login", "subscription", True),
        ("codex", "login", "api_key", False),
    ],
)
async def test_what_a_program_says_that_it_uses_is_what_the_session_asks_for_or_it_is_ended(
    agent: Callable[[str, str], Agent],
    model_server: Any,
    tmp_path: Path,
    kind: str,
    how: str,
    asked: Any,
    is_ok: bool,
) -> None:
    made = runner.make_session(
        tmp_path / "work", agent=agent(kind, how), billing=asked, state=tmp_path / "state"
    )
    async with made as session:
        turn = await session.send("!say hi", timeout=60.0)

    if is_ok:
        assert (True, "hi") == (turn.ok, turn.final_message), turn
    else:
        assert (False, ErrorClass.AUTH) == (turn.ok, turn.error), turn
        assert f"but the agent's `billing` is {asked!r}" in turn.error_text
        assert [] == [
            each.path for each in model_server.requests
            if "messages" in each.path or "responses" in each.path
        ]  # fmt: skip
