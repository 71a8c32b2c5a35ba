"""What the README says of sessions: its examples run as they stand, its lists are whole."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import trio

import runner
from runner.agents.events import ErrorClass, Event, TurnEnded
from runner.agents.plugins import GROUP
from runner.sessions.phases import drawing
from runner.sessions.session import Session

README = (Path(__file__).parents[2] / "README.md").read_text()
SECTION = README.partition("\n## Sessions\n")[2].partition("\n## ")[0]


def block(name: str) -> str:
    found = re.search(
        rf"<!-- {name} -->\n( *)```\w+\n(.*?)\n *```\n *<!-- /{name} -->", README, re.DOTALL
    )
    assert found is not None, name
    return textwrap.dedent(found[2])


async def run(code: str, **names: object) -> dict[str, Any]:
    """Run lines that may wait."""
    known: dict[str, Any] = {"trio": trio, "runner": runner, "print": str, **names}
    compiled = compile(code, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with trio.fail_after(30):
        await eval(compiled, known)
    return known


def test_the_first_example_runs_by_itself(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block("sessions")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "XDG_STATE_HOME": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    said = done.stdout.splitlines()

    assert (0, "") == (done.returncode, done.stderr)
    assert "1 done (PurePosixPath('a.txt'),)" in said[0]
    assert re.match(r"\w+\(", said[1])
    assert "SessionStatistics" in said[2]
    kept = sorted(each.name for each in (tmp_path / "state/runner/sessions").iterdir())
    assert ["other", "shop"] == kept


@pytest.fixture
async def session(sessions: Any, work: Path, fake: Callable[..., object]) -> Any:
    async with sessions.make_session(str(work), driver=fake()) as session:
        yield session


async def test_the_ways_to_send_are_there(session: Session) -> None:
    known = await run(block("turns"), session=session)

    assert isinstance(known["turn"], runner.Turn)
    assert not known["turn"].ok  # the program of this test says nothing by a schema
    assert session.statistics().turns >= 5


async def test_what_is_asked_for_is_decided_as_it_says(
    tmp_path: Path, fake: Callable[..., object]
) -> None:
    prompts = block("approvals").replace('"tidy up"', '"ask Read a\\nask Bash rm -rf /"')
    async with runner.open_runner(state=tmp_path / "state") as r:
        names = {"r": r, "scope": r.scope(tmp_path), "agent": fake(), "TurnEnded": TurnEnded}
        known = await run(prompts, **names)

    assert isinstance(known["happened"].event, TurnEnded)
    assert 1 == known["session"].statistics().turns


def test_the_phases_are_those_of_the_table() -> None:
    assert drawing() == block("phases")


def test_every_kind_of_event_and_of_error_is_named() -> None:
    named = set(re.findall(r"`(\w+)`", SECTION))

    assert {each.__name__ for each in get_args(Event)} <= named
    assert {each.value for each in ErrorClass} <= named


def test_every_argument_is_named_and_where_it_can_be_given() -> None:
    rows = re.findall(r"^\| (`[^|]*`)( ¹)? \| ([^|]*) \|", SECTION, re.MULTILINE)
    here = {name for names, _, _ in rows for name in re.findall(r"`(\w+)`", names)}
    marked = {name for names, mark, _ in rows if mark for name in re.findall(r"`(\w+)`", names)}
    of_send = {
        (re.findall(r"`send`: `(\w+)`", what) or re.findall(r"`(\w+)`", names))[0]
        for names, _, what in rows
        if "(`send`" in what
    }

    def arguments(function: Callable[..., object]) -> set[str]:
        return set(inspect.signature(function).parameters) - {"self"}

    of_session, by_itself = arguments(runner.Runner.session), arguments(runner.make_session)
    assert of_session - {"scope"} == here
    assert here - by_itself == marked
    only = by_itself - here - {"cwd"}
    assert only == {name for name in only if f"`{name}=" in README or f"{name}=" in README}
    assert arguments(Session.send) - {"prompt", "when_busy", "schema"} == of_send


def test_an_entry_point_is_of_the_group_that_is_looked_through() -> None:
    assert {GROUP} == set(tomllib.loads(block("entry-point"))["project"]["entry-points"])
