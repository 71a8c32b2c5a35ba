"""What a customer buys."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Line:
    """So many of one thing."""

    name: str
    cents: int
    quantity: int = 1


@dataclass
class Cart:
    """The lines, in the order in which they were scanned."""

    lines: list[Line] = field(default_factory=list)

    def add(self, name: str, cents: int, quantity: int = 1) -> None:
        """Scan something."""
        self.lines.append(Line(name, cents, quantity))

    def total(self) -> int:
        """What it costs, in cents."""
        return sum(line.cents for line in self.lines)
