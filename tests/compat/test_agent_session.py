"""agent-session's names on ours, used as its README uses them, with the real programs."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from runner.compat import agent_session as ours
from runner.compat.agent_session.claude import ClaudeSession
from runner.compat.agent_session.codex import CodexError, CodexResult, CodexSession

FIRST = """
from agent_session import (
    make_session,
    SANDBOX_WORKSPACE_WRITE, SANDBOX_READ_ONLY,
    BACKEND_CLAUDE, BACKEND_CODEX,
)

sess = make_session(
    cwd="/tmp/scratch",
    sandbox=SANDBOX_WORKSPACE_WRITE,
    backend=BACKEND_CLAUDE,         # explicit; or use env_var=...
    timeout_sec=600,
)

r = sess.send("Write hello.txt with 'hi' inside.")
assert r.ok
print(r.files_created)              # [PosixPath('hello.txt')]
print(r.final_message)
print(r.session_id)                 # uuid string

r2 = sess.send("Now append ' there'.")  # turn 2: same session_id, resumed
"""
SECOND = """
sess = make_session(cwd=..., env_var="AUTOR_BACKEND")  # autor convention
sess = make_session(cwd=..., env_var="AKER_BACKEND")   # aker convention
"""


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A home, a state directory and a PATH of the test's own, without any agent's program."""
    for name, inner in (("HOME", "home"), ("XDG_STATE_HOME", "state"), ("CODEX_HOME", "codex")):
        (tmp_path / inner).mkdir()
        monkeypatch.setenv(name, str(tmp_path / inner))
    (tmp_path / "bin").mkdir()
    node = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{node}")
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    return tmp_path


@pytest.fixture
def programs(claude_program, codex_program, model_server, place, monkeypatch):
    """The real programs, which ask the model server."""
    for name, path in (("claude", claude_program), ("codex", codex_program)):
        (place / "bin" / name).symlink_to(path)
    for name, value in (model_server.claude_env() | model_server.codex_env()).items():
        monkeypatch.setenv(name, value)
    (place / "codex" / "config.toml").write_text(model_server.codex_config())


@pytest.fixture
def fake(place):
    """Programs that are there, and do nothing."""
    for name in ("claude", "codex"):
        (place / "bin" / name).write_text("#!/bin/sh\nexit 3\n")
        (place / "bin" / name).chmod(0o755)


@pytest.fixture
def make(place):
    made = []

    def make(**options):
        made.append(ours.make_session(place / "work", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


# ---------------------------------------------------------------- its README


@pytest.mark.real_agents
def test_every_block_of_its_readme_runs_with_another_import_line(
    programs, place, monkeypatch, capsys
):
    first = FIRST.replace("from agent_session import", "from runner.compat.agent_session import")
    found: dict = {}
    exec(first.replace("/tmp/scratch", str(place / "scratch")), found)
    said = capsys.readouterr().out.splitlines()
    first_id = found["r"].session_id
    assert str(uuid.UUID(first_id)) == said[-1] == found["r2"].session_id
    assert (2, place / "scratch") == (found["sess"].turn_count, found["sess"].cwd)
    assert found["r2"].ok
    found["sess"].close()

    for name, backend in (("AUTOR_BACKEND", "Codex"), ("AKER_BACKEND", " claude ")):
        monkeypatch.setenv(name, backend)
    for line in SECOND.strip().splitlines():
        exec(line.replace("cwd=...", f"cwd={str(place / 'other')!r}"), found)
        backend = "codex" if "AUTOR" in line else "claude"
        assert (backend, None, 0) == (
            found["sess"].backend,
            found["sess"].session_id,
            found["sess"].turn_count,
        )


# ---------------------------------------------------------------- with the real programs


@pytest.mark.real_agents
@pytest.mark.parametrize("backend", ours.ALL_BACKENDS)
def test_a_conversation_goes_on_over_turns_options_and_sessions(programs, make, place, backend):
    session = make(backend=backend, sandbox=ours.SANDBOX_DANGER_FULL_ACCESS)
    first = session.send("!write a.txt: one\n!say made it")
    assert (True, 0, "made it") == (first.ok, first.exit_code, first.final_message), first
    assert ([Path("a.txt")], []) == (first.files_created, first.files_modified)
    assert "made it" in first.stdout

    session.close()
    second = session.send("!run echo two >> a.txt; mkdir -p .git; touch .git/x\n!say more")
    assert ([Path(".git/x")], [Path("a.txt")]) == (second.files_created, second.files_modified)

    session.sandbox = ours.SANDBOX_READ_ONLY
    refused = session.send("!run touch never.txt\n!say tried")
    assert [] == refused.files_created
    assert not (place / "work" / "never.txt").exists()

    late = session.send("!sleep 60", timeout_sec=1.0)
    assert (False, -1, "") == (late.ok, late.exit_code, late.final_message)
    assert "[agent_session] " in late.stderr
    assert "timed out after 1." in late.stderr
    assert 3 == session.turn_count
    session.close()

    later = make(backend=backend)
    later.session_id = first.session_id
    recalled = later.send("!recall")
    assert "made it" in recalled.final_message, recalled
    assert {first.session_id} == {r.session_id for r in (second, refused, late, recalled)}
    assert {backend} == {r.backend for r in (first, late)}


@pytest.mark.real_agents
def test_a_key_that_is_refused_is_said_in_the_result(programs, make):
    session = make(backend="claude")
    failed = session.send("!fail 401 times=99 no such key")

    assert (False, 1) == (failed.ok, failed.exit_code)
    assert failed.stderr


# ---------------------------------------------------------------- what is loud


@pytest.mark.parametrize("backend", ours.ALL_BACKENDS)
def test_a_missing_program_is_an_error_at_construction(place, monkeypatch, backend):
    monkeypatch.setenv("PATH", str(place / "bin"))

    with pytest.raises(ours.AgentError, match=f"{backend} binary not found on PATH: {backend}"):
        ours.make_session(place / "new", backend=backend)
    assert not (place / "new").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"backend": "cluade"}, "unknown backend 'cluade'"),
        ({"backend": "claude", "sandbox": "readonly"}, "unknown sandbox 'readonly'"),
    ],
)
def test_what_is_unknown_is_an_error_at_construction(fake, make, options, words):
    with pytest.raises(ours.AgentError, match=words):
        make(**options)


@pytest.mark.parametrize("prompt", ["", " \n"])
def test_an_empty_prompt_is_an_error(fake, make, prompt):
    with pytest.raises(ours.AgentError, match="the prompt is empty"):
        make(backend="claude").send(prompt)


def test_a_configuration_that_cannot_be_read_is_an_error(fake, make, place):
    (place / "codex" / "config.toml").write_bytes(b"\xff")
    with pytest.raises(ours.AgentError, match="cannot be read"):
        make(backend="codex").send("hello")

    (place / "codex" / "config.toml").write_text("= no toml")
    with pytest.raises(ours.AgentError, match="not TOML"):
        make(backend="codex").send("hello")


def test_a_program_that_ends_at_once_is_a_result(fake, make):
    with make(backend="claude") as session:
        done = session.send("hello")

    assert (False, 3) == (done.ok, done.exit_code)
    assert "ended with exit code 3" in done.stderr
    assert "" == done.stdout
    assert 1 == session.turn_count


def test_variables_of_one_s_own_for_the_configuration_are_taken(fake, make, place):
    (place / "codex" / "config.toml").write_bytes(b"\xff")
    done = make(backend="codex", extra_env={"CODEX_HOME": str(place)}).send("hello")

    assert 3 == done.exit_code


def test_the_names_of_its_modules_are_there():
    assert (ours.AgentError, ours.AgentResult) == (CodexError, CodexResult)
    assert ("claude", "codex") == (ClaudeSession.backend, CodexSession.backend)
    assert issubclass(ours.AgentError, RuntimeError)


@pytest.mark.parametrize(("backend", "other"), [("claude", "codex"), ("codex", "claude")])
def test_the_other_backend_is_not_imported(fake, place, backend, other):
    code = f"""
import sys
from runner.compat.agent_session import make_session
make_session({str(place / "work")!r}, backend={backend!r})
print("runner.compat.agent_session.{other}" in sys.modules)
print("runner.agents.{other}" in sys.modules)
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    )

    assert "False\nFalse\n" == done.stdout, done.stderr
