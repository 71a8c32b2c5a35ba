"""The files in `configs/`: every option with its default and a comment, valid by their schemas."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path

import attrs
import jsonschema
import pytest

from runner.agents.acp_talk import FULL
from runner.agents.driver import (
    Agent,
    ClaudeAgent,
    CodexAgent,
    Setting,
    ShellAgent,
    TurnOptions,
)
from runner.agents.registry import make_driver
from runner.config import RunnerConfig, load_record
from runner.jobs.prepare import prepare

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
COMPLETE = {
    "runner.toml": RunnerConfig,
    "agents/shell.toml": ShellAgent,
    "agents/claude.toml": ClaudeAgent,
    "agents/codex.toml": CodexAgent,
}
FILES = sorted(str(path.relative_to(CONFIGS)) for path in CONFIGS.rglob("*.toml"))
SCHEMA_OF = {"runner.toml": "runner", "agents": "agent", "batches": "batch"}


@pytest.mark.parametrize("name", COMPLETE)
def test_every_option_is_there_with_its_default(name: str) -> None:
    cls = COMPLETE[name]

    record = load_record(CONFIGS / name, RunnerConfig if cls is RunnerConfig else Agent)

    assert record == cls()
    written = tomllib.loads((CONFIGS / name).read_text())
    assert list(written) == [field.name for field in attrs.fields(cls)]


@pytest.mark.parametrize("name", COMPLETE)
def test_every_option_has_a_comment(name: str) -> None:
    lines = (CONFIGS / name).read_text().splitlines()

    for before, line in itertools.pairwise(lines):
        if re.match(r"\w+ = ", line):
            assert before.startswith("# "), line


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("agents/")])
def test_every_agents_file_is_an_agents_record_that_can_be_used(name: str) -> None:
    agent = load_record(CONFIGS / name, Agent)
    driver = make_driver(agent)
    setting = Setting(cwd="/w", private="/p", conversation="c", resume=False, prompt="x")
    launch = driver.launch(setting)

    assert launch.argv[0]
    assert driver.conversation(setting).takes(TurnOptions())
    if agent.kind == "acp":
        assert launch.argv == agent.argv
        assert driver.launch(attrs.evolve(setting, options=TurnOptions(access=FULL)))
        assert all(re.fullmatch(r"[A-Z_]+", each) for each in launch.pass_env)


@pytest.mark.parametrize("name", FILES)
def test_every_file_is_valid_by_the_schema_that_it_names(name: str) -> None:
    text = (CONFIGS / name).read_text()
    schema = re.match(r"#:schema (\S+)\n", text)

    assert schema is not None
    path = (CONFIGS / name).parent / schema[1]
    assert path.stem == SCHEMA_OF[name.split("/", maxsplit=1)[0]]
    jsonschema.validate(tomllib.loads(text), json.loads(path.read_text()))


@pytest.mark.parametrize("name", sorted(SCHEMA_OF.values()))
def test_schemas_are_schemas(name: str) -> None:
    schema = json.loads((CONFIGS / "schemas" / f"{name}.json").read_text())

    jsonschema.validators.validator_for(schema).check_schema(schema)


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("batches/")])
def test_every_batch_can_be_prepared(name: str) -> None:
    # The agent's program may not be there; the shell is.
    plan = prepare(CONFIGS / name, ['agent="shell"'])

    assert len(plan.jobs) >= 2
    assert all(job.first.verify for job in plan.jobs)
