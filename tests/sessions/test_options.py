"""What holds for one turn: an access, and the schema of its answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from runner.agents.events import ErrorClass
from runner.errors import AgentUnavailable, ConfigError
from runner.sessions.making import Sessions
from runner.sessions.schemas import check_schema, keep_to
from runner.sessions.session import Session

Make = Callable[..., Session]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*abilities: str) -> Session:
        return sessions.make_session(str(work), driver=fake(abilities=frozenset(abilities)))

    return make


async def test_a_program_that_does_not_take_the_options_is_ended_and_another_goes_on(
    make: Make,
) -> None:
    async with make("access") as session:
        await session.send("say one")
        turn = await session.send("options", access="read-only")
        same = await session.send("options", access="read-only")
        starts = session.statistics().starts
        back = await session.send("recall")

    assert {"access": "read-only", "schema": None} == json.loads(turn.final_message)
    assert (True, 2) == (same.ok, starts)
    assert back.final_message == "say one | options | options"
    assert 3 == session.statistics().starts


async def test_a_program_that_takes_options_with_each_turn_stays(make: Make) -> None:
    async with make("access", "schema", "per turn") as session:
        await session.send("say one")
        await session.send("options", access="read-only")

        assert 1 == session.statistics().starts


async def test_an_answer_is_kept_to_its_schema_also_where_the_program_knows_none(
    make: Make,
) -> None:
    async with make() as session:
        good = await session.send('say {"n": 1}', schema=SCHEMA)
        bad = await session.send('say {"n": "one"}', schema=SCHEMA)
        none = await session.send("say one", schema=SCHEMA)
        plain = await session.send('say {"n": 1}')
        failed = await session.send("fail overloaded", schema=SCHEMA)

        assert 1 == session.statistics().starts
    assert (True, {"n": 1}) == (good.ok, good.structured)
    assert (False, ErrorClass.FAILED, {"n": "one"}) == (bad.ok, bad.error, bad.structured)
    assert "$.n: 'one' is not of type 'integer'" in bad.error_text
    assert (False, None) == (none.ok, none.structured)
    assert "is no JSON" in none.error_text
    assert (True, None) == (plain.ok, plain.structured)
    assert (ErrorClass.OVERLOADED, None) == (failed.error, failed.structured)


async def test_the_program_is_told_the_schema_if_it_knows_schemas(make: Make) -> None:
    async with make("schema", "per turn") as session:
        turn = await session.send("options", schema={"type": "object"})

    assert turn.structured == {"access": None, "schema": {"type": "object"}}


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"access": "all"}, ConfigError, "access='all'"),
        ({"access": "read-only"}, AgentUnavailable, "cannot be held"),
        ({"schema": {"type": "text"}}, ConfigError, "the schema is none: .*type"),
        ({"schema": {"x": object()}}, ConfigError, "no JSON"),
        ({"schema": "{}"}, ConfigError, "mapping"),
        ({"schema": {"$schema": 5}}, ConfigError, r"\$schema: 5 is no text"),
        ({"schema": {"minimum": float("nan")}}, ConfigError, "no JSON"),
        ({"schema": {"pattern": "["}}, ConfigError, r"\$.pattern"),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_started(
    make: Make, options: dict[str, object], error: type[Exception], message: str
) -> None:
    async with make() as session:
        with pytest.raises(error, match=message):
            await session.send("say x", **options)

        assert (0, 0) == (session.statistics().starts, session.statistics().turns)


def test_no_reference_leads_out_of_a_schema() -> None:
    value, wrong = keep_to({"$ref": "http://127.0.0.1:1/x"}, {"a": 1}, "")

    assert ({"a": 1}, True) == (value, "cannot be checked" in wrong)


@pytest.mark.parametrize(
    ("schema", "message", "wrong"),
    [
        ({}, "NaN", "is no JSON, as its schema wants it: NaN is no number of JSON"),
        ({"multipleOf": 0.1}, "1e400", "cannot be checked by its schema: cannot convert Inf"),
        ({"$ref": "#"}, "1", "cannot be checked by its schema: maximum recursion"),
        ({"$ref": "#/nope"}, "1", "cannot be checked by its schema: PointerToNowhere"),
        ({}, "[" * 10**5, "is no JSON"),
        ({}, "", "is no JSON"),
        ({}, "1" * 5000, "is no JSON"),
    ],
)
def test_whatever_the_answer_is_it_is_checked_or_said_why_not(
    schema: dict[str, object], message: str, wrong: str
) -> None:
    check_schema(schema)

    assert wrong in keep_to(schema, None, message)[1]
