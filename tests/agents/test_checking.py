"""A record that a program made is looked at as one that a file says."""

from __future__ import annotations

import pytest

from runner.agents.checking import checked
from runner.agents.driver import (
    AcpAgent,
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    McpServer,
    PluginAgent,
    ReplayAgent,
    ShellAgent,
)
from runner.agents.registry import make_agent
from runner.agents.secret import Secret
from runner.errors import ConfigError

SOUND = [
    ShellAgent(env={"A": "1", "B": Secret(file="x")}),
    CommandAgent(argv=("x", "{prompt}"), env={"T": Secret(command=("a", "b"))}),
    ClaudeAgent(servers=(McpServer(name="s", command=("x",), env={"T": Secret(env="T")}),)),
    CodexAgent(args=("-c", "x=1"), config="a = 1"),
    AcpAgent(argv=("x",), modes={"read-only": "plan"}),
    ReplayAgent(recording="x"),
    PluginAgent(name="parrot", options={"a": [1, 2], "b": object}),
]


@pytest.mark.parametrize("agent", SOUND, ids=lambda agent: agent.kind)
def test_a_sound_record_is_taken(agent):
    assert agent == checked(agent)


def test_what_can_be_meant_is_made_of_its_kind():
    made = checked(ClaudeAgent(args=["--x"], request_timeout="5m"))

    assert ClaudeAgent(args=("--x",), request_timeout=300.0) == made


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (ClaudeAgent(model=7), "ClaudeAgent.model must be a text, not 7"),
        (ClaudeAgent(model=None), "ClaudeAgent.model must be a text, not None"),
        (ClaudeAgent(access="full"), "ClaudeAgent.access must be one of 'read-only', "),
        (ClaudeAgent(billing="free"), "ClaudeAgent.billing must be one of 'any', "),
        (ClaudeAgent(request_timeout=-1), "ClaudeAgent.request_timeout must be 0 seconds or more"),
        (ClaudeAgent(servers=("x",)), r"ClaudeAgent.servers\[1\] must be a table, not 'x'"),
        (CodexAgent(seed=None), "CodexAgent.seed must be a text"),
        (CodexAgent(args="--x"), "CodexAgent.args must be a list, not '--x'"),
        (
            CommandAgent(argv=(b"x",)),
            r"CommandAgent.argv\[1\] must be a text, not a value of bytes",
        ),
        (ShellAgent(env={"A": 1}), "ShellAgent.env.A must be a text or a table, not 1"),
        (ShellAgent(env={1: "A"}), "ShellAgent.env must have texts as keys, not 1"),
        (PluginAgent(name=5), "PluginAgent.name must be a text, not 5"),
    ],
)
def test_a_value_of_another_kind_is_named_with_its_field(agent, words):
    with pytest.raises(ConfigError, match=words):
        make_agent(agent)


def test_all_of_them_are_said():
    with pytest.raises(ConfigError) as caught:
        checked(CodexAgent(model=1, access=2, env=3))

    assert ["CodexAgent.model", "CodexAgent.access", "CodexAgent.env"] == [
        each.what.split()[0] for each in caught.value.problems
    ]
