"""What is on the shelves."""

from __future__ import annotations


class Stock:
    """How many there are of each thing."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def put(self, name: str, count: int) -> None:
        """Fill a shelf."""
        self._counts[name] = self._counts.get(name, 0) + count

    def take(self, name: str, count: int) -> None:
        """Empty a shelf."""
        self._counts[name] = self._counts.get(name, 0) - count

    def count(self, name: str) -> int:
        """How many there are."""
        return self._counts.get(name, 0)
