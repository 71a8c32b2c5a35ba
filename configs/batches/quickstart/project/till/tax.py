"""Tax that prices include."""

from __future__ import annotations

PERCENT = {"food": 7, "other": 19}


def included(cents: int, kind: str) -> int:
    """How many of the cents are tax, rounded half up."""
    percent = PERCENT[kind]
    return cents * percent // (100 + percent)
