import unittest

from till.stock import Stock


class Shelves(unittest.TestCase):
    def setUp(self):
        self.stock = Stock()
        self.stock.put("apple", 3)

    def test_what_is_taken_is_gone(self):
        self.stock.take("apple", 2)
        self.assertEqual(1, self.stock.count("apple"))

    def test_more_than_there_is_cannot_be_taken(self):
        with self.assertRaisesRegex(ValueError, "only 3"):
            self.stock.take("apple", 4)
        self.assertEqual(3, self.stock.count("apple"))
