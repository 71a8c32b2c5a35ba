"""The table of results at the end of a batch, from its `results.jsonl`.

Of a large batch only the jobs that are not ok have a line, and of those not all: the file has them.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from runner.cli import words
from runner.cli.board import tokens_of
from runner.cli.live import STYLES
from runner.jobs.progress import Report

FIGURES = ("attempts", "turns", "time", "tokens", "cost")
MANY = 60
WIDTH = 120  # of a table that is no terminal's
LEAST_FIRST = ("turns", "attempts", "tokens", "cost", "time", "verdict")  # say least
GAP = 3  # between two columns
WHAT = 20  # characters that the last column needs at least


def read_results(report: Report, selected: Collection[str]) -> list[Mapping[str, object]]:
    """The results of the selected jobs, in the order of the jobs."""
    with open(report.results, encoding="utf-8") as file:
        results = [json.loads(line) for line in file]
    return [result for result in results if result["id"] in selected]


def results_table(results: Sequence[Mapping[str, object]], width: int = WIDTH) -> Table | None:
    """A line for each job, without the columns that would be empty; None if there is no job.

    On a narrow terminal the columns that say least are left out: the job and its state never.
    """
    chosen = results
    if len(results) > MANY:
        chosen = [result for result in results if result["state"] != "ok"][:MANY]
    if not chosen:
        return None
    rows = [_row(result) for result in chosen]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) + GAP for name in columns}
    widths["what"] = min(WHAT, widths.get("what", 0))  # it may take several lines
    for name in LEAST_FIRST:
        if name in columns and sum(widths.values()) > width:
            columns.remove(name)
            del widths[name]
    folded = ("what", "job", "state") if sum(widths.values()) > width else ("what",)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        justify: Literal["left", "right"] = "right" if name in FIGURES else "left"
        table.add_column(name, justify=justify, no_wrap=name not in folded, overflow="fold")
    for row in rows:
        styles = {"state": STYLES.get(row["state"], "")}
        table.add_row(*(Text(row[name], styles.get(name, "")) for name in columns))
    return table


def _row(result: Mapping[str, object]) -> dict[str, str]:
    durations, usage, turns = result["durations"], result["usage"], result["turns"]
    assert isinstance(durations, dict)
    assert isinstance(usage, dict)
    assert isinstance(turns, list)
    cost, total = result["cost_usd"], sum(usage.values())
    return {
        "job": str(result["id"]),
        "state": str(result["state"]),
        "verdict": str(result["verdict"]),
        "attempts": str(result["attempts"]),
        "turns": str(len(turns)),
        "time": words.span(durations["attempts"]),
        "tokens": words.tokens(total) if total else "",
        "cost": words.dollars(cost) if isinstance(cost, float) else "",
        "what": words.one_line(what_of(result)),
    }


def what_of(result: Mapping[str, object]) -> str:
    """Why a job is not ok; what it did to the files, if it is."""
    if result["state"] == "unverified":
        checks = result["checks"]
        assert isinstance(checks, list)
        for check in checks:
            if not check["ok"]:
                return f"exit code {check['exit_code']}: {check['command']}"
    if result["state"] != "ok":
        return words.because(str(result["state"]), result["error"], result["error_text"])
    files = result["files"]
    assert isinstance(files, dict)
    return words.some(_changes(files), 4)


def _changes(files: Mapping[str, Iterable[object]]) -> Iterator[str]:
    yield from (f"+{path}" for path in files["created"])
    yield from (f"~{path}" for path in files["modified"])
    yield from (f"-{path}" for path in files["deleted"])
    for pair in files["renamed"]:
        assert isinstance(pair, list)
        yield f"{pair[0]} -> {pair[1]}"


def as_text(table: Table) -> str:
    """The table as plain text."""
    file = io.StringIO()
    Console(file=file, width=WIDTH, color_system=None, legacy_windows=False).print(table)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines() if line.strip())


def kept_line(results: Sequence[Mapping[str, object]]) -> str:
    """Which workspaces stay, and how one is looked at; empty if none does."""
    found = [each for each in results if each.get("workspace_name")]  # older results have none
    if not found:
        return ""
    name, project = str(found[0]["workspace_name"]), words.place(str(found[0]["project"]))
    count = f"{len(found)} workspaces stay" if len(found) > 1 else "1 workspace stays"
    return f"{count}: {shlex.join(['runner', 'workspace', 'diff', '-C', project, name])}"


def summary_line(report: Report) -> str:
    """The counts and totals, in a sentence."""
    order = ("ok", "failed", "unverified", "infra", "cancelled", "queued")
    parts = [f"{report.counts[state]} {state}" for state in order if report.counts.get(state)]
    total = tokens_of(report.usage)
    parts += [f"{words.tokens(total)} tokens"] * bool(total)
    parts += [words.dollars(report.cost_usd)] * (report.cost_usd is not None)
    return f"{', '.join(parts) or 'nothing to do'} in {words.span(report.duration)}"
