import unittest

from till.labels import slug


class Slugs(unittest.TestCase):
    def test_letters_lose_their_accents(self):
        self.assertEqual("creme-brulee", slug("Crème brûlée"))

    def test_everything_else_becomes_one_dash(self):
        self.assertEqual("tea-4-two", slug("  Tea -- 4 two! "))
