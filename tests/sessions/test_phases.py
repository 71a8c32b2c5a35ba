"""The table of a session's phases: whole, drawn, and walked against a real actor."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap

import pytest

from runner.sessions import actor
from runner.sessions.phases import TABLE, Do, Input, Phase, Step, drawing, step


@pytest.mark.parametrize("phase", Phase)
def test_every_input_has_an_answer_in_every_phase(phase: Phase) -> None:
    assert set(Input) == set(TABLE[phase])
    assert all(step(phase, each) is TABLE[phase][each] for each in Input)


def test_every_phase_can_be_come_to_and_left_but_closed() -> None:
    ways = {
        (phase, found.phase)
        for phase, row in TABLE.items()
        for found in row.values()
        if found.phase is not phase
    }

    assert set(Phase) - {Phase.ABSENT} <= {to for _, to in ways}
    assert set(Phase) - {Phase.CLOSED} == {since for since, _ in ways}


def test_what_is_done_fits_to_where_it_leads() -> None:
    found = [(phase, each, to) for phase, row in TABLE.items() for each, to in row.items()]

    for phase, given, to in found:
        if to.do in {Do.NO, Do.DENY, Do.REFUSE}:
            assert phase is to.phase
        if to.do is Do.START:
            assert {Phase.ABSENT: Phase.STARTING, Phase.REAPED: Phase.REVIVING}[phase] is to.phase
        if given is Input.CLOSE and phase is not Phase.CLOSED:
            assert Phase.CLOSING is to.phase
    assert Step(Do.NOTHING, Phase.CLOSED) == step(Phase.CLOSED, Input.CLOSE)


def test_the_drawing_in_the_actors_text_is_that_of_the_table() -> None:
    assert textwrap.indent(drawing(), "    ") in str(actor.__doc__)
    assert all(len(line) <= 100 for line in inspect.getsource(actor).splitlines())


def test_the_module_draws_itself() -> None:
    program = [sys.executable, "-m", "runner.sessions.phases"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)

    assert f"{drawing()}\n" == done.stdout
