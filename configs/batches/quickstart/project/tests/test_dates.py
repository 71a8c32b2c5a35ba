import calendar
import unittest

from till.dates import days_in, is_leap


class Dates(unittest.TestCase):
    def test_leap_years_are_those_of_the_calendar(self):
        for year in range(1890, 2110):
            self.assertEqual(calendar.isleap(year), is_leap(year), year)

    def test_february_has_29_days_in_leap_years(self):
        self.assertEqual([29, 28, 29, 28], [days_in(y, 2) for y in (2000, 2023, 2024, 2100)])
