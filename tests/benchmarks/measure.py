"""How benchmarks measure: variants interleaved in shuffled order, medians of per-round ratios.

A figure in microseconds says something about this machine at this moment; the ratio of two
variants in one round says something about them. The garbage collector stays on: it is part of
what a program costs.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

ROUNDS = 15


class CannotRun(Exception):
    """Why a benchmark cannot run here."""


@attrs.frozen
class Row:
    """One line of the table.

    Attributes:
        what: what was measured, and against what.
        values: one a round.
        target: what the median may be at most, or at least if `at_least`; None = for information.
        unit: of the values; "x" for ratios.
    """

    what: str
    values: Sequence[float]
    target: float | None = None
    unit: str = "x"
    at_least: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return self._quartile(0)

    @property
    def high(self) -> float:
        return self._quartile(2)

    def _quartile(self, which: int) -> float:
        if len(self.values) == 1:
            return self.values[0]
        return statistics.quantiles(self.values, n=4, method="inclusive")[which]

    def figure(self) -> str:
        return f"{self.median:.3g} {self.unit}"

    def target_text(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.target:g}"

    def is_met(self) -> bool:
        if self.target is None:
            return True
        return self.median >= self.target if self.at_least else self.median <= self.target


Variants = Mapping[str, Callable[[], Awaitable[object]]]


async def times(
    variants: Variants, *, rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Seconds that each variant takes in each round; one round before them does not count.

    Args:
        variants: what is measured, by name.
        rounds: how many count.
        clock: `time.thread_time` for what never leaves trio's thread and never sleeps: other
            programs on the machine are then no part of the figure.
    """
    found: dict[str, list[float]] = {name: [] for name in variants}
    order = list(variants)
    for number in range(-1, rounds):
        random.shuffle(order)
        for name in order:
            start = clock()
            await variants[name]()
            seconds = clock() - start
            if number >= 0:
                found[name].append(seconds)
    return found


def ratios(values: Sequence[float], to: Sequence[float]) -> list[float]:
    """Round by round."""
    return [value / base for value, base in zip(values, to, strict=True)]
