"""An agent's record with other options: each is taken, or refused by name."""

from __future__ import annotations

import pytest

from runner.agents.driver import (
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    PluginAgent,
    ReplayAgent,
    ShellAgent,
    agent_name,
)
from runner.agents.varying import vary
from runner.errors import ConfigError


def test_nothing_asked_for_changes_nothing():
    assert ClaudeAgent() == vary(ClaudeAgent())


@pytest.mark.parametrize("record", [ClaudeAgent(args=("-a",)), CodexAgent(args=("-a",))])
def test_sandbox_model_arguments_and_variables_are_laid_over_the_record(record):
    varied = vary(record, sandbox="read-only", model="m", extra_args=["-b"], extra_env={"A": "1"})

    assert ("read-only", "m") == (varied.access, varied.model)
    assert ("-a", "-b") == varied.args
    assert {"A": "1"} == varied.env


def test_a_commands_arguments_come_after_its_own():
    assert ("tr", "a", "b") == vary(CommandAgent(argv=("tr",)), extra_args=("a", "b")).argv


@pytest.mark.parametrize(
    ("record", "options", "words"),
    [
        (ShellAgent(), {"model": "m"}, "'shell' takes no `model`"),
        (ShellAgent(), {"extra_args": ["x"]}, "'shell' takes no `extra_args`"),
        (ShellAgent(), {"sandbox": "read-only"}, "takes no `sandbox`; an `isolation`"),
        (CommandAgent(argv=("x",)), {"sandbox": "workspace-write"}, "takes no `sandbox`"),
        (ReplayAgent(recording="x"), {"extra_env": {"A": "1"}}, "'replay' takes no `extra_env`"),
        (PluginAgent(name="parrot"), {"model": "m"}, "not for the agent 'parrot'"),
    ],
)
def test_what_an_agent_does_not_have_is_refused_by_name(record, options, words):
    with pytest.raises(ConfigError, match=words):
        vary(record, **options)


def test_billing_is_for_agents_that_have_it():
    assert "api_key" == vary(ClaudeAgent(), billing="api_key").billing
    assert "subscription" == vary(CodexAgent(billing="any"), billing="subscription").billing
    assert ShellAgent() == vary(ShellAgent(), billing="any")
    with pytest.raises(ConfigError, match="'command' takes no `billing`"):
        vary(CommandAgent(argv=("x",)), billing="api_key")


def test_an_agent_that_cannot_be_held_may_do_everything_anyway():
    assert ShellAgent() == vary(ShellAgent(), sandbox="danger-full-access")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sandbox": "readonly"}, "unknown sandbox 'readonly'; did you mean 'read-only'"),
        ({"billing": "apikey"}, "unknown billing 'apikey'; did you mean 'api_key'"),
        ({"billing": 5}, "unknown billing 5$"),
        ({"extra_env": {"": "x"}}, "'' cannot be the name of a variable"),
        ({"extra_env": {"A=": "x"}}, "'A=' cannot be the name of a variable"),
        ({"sandbox": 5}, "unknown sandbox 5"),
        ({"model": 5}, "`model` must be a text, not a whole number"),
        ({"extra_args": "-x"}, "must be a list of texts"),
        ({"extra_args": 5}, "must be a list of texts"),
        ({"extra_args": [5]}, "5 can be no argument"),
        ({"extra_args": ["a\0b"]}, "can be no argument"),
        ({"extra_env": ["A"]}, "must be a mapping"),
        ({"extra_env": {"A": 5}}, "5 can be no argument or variable"),
    ],
)
def test_what_is_no_value_is_refused(options, words):
    with pytest.raises(ConfigError, match=words):
        vary(ClaudeAgent(), **options)


def test_an_agent_is_called_by_its_kind_or_by_its_packages_name_for_it():
    assert "shell" == agent_name(ShellAgent())
    assert "parrot" == agent_name(PluginAgent(name="parrot"))
