import unittest

from till import discounts


class Discounts(unittest.TestCase):
    def test_the_customer_gets_the_better_one(self):
        self.assertEqual(80, discounts.best(100, percent=20, amount=10))
        self.assertEqual(5, discounts.best(15, percent=20, amount=10))

    def test_nothing_costs_less_than_nothing(self):
        self.assertEqual(0, discounts.best(5, percent=0, amount=10))
