"""What all tests share: where the real agent programs are."""

from __future__ import annotations

import os
import shutil

import pytest


def find_program(name: str, variable: str, package: str) -> str:
    """Find a program, or skip the test and say how to get it."""
    found = shutil.which(os.environ.get(variable) or name)
    if found is None:
        pytest.skip(f"no {name} program: npm install -g {package}, or let {variable} name it")
    return found


@pytest.fixture(scope="session")
def claude_program() -> str:
    """The path of the real claude program."""
    return find_program("claude", "RUNNER_TEST_CLAUDE", "@anthropic-ai/claude-code")


@pytest.fixture(scope="session")
def codex_program() -> str:
    """The path of the real codex program."""
    return find_program("codex", "RUNNER_TEST_CODEX", "@openai/codex")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Where every part must be there, a test that is skipped has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("RUNNER_CI"):
        report.outcome = "failed"
        report.longrepr = f"skipped, but RUNNER_CI allows no skip: {report.longrepr}"
    return report
