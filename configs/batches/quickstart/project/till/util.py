"""Text on paper."""

from __future__ import annotations

WIDTH = 24


def row(left: str, right: str) -> str:
    """One line, flush at both sides."""
    return f"{left[: WIDTH - len(right) - 1]:<{WIDTH - len(right)}}{right}"
