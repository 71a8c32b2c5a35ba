"""Prices: whole cents inside, text outside."""

from __future__ import annotations


def to_cents(text: str) -> int:
    """Read a price such as "19.99"."""
    return int(float(text) * 100)


def to_text(cents: int) -> str:
    """Write a price such as "19.99"."""
    return f"{cents // 100}.{cents % 100:02d}"
