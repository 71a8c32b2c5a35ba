"""How a session is opened again: by its setup, in which no credential is."""

from __future__ import annotations

import json

import pytest

from runner.agents.driver import (
    Agent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    McpServer,
    ShellAgent,
)
from runner.agents.secret import Secret
from runner.errors import ConfigError
from runner.messages import Isolation, Limits
from runner.sessions.opening import make_setup, read_setup
from runner.watching.patterns import DEFAULT_IGNORE

SECRET = "sk-very-secret-0123456789"
CODEX = """
model_provider = "mine"
[model_providers.mine]
base_url = "http://127.0.0.1:1/v1"
env_key = "MINE_API_KEY"
env_http_headers = { "X-Auth" = "MINE_HEADER" }
"""


@pytest.mark.parametrize(
    "agent",
    [
        ShellAgent(env={"A": "b"}),
        CommandAgent(argv=("tr", "a-z", "A-Z"), prompt="stdin"),
        ClaudeAgent(model="m", args=("--max-turns=3",), env={"ANTHROPIC_BASE_URL": "http://x"}),
        CodexAgent(config=CODEX),
    ],
)
def test_what_has_no_credential_comes_back_as_it_was(agent: Agent) -> None:
    isolation = Isolation(mode="bwrap", network=("pypi.org",), limits=Limits(memory=1 << 30))
    setup = make_setup(agent, {"CI": "1"}, isolation)
    opening = read_setup(setup, {}, "one")

    assert (agent, {"CI": "1"}, isolation, ()) == (
        opening.agent, opening.env, opening.isolation, opening.withheld,
    )  # fmt: skip


@pytest.mark.parametrize("setup", ["", make_setup(ShellAgent(), {}, None)])
def test_what_is_not_said_of_changes_is_the_default(setup: str) -> None:
    opening = read_setup(setup, {}, "one")

    assert (DEFAULT_IGNORE, True) == (opening.ignore, opening.watch)


def test_what_changes_are_told_comes_back_as_it_was() -> None:
    setup = make_setup(ShellAgent(), {}, None, ignore=["*.log"], watch=False)
    opening = read_setup(setup, {}, "one")

    assert (("*.log",), False) == (opening.ignore, opening.watch)


@pytest.mark.parametrize(
    ("agent", "env", "withheld"),
    [
        (ClaudeAgent(env={"ANTHROPIC_API_KEY": SECRET}), {}, "agent.env.ANTHROPIC_API_KEY"),
        (ShellAgent(env={"HARMLESS": f"Bearer {SECRET}"}), {}, "agent.env.HARMLESS"),
        (ShellAgent(), {"GH_TOKEN": SECRET}, "env.GH_TOKEN"),
        (ShellAgent(), {"PROXY": f"http://me:{SECRET}@proxy"}, "env.PROXY"),
        (ClaudeAgent(args=("--x", f"apiKey={SECRET}")), {}, "agent.args"),
        (CommandAgent(argv=("curl", "-H", f"Authorization: {SECRET}")), {}, "agent.argv"),
        (CodexAgent(config=f'[a.b]\nexperimental_bearer_token = "{SECRET}"'), {}, "agent.config"),
        (CodexAgent(config=f'[a]\nhttp_headers = {{ Authorization = "{SECRET}" }}'), {},
         "agent.config"),
        (CodexAgent(config=f'args = ["--key={SECRET}"]'), {}, "agent.config"),
        (CodexAgent(config=f"no TOML {SECRET}"), {}, "agent.config"),
    ],
)  # fmt: skip
def test_a_credential_is_left_out_and_that_is_said(
    agent: Agent, env: dict[str, str], withheld: str
) -> None:
    setup = make_setup(agent, env, None)

    assert SECRET not in setup
    assert [withheld] == json.loads(setup)["withheld"]
    name = withheld.rpartition(".")[2]
    if "env." in withheld:
        with pytest.raises(ConfigError, match=f"'one' was made with {name}, which is not kept"):
            read_setup(setup, {}, "one")
    opening = read_setup(setup, {name: "given again"}, "one")
    if withheld.startswith("env."):
        assert {name: "given again"} == opening.env
        assert agent == opening.agent
    elif "env." in withheld:
        assert opening.agent is not None
        assert {name: "given again"} == opening.agent.env
    else:
        assert opening.agent is None


def test_servers_come_back_with_their_references() -> None:
    env = {"TOKEN": Secret(env="T"), "MODE": "ro"}
    servers = (
        McpServer(name="a", command=("serve",), env=env),
        McpServer(name="b", url="https://b/mcp", headers={"Authorization": Secret(file="f")}),
    )
    agent = ClaudeAgent(servers=servers[:1])
    opening = read_setup(make_setup(agent, {}, None, servers[1:]), {}, "one")

    assert (agent, servers[1:], ()) == (opening.agent, opening.servers, opening.withheld)


@pytest.mark.parametrize(
    "server",
    [
        McpServer(name="a", command=("serve",), env={"TOKEN": SECRET}),
        McpServer(name="a", url="http://a", headers={"Authorization": SECRET}),
        McpServer(name="a", url=f"http://me:{SECRET}@a"),
        McpServer(name="a", command=("serve", f"--token={SECRET}")),
    ],
)
def test_servers_with_a_credential_are_left_out_and_that_is_said(server: McpServer) -> None:
    setup = make_setup(ShellAgent(), {}, None, (server,))

    assert SECRET not in setup
    with pytest.raises(ConfigError, match="'one' was made with MCP servers that are not kept"):
        read_setup(setup, {}, "one")

    setup = make_setup(ClaudeAgent(servers=(server,)), {}, None)

    assert SECRET not in setup
    opening = read_setup(setup, {}, "one")
    assert (None, ("agent.servers",)) == (opening.agent, opening.withheld)


@pytest.mark.parametrize("setup", ["", make_setup(None, {}, None)])
def test_an_agent_that_only_a_program_of_the_users_own_can_make_is_none(setup: str) -> None:
    assert read_setup(setup, {}, "one").agent is None


def test_a_setup_of_another_version_is_refused() -> None:
    setup = json.dumps({"agent": {"kind": "claude", "new": 1}, "env": {}, "withheld": []})

    with pytest.raises(ConfigError, match="setup of the session 'one' cannot be used"):
        read_setup(setup, {}, "one")


def test_that_there_are_permissions_is_said() -> None:
    setup = make_setup(ShellAgent(), {}, None, has_permissions=True)

    assert ("permissions",) == read_setup(setup, {}, "one").withheld
    assert ShellAgent() == read_setup(setup, {}, "one").agent
