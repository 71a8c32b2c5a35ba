"""Steps as shell commands, for programs that have no tool of their own for them."""

from __future__ import annotations

import os
import shlex

from runner.testing.model.steps import Write


def write_command(step: Write) -> str:
    """Write a file, with the directories above it."""
    path = step.path if step.path.startswith("/") else f"./{step.path}"
    directory = shlex.quote(os.path.dirname(path))
    return f"mkdir -p {directory} && printf %s {shlex.quote(step.content)} > {shlex.quote(path)}"
