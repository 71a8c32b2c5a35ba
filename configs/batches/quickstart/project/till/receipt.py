"""What the customer takes home."""

from __future__ import annotations

from till.cart import Cart
from till.money import to_text
from till.util import row


def receipt(cart: Cart) -> str:
    """The receipt, line by line."""
    return "\n".join(row(f"{line.quantity} {line.name}", to_text(line.cents)) for line in cart.lines)
