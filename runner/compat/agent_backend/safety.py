"""agent-backend's command filter, on the lint of `runner.scopes.safety`: a help, no boundary."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from runner.scopes.safety import find_danger

# What 0.9 lets pass from the beginning: copying to the cloud is no rsync to another machine.
_ALLOWED = (re.compile(r"^\s*gcloud\s+.*\brsync\b"),)


@dataclass
class SafetyConfig:
    """Patterns; a command in which one is found is not looked at."""

    allowed_patterns: list[re.Pattern[str]] = field(default_factory=list)
    policy: Literal["strict", "footgun"] = "strict"


@dataclass
class SafetyResult:
    """Whether a command may run, or else why not."""

    safe: bool
    reason: str = ""


def _find(command: str, config: SafetyConfig | None) -> tuple[str, str] | None:
    """The kind of what is wrong with a command, and the reason."""
    used = config or SafetyConfig()
    danger = find_danger(command, used.policy, (*_ALLOWED, *used.allowed_patterns))
    if danger is None:
        return None
    return danger.kind, danger.reason


def is_dangerous(command: str, config: SafetyConfig | None = None) -> bool:
    """Whether a command is taken for one that destroys."""
    found = _find(command, config)
    return found is not None and found[0] == "dangerous"


def is_command_safe(command: str, config: SafetyConfig | None = None) -> SafetyResult:
    """Whether a command may run: that it neither destroys nor leaves its directory."""
    found = _find(command, config)
    return SafetyResult(safe=True) if found is None else SafetyResult(safe=False, reason=found[1])
