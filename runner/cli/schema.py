"""`runner schema`: the JSON Schemas of the files that users write, as editors use them.

`configs/schemas/*.json` are this command's output.
"""

from __future__ import annotations

import json

import click

from runner.agents.driver import Agent
from runner.cli.exits import Exit
from runner.cli.streams import put
from runner.config import RunnerConfig
from runner.jobs.spec import Batch
from runner.schemas import json_schema

KINDS: dict[str, object] = {"batch": Batch, "runner": RunnerConfig, "agent": Agent}


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
def schema(kind: str) -> Exit:
    """Print the JSON Schema of a kind of file.

    In an editor that knows TOML, the first line `#:schema batch.json` makes use of it.
    """
    put(schema_text(kind))
    return Exit.OK


def schema_text(kind: str) -> str:
    """A schema, as it is printed."""
    made = json_schema(KINDS[kind])  # type: ignore[arg-type]  # Agent is a union of records
    return json.dumps({**made, "title": f"runner: a {kind} file"}, indent=2)
