"""Bad input, by the issue's names: one clear error each, before a process starts or anything changes.

Each is tried in the ways in which it can be given: `Runner.session`, `make_session`, the command.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

import runner
from runner import ClaudeAgent, CodexAgent, CommandAgent, ShellAgent, blocking
from runner.errors import (
    AgentError,
    AgentUnavailable,
    ConfigError,
    NotFound,
    RunnerError,
    SessionOwned,
)
from runner.sessions.ledger import SessionLedger, ledger_of

FULL = "danger-full-access"
LONG = "x" * 10_000_000
WAYS = ("Runner.session", "make_session")


@attrs.frozen
class Place:
    """A directory to work in, a state directory, and a program that notes each of its starts."""

    root: Path
    template: Any  # of tests/conftest.py

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def state(self) -> Path:
        return self.root / "xdg" / "runner"

    def program(self, version: str) -> str:
        path = self.root / "program"
        text = (
            f'if [ "$1" = --version ]; then echo "{version}"; exit; fi\necho "$@" >> "$0.starts"\n'
        )
        path.write_text(f"#!/bin/sh\n{text}exit 7\n")
        path.chmod(0o755)
        return str(path)

    def agent(self, text: str) -> str:
        (self.root / "agent.toml").write_text(text)
        return str(self.root / "agent.toml")

    async def fails(self, way: str, agent: object, prompt: str = "hello", **options: object) -> str:
        """What is said of it, after it was seen that nothing has changed."""
        session: list[runner.Session] = []
        with pytest.raises(RunnerError) as caught:
            if way == "make_session":
                async with runner.make_session(self.work, agent=agent, **options) as made:
                    session.append(made)
                    await made.send(prompt)
            async with runner.open_runner() as r:
                async with r.session(r.scope(self.work), agent, **options) as made:
                    session.append(made)
                    await made.send(prompt)
        self.check_nothing_changed()
        assert all(0 == each.statistics().starts == each.statistics().turns for each in session)
        assert type(caught.value) is not RunnerError
        return f"{type(caught.value).__name__}: {caught.value}"

    def command(self, *words: str, given: str | None = None) -> tuple[int, str]:
        """Its exit code, and what it says."""
        with ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            files[0].write((given or "").encode())
            for file in files:
                file.seek(0)
            streams = [file.fileno() for file in files]
            code = self.template.fork(words, None, Path.cwd(), os.environ, streams).wait(100)
            out, err = (os.pread(fd, 1 << 20, 0).decode() for fd in streams[1:])
        assert "" == out
        assert "unexpected" not in err
        return code, err

    def run(self, agent: str, prompt: str = "hello", given: str | None = None) -> tuple[int, str]:
        """Likewise, of `runner run`, after it was seen that nothing has changed."""
        ended = self.command("run", "-a", agent, "-w", str(self.work), prompt, given=given)
        self.check_nothing_changed()
        return ended

    def check_nothing_changed(self, known: tuple[str, ...] = ()) -> None:
        sessions = self.state / "sessions"
        ledger = SessionLedger(ledger_of(str(self.state)))
        assert [*known] == (sorted(os.listdir(sessions)) if sessions.exists() else [])
        assert [*known] == ([each.id for each in ledger.sessions()] if ledger.is_there else [])
        assert [] == list(self.work.iterdir())
        assert not (self.root / "program.starts").exists()
        ledger.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: Any) -> Place:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    (tmp_path / "work").mkdir()
    return Place(tmp_path, template)


@pytest.fixture
def kept(place: Place) -> str:
    """A session of another directory, that is kept."""
    (place.root / "other").mkdir()
    with blocking.make_session(place.root / "other", agent="shell", id="kept") as session:
        assert session.send("echo hi").ok
    return "kept"


@pytest.mark.parametrize("way", WAYS)
async def test_an_unknown_agent(place: Place, way: str) -> None:
    said = await place.fails(way, "cluade")

    assert said.startswith("ConfigError: unknown agent 'cluade' (there are shell, ")
    assert said.endswith("did you mean 'claude'?")


def test_an_unknown_agent_of_the_command(place: Place) -> None:
    code, said = place.run("cluade")

    assert 2 == code
    assert "runner: unknown agent 'cluade'" in said
    assert "did you mean 'claude'?" in said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("agent", ["claude", ClaudeAgent(access="readonly")])
async def test_an_unknown_sandbox(place: Place, way: str, agent: object) -> None:
    if isinstance(agent, str):
        said = await place.fails(way, agent, sandbox="readonly")
        assert "ConfigError: unknown sandbox 'readonly'; did you mean 'read-only'?" == said
    else:
        said = await place.fails(way, agent)
        assert "ConfigError: ClaudeAgent.access must be one of 'read-only', " in said


def test_an_unknown_sandbox_of_the_command(place: Place) -> None:
    code, said = place.run(place.agent('kind = "claude"\naccess = "readonly"\n'))

    assert 2 == code
    assert "agent.toml:2: access: must be one of 'read-only', " in said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("model", [7, b"opus", ["opus"]])
async def test_a_model_that_is_no_text(place: Place, way: str, model: object) -> None:
    said = await place.fails(way, "codex", model=model)
    assert "ConfigError: `model` must be a text, not " in said

    said = await place.fails(way, CodexAgent(model=model))
    assert "ConfigError: CodexAgent.model must be a text, not " in said


def test_a_model_that_is_no_text_of_the_command(place: Place) -> None:
    code, said = place.run(place.agent('kind = "claude"\nmodel = 7\n'))

    assert 2 == code
    assert "agent.toml:2: model: must be a text, not 7" in said


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "agent",
    [
        ClaudeAgent(program="no-such-claude", access=FULL),
        CodexAgent(program="/no/such/codex", access=FULL),
        CodexAgent(program="no-such-codex", access=FULL, protocol="exec"),
        ShellAgent(shell="no-such-sh"),
        CommandAgent(argv=("./no-such-program",)),
    ],
)
async def test_a_binary_that_is_missing(place: Place, way: str, agent: object) -> None:
    said = await place.fails(way, agent)

    assert said.startswith("AgentUnavailable: the agent '")
    assert "no-such" in said or "/no/such" in said
    assert said.endswith("let the agent's record name it")


def test_a_binary_that_is_missing_of_the_command(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    if any(os.path.exists(f"{each}/codex") for each in ("/usr/bin", "/bin")):
        pytest.skip("codex is part of this system: it cannot be missing")
    code, said = place.run(place.agent(f'kind = "codex"\naccess = "{FULL}"\n'))

    assert 2 == code
    assert "the agent 'codex' needs the program 'codex', which is not in the PATH" in said
    assert "npm install -g @openai/codex" in said


@pytest.mark.parametrize("way", WAYS)
async def test_a_binary_that_is_too_old(place: Place, way: str) -> None:
    old = place.program("1.0.128 (Claude Code)")
    said = await place.fails(way, ClaudeAgent(program=old, access=FULL))
    assert said.startswith("AgentUnavailable: the agent 'claude' needs version ")
    assert f"{old} is 1.0.128: npm install -g @anthropic-ai/claude-code" in said

    old = place.program("codex-cli 0.20.1")
    said = await place.fails(way, CodexAgent(program=old, access=FULL))
    assert f"{old} is 0.20.1: npm install -g @openai/codex, or " in said
    assert 'protocol = "exec"' in said


def test_a_binary_that_is_too_old_of_the_command(place: Place) -> None:
    old = place.program("1.0.128 (Claude Code)")
    agent = place.agent(f'kind = "claude"\nprogram = "{old}"\naccess = "{FULL}"\n')
    code, said = place.run(agent)

    assert 2 == code
    assert f"{old} is 1.0.128" in said


@pytest.mark.parametrize("agent", ["shell", "claude"])
async def test_a_directory_that_is_gone(place: Place, agent: str) -> None:
    for durable in (True, False):
        async with runner.make_session(
            place.root / "gone", agent=agent, durable=durable
        ) as session:
            (place.root / "gone").rmdir()
            with pytest.raises(NotFound, match="directory is gone") as caught:
                await session.send("hello")
            assert str(place.root / "gone") in str(caught.value)
            assert 0 == session.statistics().starts
        async with runner.open_runner() as r:
            async with r.session(r.scope(place.root / "never"), agent, durable=durable) as session:
                with pytest.raises(NotFound, match="make it again, and go on"):
                    await session.send("hello")
        place.check_nothing_changed()


def test_a_directory_that_is_gone_of_the_command(place: Place, kept: str) -> None:
    code, said = place.command("run", "-a", "shell", "-w", str(place.root / "gone"), "hello")
    assert (2, True) == (code, f"{place.root / 'gone'}: there is no such directory" in said)

    (place.root / "other").rmdir()
    code, said = place.command("session", "send", kept, "hello")
    assert 4 == code
    assert "the session's directory is gone" in said
    place.check_nothing_changed((kept,))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "agent",
    ["shell", ClaudeAgent(access=FULL), CodexAgent(access=FULL), CommandAgent(argv=("cat",))],
)
async def test_a_prompt_of_10_mb(place: Place, way: str, agent: object) -> None:
    said = await place.fails(way, agent, LONG)

    assert "ConfigError: the prompt has 10000000 characters, and the agent " in said
    assert "let it name a file" in said


@pytest.mark.parametrize("agent", ["shell", "codex"])
def test_a_prompt_of_10_mb_of_the_command(place: Place, agent: str) -> None:
    code, said = place.run(agent, "-", given=LONG)

    assert 2 == code
    assert "the prompt has 10000000 characters" in said
    assert len(said) < 1000


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("prompt", ["", " \n\t", 5, b"hello"])
async def test_an_empty_prompt_or_one_that_is_no_text(place: Place, way: str, prompt: str) -> None:
    said = await place.fails(way, ClaudeAgent(access=FULL), prompt)

    words = "the prompt is empty" if isinstance(prompt, str) else "a prompt is text, not "
    assert said.startswith(f"ConfigError: {words}")


def test_an_empty_prompt_of_the_command(place: Place) -> None:
    for prompt, given in ((" ", None), ("-", "\n")):
        assert (2, "runner: the prompt is empty\n") == place.run("claude", prompt, given)


@pytest.mark.parametrize("way", WAYS)
async def test_a_resume_id_of_another_directory(place: Place, kept: str, way: str) -> None:
    with pytest.raises(AgentError) as caught:
        if way == "make_session":
            async with runner.make_session(place.work, agent="shell", id=kept) as session:
                await session.send("echo hi > x")
        async with runner.open_runner() as r:
            async with r.session(r.scope(place.work), "shell", id=kept) as session:
                await session.send("echo hi > x")

    there = str(place.root / "other")
    assert f"the session 'kept' is of directory {there!r}, not {str(place.work)!r}" in str(
        caught.value
    )
    assert "begin another by another id" in str(caught.value)
    assert 0 == session.statistics().starts
    place.check_nothing_changed((kept,))
    ledger = SessionLedger(ledger_of(str(place.state)))
    record = ledger.load(kept)
    assert record is not None
    assert (1, there) == (record.turns, record.directory)
    ledger.close()


@pytest.mark.parametrize("way", [*WAYS, "the command"])
async def test_a_second_owner(place: Place, kept: str, way: str) -> None:
    there = place.root / "other"
    async with runner.make_session(there, agent="shell", id=kept) as first:
        if way == "the command":
            code, said = place.command("session", "send", kept, "echo hi > x")
            assert 75 == code
        else:
            with pytest.raises(SessionOwned) as caught:
                if way == "make_session":
                    async with runner.make_session(there, agent="shell", id=kept) as second:
                        await second.send("echo hi > x")
                async with runner.open_runner() as r:
                    async with r.session(r.scope(there), "shell", id=kept) as second:
                        await second.send("echo hi > x")
            said = str(caught.value)
        assert f"the session 'kept' is open already, by process {os.getpid()}: go on with" in said
        assert [] == list(there.iterdir())
        assert (await first.send("echo still")).final_message == "still"


# ---------------------------------------------------------------- what is found out on the way


async def test_a_wrong_name_makes_no_directory(place: Place) -> None:
    with pytest.raises(ConfigError):
        async with runner.make_session(place.root / "new", agent="claude", sandbox="none"):
            pytest.fail("it was made")

    assert not (place.root / "new").exists()


async def test_all_that_is_wrong_with_a_record_is_said_at_once(place: Place) -> None:
    agent = ClaudeAgent(model=7, args="--x", env={"A": 1}, servers=("x",), billing="free")
    said = await place.fails("Runner.session", agent)

    assert 5 == len(said.splitlines())
    assert "ClaudeAgent.servers[1] must be a table, not 'x'" in said


async def test_a_session_that_was_never_used_leaves_nothing(place: Place) -> None:
    async with runner.make_session(place.work, agent="shell", id="unused"):
        pass

    place.check_nothing_changed()


async def test_what_an_own_file_is_in_stays_with_its_session(place: Place) -> None:
    async with runner.make_session(place.work, agent="shell", id="unused"):
        (place.state / "sessions" / "unused" / "home" / "mine").write_text("x")

    assert (place.state / "sessions" / "unused" / "home" / "mine").exists()


async def test_a_prompt_that_cannot_be_an_argument_is_refused_before_anything_is_begun(
    place: Place,
) -> None:
    agent = CommandAgent(argv=("echo", "{prompt}"), prompt="argument")
    said = await place.fails("Runner.session", agent, "x" * 200_000)

    assert said.startswith("ConfigError: ")


async def test_a_program_that_goes_away_later_is_refused_with_the_conversation_kept(
    place: Place,
) -> None:
    shell = place.root / "shell"
    shell.symlink_to("/bin/sh")
    async with runner.make_session(place.work, agent=ShellAgent(shell=str(shell))) as session:
        assert (await session.send("true")).ok
        shell.unlink()
        with pytest.raises(AgentUnavailable, match="needs the program"):
            await session.send("true")
        shell.symlink_to("/bin/sh")
        assert 2 == (await session.send("true")).number
