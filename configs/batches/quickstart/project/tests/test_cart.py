import unittest

from till.cart import Cart


class Totals(unittest.TestCase):
    def test_three_of_a_thing_cost_three_times_as_much(self):
        cart = Cart()
        cart.add("apple", 30, quantity=3)
        cart.add("pear", 45)

        self.assertEqual(135, cart.total())
