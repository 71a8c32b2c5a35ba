"""Names of things, as they stand in file names and bar codes."""

from __future__ import annotations

import re


def slug(name: str) -> str:
    """Make "creme-brulee" of "Crème brûlée"."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
