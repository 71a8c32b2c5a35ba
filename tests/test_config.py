from __future__ import annotations

import json
import os
import re
from datetime import date
from typing import Annotated, Literal

import attrs
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agents.driver import Agent, ClaudeAgent, CommandAgent
from runner.config import RunnerConfig, dotted, load_record, read_text
from runner.errors import ConfigError
from runner.jobs.spec import Batch
from runner.schemas import attribute_docs, json_schema
from runner.strict import AtLeast, Mistakes, Seconds, kind_of, parse_seconds, structure_value


@attrs.frozen(kw_only=True)
class Inner:
    """Inside.

    Attributes:
        size: how big
            it is.
    """

    size: Annotated[int, AtLeast(1)]
    flag: bool = False


@attrs.frozen(kw_only=True)
class Record:
    """A record with every kind of field.

    And more about it.
    """

    name: str
    agent: str | Agent = "shell"
    level: Literal["low", "high"] = "low"
    share: float = 0.5
    pause: Seconds | None = None
    rules: tuple[Inner, ...] = ()
    rows: tuple[dict[str, object], ...] = ()
    env: dict[str, str] = attrs.field(factory=dict)

    def __attrs_post_init__(self):
        if self.name == self.level:
            raise ValueError("name and level must differ")


ALLOWED = jsonschema.Draft202012Validator(json_schema(Record))


@pytest.fixture
def problems(tmp_path):
    """What is wrong in a text, as (line, key, what)."""

    def find(text, *overrides, cls=Record):
        file = tmp_path / "file.toml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(ConfigError) as caught:
            load_record(file, cls, overrides)
        found = caught.value.problems
        assert all(each.where in (str(file), "-c") for each in found)
        return [(each.line if each.where != "-c" else "-c", each.key, each.what) for each in found]

    return find


def load(tmp_path, text, *overrides, cls=Record):
    file = tmp_path / "file.toml"
    file.write_text(text)
    return load_record(file, cls, overrides)


def test_a_good_file_becomes_a_record_and_what_is_left_out_its_defaults(tmp_path):
    text = """
        name = "n"
        agent = { kind = "command", argv = ["a", "b"] }
        share = 1
        pause = "1.5m"
        rules = [{ size = 3, flag = true }]
        rows = [{ a = 1, b = [2.5] }]
        [env]
        A = "b"
    """

    expected = Record(
        name="n",
        agent=CommandAgent(argv=("a", "b")),
        share=1.0,
        pause=90.0,
        rules=(Inner(size=3, flag=True),),
        rows=({"a": 1, "b": [2.5]},),
        env={"A": "b"},
    )
    assert expected == load(tmp_path, text)


def test_everything_wrong_is_reported_at_once_in_the_order_of_the_file(problems):
    found = problems("""\
        agent = { kind = "claud" }
        level = "medium"
        share = "much"
        nmae = "n"
        rows = [1]

        [env]
        A = 1
        [[rules]]
        size = 0
        [[rules]]
        flag = "yes"
        sise = 1
    """)

    assert found == [
        (1, "name", "is missing, and has no default"),
        (1, "agent.kind", "'claud' is no kind; did you mean 'claude'?"),
        (2, "level", "must be one of 'low', 'high', not 'medium'"),
        (3, "share", "must be a number, not 'much'"),
        (4, "nmae", "there is no such key; did you mean 'name'?"),
        (5, "rows[1]", "must be a table, not 1"),
        (8, "env.A", "must be a text, not 1"),
        (10, "rules[1].size", "must be 1 or more, not 0"),
        (11, "rules[2].size", "is missing, and has no default"),
        (12, "rules[2].flag", "must be true or false, not 'yes'"),
        (13, "rules[2].sise", "there is no such key; did you mean 'size'?"),
    ]


@pytest.mark.parametrize(
    ("line", "key", "what"),
    [
        ("name = 3", "name", "must be a text, not 3"),
        ("name = true", "name", "must be a text, not true"),
        ("name = 2020-01-01", "name", "must be a text, not a date or time"),
        ('name = ["x"]', "name", "must be a text, not a list"),
        ("share = nan", "share", "must be a number, not nan"),
        (f"share = {'9' * 400}", "share", "must be a number, not a whole number"),
        (f"pause = {'9' * 400}", "pause", "must be 0 seconds or more, not a whole number"),
        ("share = true", "share", "must be a number, not true"),
        ('rules = "x"', "rules", "must be a list, not 'x'"),
        (f'rules = "{"x" * 50}"', "rules", "must be a list, not a text"),
        ('rules = [{size = "1"}]', "rules[1].size", "must be a whole number, not '1'"),
        ("rules = [{size = 1.0}]", "rules[1].size", "must be a whole number, not 1.0"),
        ("rules = [{size = true}]", "rules[1].size", "must be a whole number, not true"),
        ("rules = [[]]", "rules[1]", "must be a table, not a list"),
        ("env = 1", "env", "must be a table, not 1"),
        ('env = {"a b" = 1}', 'env."a b"', "must be a text, not 1"),
        ("agent = 1", "agent", "must be a text or a table, not 1"),
        (
            "agent = {}",
            "agent.kind",
            "is missing: one of 'shell', 'command', 'claude', 'codex', 'acp', 'replay', 'plugin'",
        ),
        ("agent = {kind = 1}", "agent.kind", "must be a text, not 1"),
        ("agent = {kind = []}", "agent.kind", "must be a text, not a list"),
        ('agent = {kind = "command"}', "agent.argv", "is missing, and has no default"),
        ("pause = -1", "pause", "must be 0 seconds or more, not -1"),
        ("pause = inf", "pause", "must be 0 seconds or more, not inf"),
        (
            'pause = "5 minutes"',
            "pause",
            'must be a number of seconds or a text such as "90s" or "5m", not \'5 minutes\'',
        ),
    ],
)
def test_nothing_is_coerced(problems, line, key, what):
    text = line if line.startswith("name") else f'name = "n"\n{line}'

    assert [(key, what)] == [found[1:] for found in problems(text)]


def test_a_rule_about_several_fields_is_a_problem_of_its_table(problems):
    assert problems('name = "low"') == [(1, "", "name and level must differ")]


# ---------------------------------------------------------------- files that cannot be read


def test_a_syntax_error_has_its_line(problems):
    assert problems('name = "n"\nlevel = low\n') == [(2, "", "not TOML: invalid value")]


def test_a_file_cut_off_has_its_last_line(problems):
    [(line, _, what)] = problems('name = "n"\n\nenv = {')

    assert line == 3
    assert what.startswith("not TOML: ")


def test_a_key_given_twice_is_a_syntax_error(problems):
    [(line, _, what)] = problems('name = "n"\nname = "m"\n')

    assert line == 2
    assert what.startswith("not TOML: the key is there twice")


def test_bytes_that_are_no_utf8_have_their_line(problems):
    what = "not UTF-8 text: the byte 0xff does not belong there"

    assert problems(b'name = "n"\nenv = "\xff"') == [(2, "", what)]


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("no.toml", "there is no such file"),
        ("file/no.toml", "there is no such file"),
        (".", "it is a directory, not a file"),
        ("x" * 300, "it cannot be read: File name too long"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_sentence(tmp_path, path, what):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError) as caught:
        load_record(tmp_path / path, Record)

    assert str(caught.value) == f"{os.path.join(tmp_path, path)}: {what}".replace("/.:", ":")


def test_a_byte_order_mark_and_dos_line_ends_do_not_disturb(tmp_path, problems):
    (tmp_path / "bom").write_bytes(b"\xef\xbb\xbfx")

    assert read_text(str(tmp_path / "bom")) == "x"
    assert problems(b'name = "n"\r\n\r\nshare = "x"\r\n')[0][0] == 3


# ---------------------------------------------------------------- overrides


def test_overrides_are_laid_over_the_file(tmp_path):
    text = 'name = "n"\n[env]\nA = "a"\n[agent]\nkind = "claude"'
    overrides = ["name = x y", "env.B=b", 'agent."model"="m=n"', "share=0.25", "pause=2m"]

    expected = Record(
        name=" x y",
        env={"A": "a", "B": "b"},
        agent=ClaudeAgent(model="m=n"),
        share=0.25,
        pause=120.0,
    )
    assert expected == load(tmp_path, text, *overrides)


def test_a_mistake_in_an_override_stands_in_no_file(problems):
    found = problems('name = "n"\nshare = "x"', "share=y", "env.A=1", "nope.x=1", "rules=[{}]")

    keys = {"nope", "share", "rules[1].size", "env.A"}
    assert {(line, key) for line, key, _ in found} == {("-c", key) for key in keys}


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ("name", "'name': write it as key=value"),
        ("=x", "'=x': '' is no key"),
        ("a b=x", "'a b=x': 'a b' is no key"),
        ("a\nb=x", "'a\\nb=x': 'a\\nb' is no key"),
        ("[a]\nb=x", "'[a]\\nb=x': '[a]\\nb' is no key"),
        ("name.x=1", "'name.x=1': 'name' is a text in the file: give the whole value instead"),
    ],
)
def test_an_override_that_is_none_is_refused(problems, override, what):
    assert problems('name = "n"', override) == [("-c", "", what)]


def test_an_override_that_looks_like_more_than_a_value_is_text(tmp_path):
    assert load(tmp_path, 'name = "n"', 'name="a"\nshare = 3').name == '"a"\nshare = 3'


# ---------------------------------------------------------------- durations and words


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(0, 0.0), (1.5, 1.5), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), ("2d", 172800.0),
     ("500ms", 0.5)],
)  # fmt: skip
def test_durations(value, seconds):
    assert parse_seconds(value) == seconds


@settings(deadline=None)
@given(st.one_of(st.text(max_size=5), st.booleans(), st.none(), st.just(float("nan"))))
def test_what_is_no_duration_is_a_value_error(value):
    if not (isinstance(value, str) and re.fullmatch(r"[\d.]+(ms|s|m|h|d)", value)):
        with pytest.raises(ValueError, match="must be"):
            parse_seconds(value)


def test_keys_are_written_as_users_write_them():
    assert dotted(("a", 0, "b c", "d-e")) == 'a[1]."b c".d-e'
    assert dotted(()) == ""


def test_kinds_have_the_users_words():
    kinds = [kind_of(each) for each in (True, "", 1, 1.0, [], {}, None, date(2026, 1, 1), b"")]

    assert kinds == ["true or false", "a text", "a whole number", "a number", "a list", "a table",
                     "None", "a date or time", "a value of bytes"]  # fmt: skip


def test_a_bug_in_a_record_is_no_mistake_of_the_user():
    @attrs.frozen
    class Buggy:
        def __attrs_post_init__(self):
            raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        structure_value({}, Buggy)


@settings(deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["name", "agent", "kind", "rules", "size", "env", "rows", "pause", "x"]),
        inner,
        max_size=5,
    ),
    max_leaves=15,
))  # fmt: skip
def test_any_value_becomes_a_record_that_its_schema_allows_or_a_list_of_mistakes(value):
    allowed = ALLOWED.is_valid(value)
    try:
        result = structure_value(value, Record)
    except Mistakes as exc:
        result = exc

    if isinstance(result, Record):
        assert allowed
    else:
        assert result.mistakes
        assert not allowed or re.search("differ|number", str(result))


# ---------------------------------------------------------------- schemas


@pytest.mark.parametrize("cls", [Record, RunnerConfig, Batch, Agent])
def test_schemas_are_valid_and_plain_json(cls):
    schema = json_schema(cls)

    jsonschema.Draft202012Validator.check_schema(schema)
    assert json.loads(json.dumps(schema)) == schema


@pytest.mark.parametrize("cls", [RunnerConfig, Batch])
def test_every_option_is_described_in_its_records_docstring(cls):
    assert set(attribute_docs(cls)) == {field.name for field in attrs.fields(cls)}
    described = json_schema(cls)["properties"].values()
    assert all(each["description"] for each in described)


def test_a_schema_says_defaults_bounds_choices_and_tags():
    schema = json_schema(Record)
    properties = schema["properties"]

    assert schema["title"] == "Record"
    assert schema["description"] == "A record with every kind of field."
    assert schema["required"] == ["name"]
    assert properties["share"] == {"type": "number", "default": 0.5}
    assert properties["level"] == {"enum": ["low", "high"], "default": "low"}
    inner = properties["rules"]["items"]
    assert inner["properties"]["size"] == {
        "type": "integer",
        "minimum": 1,
        "description": "how big it is.",
    }
    agents = properties["agent"]["anyOf"][1:]
    assert "title" not in json_schema(Agent)
    assert [agent["required"] for agent in json_schema(Agent)["anyOf"]][1] == ["argv", "kind"]
    assert agents


def test_an_annotation_without_a_schema_is_a_bug():
    with pytest.raises(TypeError, match="no JSON Schema"):
        json_schema(set[int])
