import unittest

from till.cart import Cart
from till.receipt import receipt
from till.text import row


class Receipts(unittest.TestCase):
    def test_both_sides_are_flush(self):
        self.assertEqual("apple               0.30", row("apple", "0.30"))

    def test_every_line_of_the_cart_is_on_it(self):
        cart = Cart()
        cart.add("apple", 30)
        cart.add("tea", 420)

        self.assertEqual(["1 apple", "1 tea"], [x[:8].strip() for x in receipt(cart).split("\n")])
