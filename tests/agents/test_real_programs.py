"""What the flags of the real programs hold, tried out: without a session, over plain pipes.

Whole turns, revival and failures of the real programs are tested with sessions (tests/sessions).
"""

from __future__ import annotations

import glob
import re
import time
import uuid

import pytest

from runner.agents.events import ApprovalAsked

pytestmark = pytest.mark.real_agents


KINDS = ["claude", "codex"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("access", "inside", "outside"),
    [
        ("read-only", False, False),
        ("workspace-write", True, False),
        ("danger-full-access", True, True),
    ],
)
def test_access_holds_for_files_and_for_commands(
    kind, access, inside, outside, make_driver, start, tmp_path
):
    cwd, other = tmp_path / "cwd", tmp_path / "other"
    other.mkdir()
    program = start(make_driver(kind, access))
    end = program.turn(
        f"!write {cwd}/a.txt: x\n!run touch {cwd}/b.txt\n"
        f"!write {other}/c.txt: x\n!run touch {other}/d.txt\n!say done"
    )

    assert (end.ok, end.message) == (True, "done")
    assert {"a.txt": inside, "b.txt": inside} == {
        name: (cwd / name).exists() for name in ("a.txt", "b.txt")
    }
    assert {"c.txt": outside, "d.txt": outside} == {
        name: (other / name).exists() for name in ("c.txt", "d.txt")
    }
    if access == "workspace-write" and kind == "claude":
        assert [event.tool for event in program.events if isinstance(event, ApprovalAsked)] == [
            "Write"
        ]
    if kind == "claude":  # what it writes for a time
        assert list((tmp_path / "private" / "scratch").glob("claude-*"))
        assert not glob.glob("/tmp/claude-*/" + re.sub("[^A-Za-z0-9]", "-", str(cwd)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_prompt_reaches_the_model_as_it_is(kind, make_driver, start):
    program = start(make_driver(kind, "read-only"))
    prompts = [
        "/clear the table",
        "/nosuch",
        "-p --help",
        "--",
        "!say @file.txt",
        "two\n\nlines  \n",
    ]
    ends = [program.turn(prompt) for prompt in prompts]
    recalled = program.turn("!recall").message

    assert all(end.ok for end in ends)
    for prompt in prompts:
        assert prompt.strip() in recalled
    assert len({end.raw.get("session_id", "") for end in ends}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupt_at_any_moment_ends_the_turn_at_once(kind, make_driver, start):
    program = start(make_driver(kind, "danger-full-access"))
    for attempt in range(6):
        program.until(lambda: program.talk.ready)
        program.talk.send_turn(str(uuid.uuid4()), f"!run sleep 30\n!say {attempt}")
        heard = len(program.events)
        began = time.monotonic()
        if attempt % 2:  # even: in one write with the prompt; odd: as soon as anything is said
            program.until(lambda heard=heard: len(program.events) > heard)
        program.talk.interrupt()
        program.until(lambda: program.talk.ready)

        assert program.ends()[-1].error == "interrupted"
        assert time.monotonic() - began < 20
    assert program.turn("!say usable").message == "usable"


@pytest.mark.parametrize("kind", KINDS)
def test_usage_and_cost_are_the_turns_own_also_after_a_resume(kind, make_driver, start):
    driver = make_driver(kind, "read-only")
    first = start(driver)
    ends = [first.turn(f"!usage input=100 output=10\n!say {number}") for number in range(2)]
    conversation = next(e.conversation for e in first.events if hasattr(e, "conversation"))
    first.process.stdin.close()
    first.process.wait(10)
    second = start(driver, conversation=conversation, resume=True)
    ends += [second.turn(f"!usage input=100 output=10\n!say again {number}") for number in range(2)]

    assert [(end.usage.input_tokens, end.usage.output_tokens) for end in ends] == [(100, 10)] * 4
    assert len({end.cost_usd and round(end.cost_usd, 6) for end in ends}) == 1
