"""The values that were asked for last, within a bound. For several threads. Pure."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

# Entries of listings: each is some 200 bytes.
MOST = 200_000


class Remembered(Generic[KeyT, ValueT]):
    """Values by key; those that were used longest ago are forgotten first."""

    def __init__(self, most: int = MOST) -> None:
        """Begin empty.

        Args:
            most: how much the values may weigh together, each with one more than is said.
        """
        self._most = most
        self._weight = 0
        self._values: OrderedDict[KeyT, tuple[ValueT, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: KeyT) -> ValueT | None:
        """What was kept; None if it is forgotten."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def keep(self, key: KeyT, value: ValueT, weight: int) -> None:
        """Keep a value that weighs so much."""
        with self._lock:
            if key not in self._values:
                self._values[key] = (value, weight + 1)
                self._weight += weight + 1
            while self._weight > self._most:
                _, (_, gone) = self._values.popitem(last=False)
                self._weight -= gone
