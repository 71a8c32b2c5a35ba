"""Sessions by themselves: which agent is chosen, what is opened and closed, what a package adds."""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import trio

import runner
from runner import blocking
from runner.agents.driver import CommandAgent, ShellAgent
from runner.agents.shell import ShellDriver
from runner.errors import AgentUnavailable, ConfigError
from runner.selection import CHOICES

VARIABLE = "RUNNER_TEST_AGENT"


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Let the PATH have these programs, and what the system has."""

    def installed(*names):
        directory = tmp_path / "programs"
        directory.mkdir(exist_ok=True)
        for name in names:
            (directory / name).write_text("#!/bin/sh\nexit 1\n")
            (directory / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")

    return installed


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path / "state" / "runner"


# ---------------------------------------------------------------- which agent


@pytest.mark.parametrize("said", ["codex", " Codex ", "CODEX\n"])
def test_the_variable_says_which_whatever_its_case(monkeypatch, installed, said):
    installed()
    monkeypatch.setenv(VARIABLE, said)

    assert "codex" == runner.pick_agent(env_var=VARIABLE)


@pytest.mark.parametrize("said", [None, "", "  "])
def test_without_the_variable_each_that_is_installed_is_picked_by_the_rng(
    monkeypatch, installed, said
):
    installed("claude", "codex")
    if said is not None:
        monkeypatch.setenv(VARIABLE, said)
    picked = [runner.pick_agent(env_var=VARIABLE, rng=random.Random(n)) for n in range(40)]

    assert {"claude", "codex"} == {*picked}
    assert picked == [random.Random(n).choice(("claude", "codex")) for n in range(40)]


def test_one_that_is_not_installed_is_not_picked(installed):
    installed("codex")

    assert {"codex"} == {runner.pick_agent() for _ in range(20)}


def test_there_may_be_none_to_pick(installed):
    installed()

    with pytest.raises(AgentUnavailable, match="neither 'claude' nor 'codex' is in the PATH"):
        runner.pick_agent()


@pytest.mark.parametrize("said", ["cluade", "claude,codex", "none"])
def test_a_typo_in_the_variable_is_loud(monkeypatch, said):
    monkeypatch.setenv(VARIABLE, said)

    with pytest.raises(ConfigError) as caught:
        runner.pick_agent(env_var=VARIABLE)

    assert VARIABLE in str(caught.value)
    assert repr(said) in str(caught.value)
    assert ("did you mean 'claude'" in str(caught.value)) == (said != "none")


def test_the_choices_are_agents_of_ours():
    assert {"claude", "codex"} == {*CHOICES}


# ---------------------------------------------------------------- a session by itself


async def test_a_session_by_itself_needs_no_open_runner_and_leaves_none(tmp_path, state):
    async with runner.make_session(tmp_path / "a" / "b", agent="shell") as session:
        turn = await session.send("echo hi > x; echo done")

    assert (True, "done") == (turn.ok, turn.final_message)
    assert ["x"] == [str(path) for path in turn.files_created]
    assert (state / "sessions" / session.id).is_dir()
    with pytest.raises(runner.SessionClosed):
        await session.send("echo hi")


async def test_it_can_be_gone_on_with_by_its_id(tmp_path):
    for number in (1, 2):
        async with runner.make_session(tmp_path / "w", agent="shell", id="one") as session:
            assert number == (await session.send("echo hi")).number


async def test_one_that_is_not_durable_leaves_nothing(tmp_path, state):
    async with runner.make_session(tmp_path / "w", agent="shell", durable=False) as session:
        assert (await session.send("echo hi")).ok

    assert not (state / "sessions" / session.id).exists()


async def test_many_by_themselves_at_once(tmp_path):
    said = []

    async def talk(number):
        async with runner.make_session(tmp_path / f"{number}", agent="shell") as session:
            said.append((await session.send(f"echo {number}")).final_message)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(talk, number)

    assert ["0", "1", "2", "3", "4", "5"] == sorted(said)


async def test_the_order_is_said_outright_then_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "no such agent")
    for named in ({"agent": "shell"}, {"backend": "shell"}, {"agent": ShellAgent()}):
        async with runner.make_session(tmp_path, env_var=VARIABLE, **named) as session:
            assert (await session.send("echo hi")).ok
    monkeypatch.setenv(VARIABLE, "Shell")
    async with runner.make_session(tmp_path, env_var=VARIABLE) as session:
        assert (await session.send("echo hi")).ok


async def test_options_reach_the_program(tmp_path):
    agent = CommandAgent(argv=("sh", "-c", 'cat >/dev/null; echo "$0 $MORE"'))
    made = runner.make_session(
        tmp_path, agent=agent, extra_args=["one"], extra_env={"MORE": "two"}, timeout=30.0
    )
    async with made as session:
        assert "one two" == (await session.send("x")).final_message


async def test_a_driver_of_one_s_own_is_taken_as_it_is(tmp_path):
    driver = ShellDriver(ShellAgent())
    async with runner.make_session(tmp_path, agent=driver) as session:
        assert (await session.send("echo hi")).ok
    with pytest.raises(ConfigError, match="model: a driver of your own has its options already"):
        async with runner.make_session(tmp_path, agent=driver, model="m"):
            pytest.fail("it was made")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"agent": "shell", "backend": "shell"}, ConfigError, "two words for the same"),
        ({"agent": "cluade"}, ConfigError, "did you mean 'claude'"),
        ({"env_var": 5}, ConfigError, "`env_var` must be a text, not a whole number"),
        ({"rng": 5}, ConfigError, "`rng` must be a random.Random, not a whole number"),
        ({"backend": ""}, ConfigError, "unknown agent ''"),
        ({"agent": 5}, ConfigError, "5 is no agent"),
        ({"agent": "command"}, ConfigError, "needs options"),
        ({"agent": "claude", "sandbox": "read only"}, ConfigError, "unknown sandbox"),
        ({"agent": "claude", "model": 7}, ConfigError, "`model` must be a text"),
        ({"agent": "shell", "timeout": -1}, ConfigError, "a timeout of -1"),
        ({"agent": "shell", "id": "../x"}, ConfigError, "cannot be a session's id"),
    ],
)
async def test_what_cannot_be_meant_is_one_error_before_anything_starts(
    tmp_path, options, error, words
):
    with pytest.raises(error, match=words):
        async with runner.make_session(tmp_path, **options):
            pytest.fail("it was made")


def test_a_program_that_is_not_trio_s_has_it_too(tmp_path):
    with blocking.make_session(tmp_path, agent="shell") as session:
        assert "hi" == session.send("echo hi").final_message


def test_the_readme_s_lines_run(tmp_path, monkeypatch):
    readme = Path(__file__).parents[1] / "README.md"
    found = re.search(r"<!-- by-itself -->\n```python\n(.*?)```", readme.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SHOP_AGENT", "shell")
    exec(compile(found[1], "README.md", "exec"), {"__name__": "readme"})

    assert (tmp_path / "work" / "shop").is_dir()


@pytest.mark.parametrize(("agent", "other"), [("claude", "codex"), ("codex", "claude_stream")])
def test_no_module_of_another_agent_is_imported(tmp_path, installed, agent, other):
    installed(agent)
    code = f"""
import sys, trio, runner
async def main():
    async with runner.make_session({str(tmp_path)!r}, agent={agent!r}) as session:
        print(session.statistics().agent)
trio.run(main)
print([name for name in sys.modules if name.startswith("runner.agents.{other}")])
"""
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )

    assert f"{agent}\n[]\n" == done.stdout


# ---------------------------------------------------------------- an agent of an installed package

PACKAGE = {
    "parrot_agent.py": """
from runner.agents.command import CommandDriver
from runner.agents.driver import CommandAgent

class Loud(CommandDriver):
    name = "loud"

def make(*, word="squawk"):
    return CommandAgent(argv=("sh", "-c", f"cat; echo; echo {word}"))

def loud():
    return Loud(CommandAgent(argv=("tr", "a-z", "A-Z")))

def ill():
    return CommandAgent(argv="sh")
""",
    "parrot-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: parrot\nVersion: 1.2\n",
    "parrot-1.2.dist-info/WHEEL": (
        "Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    ),
    "parrot-1.2.dist-info/entry_points.txt": (
        "[runner.agents]\nparrot = parrot_agent:make\ntorn = parrot_gone:make\n"
        "loud = parrot_agent:loud\nill = parrot_agent:ill\n"
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A directory of its own into which a package that brings an agent was built and installed."""
    top = tmp_path_factory.mktemp("parrot")
    wheel = top / "parrot-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        for name, text in PACKAGE.items():
            file.writestr(name, text)
        file.writestr("parrot-1.2.dist-info/RECORD", "".join(f"{n},,\n" for n in PACKAGE))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps"]
    subprocess.run([*command, "--target", str(top / "site"), str(wheel)], check=True)
    return top / "site"


@pytest.fixture
def parrot(site, monkeypatch) -> Path:
    """That package, for the processes that a test starts."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), *sys.path]))
    return site


def cli(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "runner", *words],
        capture_output=True,
        check=False,
        cwd=cwd,
        text=True,
    )


def test_a_package_s_agent_is_used_by_the_command(parrot, tmp_path):
    done = cli("run", "-a", "parrot", "hello", cwd=tmp_path)

    assert (0, "hello\nsquawk\n") == (done.returncode, done.stdout), done.stderr


def test_a_package_s_agent_is_used_by_a_batch(parrot, tmp_path):
    plain = 'name = "b"\nprompt = "hello"\n'
    table = '[agent]\nkind = "plugin"\nname = "parrot"\noptions = { word = "hi" }\n'
    (tmp_path / "named.toml").write_text(plain + 'agent = "parrot"\n')
    (tmp_path / "table.toml").write_text(plain + table)
    for name, word in (("named", "squawk"), ("table", "hi")):
        done = cli("batch", "run", f"{name}.toml", "-o", f"out-{name}", cwd=tmp_path)

        assert 0 == done.returncode, done.stderr
        results = (tmp_path / f"out-{name}" / "results.jsonl").read_text()
        assert f'"final_message":"hello\\n{word}"' in results.replace('": "', '":"')


def test_a_package_s_agent_is_used_by_a_program(parrot, tmp_path):
    code = """
import trio, runner
async def main():
    async with runner.make_session("w", agent="parrot", extra_env={"A": "1"}) as session:
        print((await session.send("hello")).final_message)
    agent = runner.PluginAgent(name="parrot", options={"word": "hi"})
    async with runner.open_runner() as r:
        async with r.session(r.scope("w"), agent) as session:
            print((await session.send("hello")).final_message)
trio.run(main)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )

    assert "hello\nsquawk\nhello\nhi\n" == done.stdout


def test_a_package_s_own_driver_is_used_everywhere(parrot, tmp_path):
    code = """
import trio, runner
async def main():
    async with runner.make_session("w", agent="loud", id="one") as session:
        print((await session.send("one")).final_message, session.statistics().agent)
trio.run(main)
"""
    (tmp_path / "b.toml").write_text('name = "b"\nprompt = "two"\nagent = "loud"\n')
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert "ONE loud\n" == done.stdout

    assert 0 == cli("batch", "run", "b.toml", "-o", "out", cwd=tmp_path).returncode
    assert "TWO" in (tmp_path / "out" / "results.jsonl").read_text()
    assert "THREE\n" == cli("run", "-a", "loud", "three", cwd=tmp_path).stdout
    assert "FOUR\n" == cli("session", "send", "one", "four", cwd=tmp_path).stdout


@pytest.mark.parametrize(
    "words", [("run", "-a", "ill", "hello"), ("session", "record", "f", "-a", "ill", "hello")]
)
def test_a_record_of_a_package_that_is_none_is_an_error_that_names_the_package(
    parrot, tmp_path, words
):
    done = cli(*words, cwd=tmp_path)

    what = "the agent 'ill' of the package parrot 1.2: CommandAgent.argv must be a list, not 'sh'"
    assert (2, f"runner: {what}\n") == (done.returncode, done.stderr)


def test_a_broken_one_is_an_error_of_usage_that_names_its_package(parrot, tmp_path):
    (tmp_path / "b.toml").write_text('name = "b"\nprompt = "hello"\nagent = "torn"\n')
    for words in (("run", "-a", "torn", "hello"), ("check", "b.toml")):
        done = cli(*words, cwd=tmp_path)

        assert 2 == done.returncode
        assert "the agent 'torn' of the package parrot 1.2 cannot be used" in done.stderr


def test_a_misspelt_name_in_a_batch_is_answered_with_a_package_s_agent(parrot, tmp_path):
    (tmp_path / "b.toml").write_text('name = "b"\nprompt = "hello"\nagent = "parot"\n')
    done = cli("check", "b.toml", cwd=tmp_path)

    assert "b.toml:3: agent: 'parot' is no built-in agent" in done.stderr
    assert "did you mean 'parrot'?" in done.stderr
