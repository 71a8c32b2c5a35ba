from __future__ import annotations

import datetime as dt
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.toml_lines import key_lines

EVERYTHING = """\
# a comment with [brackets] = "and quotes
title = "TOML = \\"x\\" # no comment"   # a comment
'quoted key' = 1
"esc\\"aped" . inner = 2
many = [
  1, # one
  [2, 3],

  { x = 1, y.z = [4] },
]

[owner]
text = \"\"\"
[not.a.table]
x = 1 ""quotes"" \\\"\"\"
\"\"\"
raw = '''
[neither]
'' it ''
'''''
date = 1979-05-27 07:32:00
empty = {}

[[jobs]]
name = 'a\\'
[jobs.inner.deep]
x = 1
[[jobs.steps]]
s = 1
[[jobs.steps]]
s = 2

[[jobs]]
name = "b"
[jobs.inner]
y = 2
"""


def all_paths(value, path=()):
    yield path
    if isinstance(value, dict):
        for name, item in value.items():
            yield from all_paths(item, (*path, name))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from all_paths(item, (*path, number))


def test_every_kind_of_key_is_found_on_its_line():
    lines = key_lines(EVERYTHING)

    assert set(all_paths(tomllib.loads(EVERYTHING))) == set(lines)
    assert lines["title",] == 2
    assert lines["quoted key",] == 3
    assert lines['esc"aped', "inner"] == 4
    assert lines["many",] == 5
    assert lines["many", 0] == 6
    assert lines["many", 1, 1] == 7
    assert lines["many", 2] == lines["many", 2, "y", "z", 0] == 9
    assert lines["owner",] == 12
    assert lines["owner", "raw"] == 17
    assert lines["owner", "date"] == 21
    assert lines["jobs",] == lines["jobs", 0] == 24
    assert lines["jobs", 0, "inner", "deep", "x"] == 27
    assert lines["jobs", 0, "steps", 1, "s"] == 31
    assert lines["jobs", 1] == 33
    assert lines["jobs", 1, "inner", "y"] == 36


def test_a_text_that_is_no_toml_is_refused_and_never_loops():
    with pytest.raises(ValueError, match="not a TOML text"):
        key_lines("= 1")


keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f"), max_size=4)
scalars = st.one_of(
    st.integers(-(2**40), 2**40),
    st.booleans(),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x7f\r"), max_size=8),
    st.floats(allow_nan=False, allow_infinity=False),
    st.dates(min_value=dt.date(1000, 1, 1)),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


def quoted(text, style):
    """A TOML string, in a basic, literal or multi-line form."""
    if style == 1 and "'" not in text and text.isprintable():
        return f"'{text}'"
    body = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}" for c in text)
    if style == 2 and body:
        return f'"""{body}"""'
    return f'"{body}"'


class Writer:
    """Writes TOML and remembers on which line each key went."""

    def __init__(self, draw):
        self.draw = draw
        self.text = ""
        self.lines = {(): 1}

    def line(self):
        return self.text.count("\n") + 1

    def note(self, path):
        self.lines.setdefault(path, self.line())

    def style(self, most):
        return self.draw(st.integers(0, most))

    def key(self, name):
        self.text += (
            name
            if name.isascii() and name.isalnum() and self.style(1)
            else quoted(name, self.style(1))
        )

    def gap(self):
        self.text += [" ", "\n", ' # ] } , "\n', ""][self.style(3)]

    def value(self, value, path):
        self.note(path)
        if isinstance(value, bool):
            self.text += str(value).lower()
        elif isinstance(value, str):
            self.text += quoted(value, self.style(2))
        elif isinstance(value, dt.date):
            self.text += value.isoformat()
        elif isinstance(value, int | float):
            self.text += repr(value)
        elif isinstance(value, list):
            self.text += "["
            for number, item in enumerate(value):
                self.gap()
                self.value(item, (*path, number))
                self.gap()
                self.text += ","
            self.gap()
            self.text += "]"
        else:
            self.text += "{"
            for number, (name, item) in enumerate(value.items()):
                self.text += ", " if number else " "
                self.note((*path, name))
                self.key(name)
                self.text += " = "
                self.value(item, (*path, name))
            self.text += "}"

    def table(self, table, path):
        inner = []
        for name, item in table.items():
            as_table = isinstance(item, dict) and self.style(1)
            as_array = isinstance(item, list) and item and all(isinstance(i, dict) for i in item)
            if as_table or (as_array and self.style(1)):
                inner.append((name, item))
                continue
            self.note((*path, name))
            self.key(name)
            self.text += " = "
            self.value(item, (*path, name))
            self.text += "\n"
        for name, item in inner:
            for number, each in enumerate(item if isinstance(item, list) else [item]):
                here = (*path, name, number) if isinstance(item, list) else (*path, name)
                self.note((*path, name))
                self.note(here)
                self.text += "[[" if isinstance(item, list) else "["
                names = [part for part in (*path, name) if isinstance(part, str)]
                for position, part in enumerate(names):
                    self.text += " . " if position else ""
                    self.key(part)
                self.text += ("]]" if isinstance(item, list) else "]") + " # head\n\n"
                self.table(each, here)


@settings(deadline=None)
@given(data=st.data(), table=st.dictionaries(keys, values, max_size=4))
def test_for_any_document_keys_and_lines_are_those_of_tomllib_and_of_its_writer(data, table):
    writer = Writer(data.draw)
    writer.table(table, ())

    assert tomllib.loads(writer.text) == table
    assert key_lines(writer.text) == writer.lines
