"""Discounts: each takes a price in cents and gives the lower one."""

from __future__ import annotations


def percent_off(cents: int, percent: int) -> int:
    """Take a percentage off, in the customer's favour."""
    return cents * (100 - percent) // 100


def amount_off(cents: int, amount: int) -> int:
    """Take an amount off; nothing costs less than nothing."""
    return max(0, cents - amount)
