"""The registry: names, records, drivers."""

from __future__ import annotations

import pytest

from runner.agents.driver import AcpAgent, CodexAgent, CommandAgent, ShellAgent
from runner.agents.registry import known_name, make_agent, make_driver
from runner.errors import ConfigError


@pytest.mark.parametrize("name", ["shell", "claude", "codex"])
def test_a_built_in_name_stands_for_a_record_with_every_default(name):
    assert make_agent(name).kind == name
    assert make_driver(name) == make_driver(make_agent(name))
    assert make_driver(name).name == name


def test_a_record_makes_its_own_driver():
    assert make_driver(ShellAgent(shell="bash")).name == "shell"
    assert make_driver(CommandAgent(argv=("true",))).name == "command"


@pytest.mark.parametrize(
    ("name", "needs"), [("command", "argv"), ("acp", "argv"), ("replay", "path")]
)
def test_an_agent_that_is_nothing_without_options_says_which(name, needs):
    with pytest.raises(ConfigError, match=f"needs options: the {needs}"):
        make_driver(name)


def test_a_name_may_be_asked_for_before_anything_is_made_of_it():
    assert known_name("claude") == "claude"


@pytest.mark.parametrize(
    ("name", "near"), [("cluade", "claude"), ("Codex", "codex"), ("shel", "shell")]
)
def test_a_misspelt_name_is_answered_with_a_near_one(name, near):
    with pytest.raises(ConfigError) as caught:
        make_driver(name)

    assert f"unknown agent {name!r}" in str(caught.value)
    assert str(caught.value).endswith(f"did you mean {near!r}?")


def test_a_name_near_nothing_is_answered_with_the_list():
    with pytest.raises(ConfigError) as caught:
        make_driver("zzz")

    assert (
        str(caught.value)
        == "unknown agent 'zzz' (there are shell, command, claude, codex, acp, replay)"
    )


@pytest.mark.parametrize(
    ("agent", "most"),
    [
        ("shell", 9_999_999),
        (CommandAgent(argv=("cat",)), 9_999_999),
        ("claude", 9_999_999),
        ("codex", (1 << 20) - (1 << 17)),
        (CodexAgent(protocol="exec"), (1 << 20) - (1 << 17)),
        (AcpAgent(argv=("gemini",)), 9_999_999),
    ],
)
def test_each_driver_says_how_long_a_prompt_may_be(agent, most):
    assert make_driver(agent).max_prompt == most
