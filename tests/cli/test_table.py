"""The table of results: what of it is left on a narrow terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from runner.cli.table import kept_line, results_table

RESULT = {
    "id": "a-job-with-a-name",
    "state": "unverified",
    "verdict": "unverified",
    "attempts": 2,
    "turns": [1],
    "durations": {"attempts": 3.0},
    "usage": {"input_tokens": 1000},
    "cost_usd": 0.5,
    "checks": [{"ok": False, "exit_code": 1, "command": "pytest -q tests/test_it.py"}],
}


def _shown(width: int) -> str:
    table = results_table([RESULT], width)
    assert table is not None
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(table)
    return file.getvalue()


def test_a_wide_terminal_has_all_columns() -> None:
    head = _shown(120).splitlines()[1]

    assert head.split() == (
        "job state verdict attempts turns time tokens cost what".split()
    )  # fmt: skip


@pytest.mark.parametrize("width", [56, 60, 70, 80, 100])
def test_a_narrow_terminal_has_job_state_and_reason_whole(width: int) -> None:
    shown = _shown(width)

    assert all(len(line) <= width for line in shown.splitlines())
    assert "a-job-with-a-name   unverified " in shown
    assert "…" not in shown


@pytest.mark.parametrize("width", [20, 40, 50])
def test_a_very_narrow_terminal_folds_what_it_cannot_show_in_a_line(width: int) -> None:
    shown = _shown(width)

    assert all(len(line) <= width for line in shown.splitlines())
    assert "a-j" in shown


def test_results_that_name_no_workspace_say_of_none() -> None:
    assert kept_line([RESULT, {**RESULT, "workspace_name": None}]) == ""
