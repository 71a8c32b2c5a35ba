import unittest

from till.money import to_cents, to_text


class Money(unittest.TestCase):
    def test_a_price_is_read_to_the_cent(self):
        for text, cents in [("19.99", 1999), ("0.29", 29), ("1.1", 110), ("3", 300)]:
            self.assertEqual(cents, to_cents(text), text)

    def test_what_is_written_is_read_as_the_same(self):
        for cents in range(0, 2000, 7):
            self.assertEqual(cents, to_cents(to_text(cents)))
