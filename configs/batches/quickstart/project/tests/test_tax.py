import unittest

from till.tax import included


class Tax(unittest.TestCase):
    def test_each_kind_of_thing_has_its_rate(self):
        self.assertEqual(7, included(107, "food"))
        self.assertEqual(19, included(119, "other"))

    def test_cents_are_rounded_half_up(self):
        self.assertEqual(13, included(199, "food"))
        self.assertEqual(16, included(100, "other"))

    def test_books_have_a_rate_of_their_own(self):
        self.assertEqual(5, included(105, "book"))
