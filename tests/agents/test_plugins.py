"""Agents of installed packages: found by name, loaded when asked for, blamed by their package."""

from __future__ import annotations

import importlib
import sys

import pytest

from runner.agents.command import CommandDriver
from runner.agents.driver import CommandAgent, PluginAgent
from runner.agents.plugins import load_plugin, plugin_names
from runner.agents.registry import make_agent, make_driver
from runner.errors import ConfigError

MODULE = """
from runner.agents.command import CommandDriver
from runner.agents.driver import CommandAgent
from runner.errors import ConfigError

class Loud(CommandDriver):
    name = "loud"

def make(*, word="squawk"):
    return CommandAgent(argv=("sh", "-c", "cat; echo; echo " + word))

def loud(**options):
    return Loud(CommandAgent(argv=("tr", "a-z", "A-Z")))

def raising():
    raise RuntimeError("no feathers")

def refusing():
    raise ConfigError("no cage")

def stone():
    return 5

def ill():
    return CommandAgent(argv="sh", prompt=7)
"""
ENTRIES = {
    "parrot": "parrot_agent:make",
    "loud": "parrot_agent:loud",
    "raising": "parrot_agent:raising",
    "refusing": "parrot_agent:refusing",
    "stone": "parrot_agent:stone",
    "ill": "parrot_agent:ill",
    "gone": "parrot_gone:make",
    "nothing": "parrot_agent:nothing",
}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a package with entry points where Python finds it, as an installer would."""

    def install(name, entries, module=""):
        info = tmp_path / "site" / f"{name}-1.2.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = [f"{key} = {value}" for key, value in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[runner.agents]", *lines]))
        if module:
            (tmp_path / "site" / "parrot_agent.py").write_text(module)
        monkeypatch.syspath_prepend(str(tmp_path / "site"))
        importlib.invalidate_caches()

    yield install
    sys.modules.pop("parrot_agent", None)


def test_a_package_s_agent_is_found_by_name_and_imported_only_when_asked_for(install):
    install("parrot", ENTRIES, MODULE)

    assert {*ENTRIES} <= {*plugin_names()}
    make_agent("shell")
    assert "parrot_agent" not in sys.modules
    assert make_agent("parrot") == CommandAgent(argv=("sh", "-c", "cat; echo; echo squawk"))


def test_the_options_go_to_the_package(install):
    install("parrot", ENTRIES, MODULE)
    record = PluginAgent(name="parrot", options={"word": "hi"})

    assert "cat; echo; echo hi" == make_agent(record).argv[-1]
    assert isinstance(make_driver(record), CommandDriver)


def test_a_package_may_give_a_driver_of_its_own(install):
    install("parrot", ENTRIES, MODULE)

    assert PluginAgent(name="loud") == make_agent("loud")
    assert "loud" == make_driver("loud").name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raising", "cannot be used: RuntimeError: no feathers"),
        ("refusing", "parrot 1.2: no cage"),
        ("stone", "gives a int, which is no driver: no name, process_per_turn"),
        ("ill", "parrot 1.2: CommandAgent.argv must be a list, not 'sh'\nthe agent 'ill' of "),
        ("gone", "cannot be used: ModuleNotFoundError: No module named 'parrot_gone'"),
        ("nothing", "cannot be used: AttributeError"),
    ],
)
def test_a_broken_one_is_an_error_that_names_its_package(install, name, words):
    install("parrot", ENTRIES, MODULE)

    with pytest.raises(ConfigError) as caught:
        make_driver(name)

    assert f"the agent {name!r} of the package parrot 1.2" in str(caught.value)
    assert words in str(caught.value)


def test_options_that_the_package_does_not_take_are_its_error(install):
    install("parrot", ENTRIES, MODULE)

    with pytest.raises(ConfigError, match=r"parrot 1\.2 cannot be used: TypeError.*colour"):
        make_agent(PluginAgent(name="parrot", options={"colour": "green"}))


def test_a_name_that_two_packages_bring_is_neither_s(install):
    install("parrot", ENTRIES, MODULE)
    install("cockatoo", {"parrot": "parrot_agent:loud"})

    with pytest.raises(ConfigError, match=r"several packages .*: cockatoo 1\.2, parrot 1\.2"):
        make_agent("parrot")


def test_a_name_of_ours_means_our_own(install):
    install("parrot", {"shell": "parrot_agent:raising"}, MODULE)

    assert "shell" == make_driver("shell").name


def test_a_misspelt_name_of_a_package_s_agent_is_answered_with_it(install):
    install("parrot", ENTRIES, MODULE)

    with pytest.raises(ConfigError, match=r"did you mean 'parrot'\?"):
        make_agent("parot")


def test_a_name_that_no_package_brings_is_an_error():
    with pytest.raises(ConfigError, match="no installed package brings an agent 'dodo'"):
        load_plugin("dodo", {})
