"""`runner doctor`: what works on this machine, what does not, and how to mend it."""

from __future__ import annotations

import json

import attrs
import click
import trio
from platformdirs import user_state_dir

from runner.cli import options
from runner.cli.exits import Exit
from runner.cli.machine import Finding
from runner.cli.probes import examine
from runner.cli.streams import put
from runner.config import RunnerConfig, load_record

SIGNS = {"ok": "ok", "lacking": "--", "bad": "!!"}


@click.command()
@options.config
@options.json
def doctor(config_file: str | None, as_json: bool) -> Exit:
    """Say what works on this machine, what does not, and how to mend it.

    ok works; -- is not needed for the main job; !! is. With a !! the exit code is 8.
    """
    config = load_record(config_file, RunnerConfig) if config_file else RunnerConfig()
    findings = trio.run(examine, state_directory(config))
    is_fit = all(each.state != "bad" for each in findings)
    if as_json:
        checks = [attrs.asdict(each) for each in findings]
        put(json.dumps({"schema": "runner.doctor/1", "ok": is_fit, "checks": checks}))
    else:
        put("\n".join([*map(shown, findings), verdict(is_fit)]))
    return Exit.OK if is_fit else Exit.INFRA


def shown(finding: Finding) -> str:
    """A line, and another one for how to mend it."""
    line = f"{SIGNS[finding.state]}  {finding.name:<13}  {finding.what}"
    return f"{line}\n{'':19}{finding.mend}" if finding.mend else line


def verdict(is_fit: bool) -> str:
    """The last line."""
    if is_fit:
        return "The main job can run: runner batch run FILE"
    return "The main job cannot run before what is marked !! is mended."


def state_directory(config: RunnerConfig) -> str:
    """Where a runner keeps its records."""
    return config.state or user_state_dir("runner", appauthor=False)
