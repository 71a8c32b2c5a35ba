"""What a pool says about itself. Values only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import attrs


@attrs.define
class Totals:
    """What a pool counts."""

    acquired: int = 0
    made: int = 0
    failed: int = 0
    evicted: int = 0
    expired: int = 0
    refused: int = 0
    close_failed: int = 0


@attrs.frozen(kw_only=True)
class KeyStatistics:
    """A key of a pool at one moment.

    Attributes:
        users: who hold its backend or wait for it.
        acquired: how often it was given.
        age: seconds since its making began.
        idle_for: seconds since it was last used; None = it is in use.
    """

    users: int
    acquired: int
    age: float
    idle_for: float | None


@attrs.frozen(kw_only=True)
class PoolStatistics:
    """A pool at one moment, and what it has counted since it was made.

    Attributes:
        size: backends that are being made, in use, idle or being closed.
        acquired: how often one was given.
        made: how many were made.
        failed: how often making one failed.
        evicted: closed because a new key wanted its room.
        expired: closed because nobody used it for too long.
        refused: how often there was no room.
        close_failed: closings that raised or took too long.
        keys: those that are there now.
    """

    size: int
    in_use: int
    idle: int
    making: int
    closing: int
    acquired: int
    made: int
    failed: int
    evicted: int
    expired: int
    refused: int
    close_failed: int
    keys: Mapping[Hashable, KeyStatistics]
