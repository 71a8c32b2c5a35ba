"""Regular expressions in linear time: whether a text matches, whatever the pattern. Pure.

Python's `re` goes back and tries again: `(a+)+$` takes a time that doubles with each letter. Here a
pattern (as parsed by `re` itself) becomes an automaton, and a text is read once, from left to
right, with the set of all states in which the automaton may be; sets that were seen are remembered.
It is some ten times slower than `re` on a friendly pattern, so `is_risky` says from which length of
text on a pattern is better not given to `re`.

Whether there is a match is all that it says. Greed and groups make no difference to that.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable
from re import _compiler, _parser  # type: ignore[attr-defined]
from typing import Any, Final

import attrs

MOST_STATES = 5000
MOST_KNOWN = 1000  # sets of states that are remembered
# How long a text may be for `re`, by how many repetitions the pattern has: it takes such a power.
HARMLESS = (None, 2000, 200, 60)
MOST_REPETITIONS = 12  # over several lines, where there is no other way

_ACCEPT: Final = -1
_END: Final = -1  # the signature of the end of a text
_NO_END = _parser.parse(r"[^\r\n]")[0]
_REPEATS = ("MAX_REPEAT", "MIN_REPEAT")


class TooLarge(ValueError):
    """The pattern has too many states."""


@attrs.frozen
class Risk:
    """What a pattern may cost with `re`.

    Attributes:
        harmless: how long a text may be; None = any length.
        endless: whether its time may double with each character.
    """

    harmless: int | None
    endless: bool


@attrs.frozen
class Parsed:
    """A pattern as `re` has parsed it, in which `.` is no CR, as for who counts CRLF as an end.

    Attributes:
        tree: a `SubPattern`.
        flags: those that were given, and those in the pattern.
    """

    tree: Any
    flags: int

    def compiled(self) -> re.Pattern[str]:
        """The same for `re`."""
        found: re.Pattern[str] = _compiler.compile(self.tree, self.flags)
        return found


def parse(pattern: str, flags: int) -> Parsed:
    """Parse a pattern; re.error if it cannot be."""
    tree = _parser.parse(pattern, flags)
    flags |= tree.state.flags
    _without_cr(tree, flags)
    return Parsed(tree, flags)


def _without_cr(items: Any, flags: int) -> None:
    for place, (code, value) in enumerate(items):
        name = str(code)
        if name == "ANY" and not flags & re.DOTALL:
            items[place] = _NO_END
        elif name in _REPEATS:
            _without_cr(value[2], flags)
        elif name == "SUBPATTERN":
            _without_cr(value[3], (flags | value[1]) & ~value[2])
        elif name == "BRANCH":
            for each in value[1]:
                _without_cr(each, flags)


def risk_of(parsed: Parsed) -> Risk:
    """What a pattern may cost with `re`; on the safe side."""
    nested, count = _repetitions(parsed.tree, repeated=False)
    endless = nested or count > MOST_REPETITIONS
    if endless or count >= len(HARMLESS):
        return Risk(0, endless)
    return Risk(HARMLESS[count], endless=False)


def _repetitions(items: Iterable[tuple[Any, Any]], *, repeated: bool) -> tuple[bool, int]:
    """Whether one choice stands within a repetition, and how many repetitions there are."""
    nested, count = False, 0
    for code, value in items:
        below: list[tuple[bool, int]] = []
        if str(code) in _REPEATS:
            low, high, body = value
            varies = low != high
            nested = nested or (varies and repeated)
            count += varies
            below.append(_repetitions(body, repeated=repeated or high > 1))
        elif str(code) == "SUBPATTERN":
            below.append(_repetitions(value[3], repeated=repeated))
        elif str(code) == "BRANCH":
            branches = value[1]
            first = [_begins(each) for each in branches]
            alike = None in first or len(set(first)) < len(first)
            nested = nested or (repeated and alike)
            below += [_repetitions(each, repeated=repeated) for each in branches]
        nested = nested or any(each for each, _ in below)
        count += sum(each for _, each in below)
    return nested, count


def _begins(items: Any) -> str | None:
    """The letter that a branch begins with, if it is one; upper and lower case are alike."""
    if not items or str(items[0][0]) != "LITERAL":
        return None
    return chr(items[0][1]).casefold()


def compile_linear(parsed: Parsed) -> Callable[[str], bool]:
    """Whether a text (without line ends) has a match, in linear time; TooLarge if it cannot be."""
    return _Known(_Automaton(parsed)).matches


class _Automaton:
    """States: a test of one character, a choice, or a place (the start, a boundary of a word)."""

    def __init__(self, parsed: Parsed) -> None:
        self.tests: list[re.Pattern[str]] = []
        self.test_of: dict[int, tuple[int, int]] = {}  # state -> test, next
        self.choice_of: dict[int, tuple[int, ...]] = {}
        self.place_of: dict[int, tuple[str, int]] = {}
        self._number = itertools.count()
        self._known: dict[str, int] = {}
        self.start = self._sequence(parsed.tree, _ACCEPT, parsed.flags)

    def _new(self) -> int:
        number = next(self._number)
        if number >= MOST_STATES:
            raise TooLarge("it is too large: its repetitions are written out")
        return number

    def _sequence(self, items: Iterable[tuple[Any, Any]], following: int, flags: int) -> int:
        for code, value in reversed(list(items)):
            following = self._item(str(code), code, value, following, flags)
        return following

    def _item(self, name: str, code: object, value: Any, following: int, flags: int) -> int:
        if name == "SUBPATTERN":
            _, add, drop, body = value
            return self._sequence(body, following, (flags | add) & ~drop)
        if name == "BRANCH":
            return self._choice([self._sequence(each, following, flags) for each in value[1]])
        if name in _REPEATS:
            low, high, body = value
            return self._repeat(low, high, body, following, flags)
        if name == "AT":
            number = self._new()
            self.place_of[number] = (str(value), following)
            return number
        number = self._new()
        self.test_of[number] = (self._test(code, value, flags), following)
        return number

    def _choice(self, ways: list[int]) -> int:
        number = self._new()
        self.choice_of[number] = tuple(ways)
        return number

    def _repeat(self, low: int, high: Any, body: Any, following: int, flags: int) -> int:
        if high is _parser.MAXREPEAT:
            again = self._new()
            self.choice_of[again] = (self._sequence(body, again, flags), following)
            start = again
        else:
            start = following
            for _ in range(high - low):
                start = self._choice([self._sequence(body, start, flags), following])
        for _ in range(low):
            start = self._sequence(body, start, flags)
        return start

    def _test(self, code: object, value: object, flags: int) -> int:
        """A test of one character: compiled by `re`, so that it means what it means there."""
        key = f"{code} {value} {flags}"
        if key not in self._known:
            one = _parser.SubPattern(_parser.State(), [(code, value)])
            self._known[key] = len(self.tests)
            self.tests.append(_compiler.compile(one, flags))
        return self._known[key]

    def signature(self, character: str) -> int:
        """All that the automaton can know of a character: bit 0 for words, then the tests."""
        bits = 1 if character.isalnum() or character == "_" else 0
        for number, test in enumerate(self.tests, 1):
            if test.fullmatch(character) is not None:
                bits |= 1 << number
        return bits

    def reached(
        self, states: frozenset[int], *, start: bool, word: bool, signature: int
    ) -> set[int]:
        """All states that are reached for nothing, before a character of that signature."""
        end = signature == _END
        places = {
            "AT_BEGINNING": start,
            "AT_BEGINNING_STRING": start,
            "AT_END": end,
            "AT_END_STRING": end,
            "AT_BOUNDARY": word != (not end and signature & 1 == 1),
            "AT_NON_BOUNDARY": word == (not end and signature & 1 == 1),
        }
        found: set[int] = set()
        pending = [self.start, *states]
        while pending:
            state = pending.pop()
            if state in found:
                continue
            found.add(state)
            if state in self.choice_of:
                pending += self.choice_of[state]
            elif state in self.place_of:
                place, following = self.place_of[state]
                if places[place]:
                    pending.append(following)
        return found


class _Known:
    """The sets of states that were met, as the states of a machine that is made as it runs."""

    def __init__(self, automaton: _Automaton) -> None:
        self._automaton = automaton
        self._signatures: dict[str, int] = {}
        self._forget()

    def _forget(self) -> None:
        self._sets: list[tuple[frozenset[int], bool, bool]] = []  # states, start, after a word
        self._numbers: dict[tuple[frozenset[int], bool, bool], int] = {}
        self._table: list[dict[int, int]] = []

    def matches(self, text: str) -> bool:
        """Whether there is a match anywhere in a text."""
        signatures = self._signatures
        state = self._number((frozenset(), True, False))
        for character in text:
            signature = signatures.get(character)
            if signature is None:
                signature = self._automaton.signature(character)
                signatures[character] = signature
            following = self._table[state].get(signature)
            if following is None:
                following = self._step(state, signature)
            if following == _ACCEPT:
                return True
            state = following
        states, start, word = self._sets[state]
        reached = self._automaton.reached(states, start=start, word=word, signature=_END)
        return _ACCEPT in reached

    def _number(self, key: tuple[frozenset[int], bool, bool]) -> int:
        if key not in self._numbers:
            self._numbers[key] = len(self._sets)
            self._sets.append(key)
            self._table.append({})
        return self._numbers[key]

    def _step(self, state: int, signature: int) -> int:
        automaton = self._automaton
        states, start, word = self._sets[state]
        reached = automaton.reached(states, start=start, word=word, signature=signature)
        if _ACCEPT in reached:
            self._table[state][signature] = _ACCEPT
            return _ACCEPT
        tests = [automaton.test_of[each] for each in reached if each in automaton.test_of]
        after = frozenset([then for test, then in tests if signature >> (test + 1) & 1])
        if len(self._sets) > MOST_KNOWN:
            self._forget()
            return self._number((after, False, signature & 1 == 1))
        following = self._number((after, False, signature & 1 == 1))
        self._table[state][signature] = following
        return following
