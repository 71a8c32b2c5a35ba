"""The syntax of the directives, and what of a prompt one request plays."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents.events import ErrorClass, Usage
from runner.testing.model.directives import DirectiveError, parse, recalled, stretch
from runner.testing.model.steps import (
    Cost,
    Count,
    Drop,
    Exit,
    Fail,
    Fill,
    Hang,
    Line,
    Malformed,
    Recall,
    Reset,
    Run,
    Say,
    Sleep,
    Spawn,
    Stall,
    Stderr,
    Step,
    Stop,
    Think,
    Tool,
    Write,
)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("!write a.txt: hi", Write(path="a.txt", content="hi\n")),
        ("!write a/b c.txt:hi", Write(path="a/b c.txt", content="hi\n")),
        (r"!write a: one\n\ttwo\\n", Write(path="a", content="one\n\ttwo\\n\n")),
        (r"!write a: one\n", Write(path="a", content="one\n")),
        ("!write a: b: c", Write(path="a", content="b: c\n")),
        ("!write a:", Write(path="a", content="\n")),
        (r"!run printf 'a\nb'", Run(command=r"printf 'a\nb'")),
        ("!run cat <<END", Run(command="cat <<END")),
        ("!tool Glob", Tool(name="Glob", input={})),
        ('!tool Glob {"a": [1]}', Tool(name="Glob", input={"a": [1]})),
        ("!say hello  world", Say(text="hello  world")),
        ("!say", Say(text="")),
        ("   !say indented", Say(text="indented")),
        ("!think so", Think(text="so")),
        ("!fill 10", Fill(size=10)),
        ("!recall", Recall(count=None)),
        ("!recall 2", Recall(count=2)),
        (
            "!usage input=1 output=2 cached=3 cache-write=4",
            Count(
                usage=Usage(input_tokens=1, output_tokens=2, cached_tokens=3, cache_write_tokens=4)
            ),
        ),
        ("!usage", Count(usage=Usage())),
        ("!stop max_tokens", Stop(reason="max_tokens")),
        ("!sleep 0.5", Sleep(seconds=0.5)),
        (
            "!fail 429 retry-after=1.5 times=2 type=odd slow down",
            Fail(
                status=429,
                error=ErrorClass.RATE_LIMITED,
                type="odd",
                message="slow down",
                retry_after=1.5,
                times=2,
            ),
        ),
        (
            "!fail budget resets=60 spent",
            Fail(status=402, error=ErrorClass.BUDGET, message="spent", resets=60.0),
        ),
        (
            "!fail auth",
            Fail(status=401, error=ErrorClass.AUTH, message="as the prompt asked for: auth"),
        ),
        (
            "!fail context_overflow",
            Fail(
                status=400,
                error=ErrorClass.CONTEXT_OVERFLOW,
                message="prompt is too long: 250000 tokens > 200000 maximum",
            ),
        ),
        ("!fail crashed x", Fail(status=500, error=ErrorClass.CRASHED, message="x")),
        ("!fail 418 x", Fail(status=418, error=ErrorClass.FAILED, message="x")),
        ("!drop", Drop()),
        ("!drop times=3", Drop(times=3)),
        ("!reset times=1", Reset(times=1)),
        ("!stall", Stall()),
        ("!hang", Hang()),
        ("!malformed", Malformed()),
        ("!exit -9", Exit(code=-9)),
        ("!exit", Exit(code=1)),
        ("!spawn sleep 1", Spawn(command="sleep 1")),
        (r"!stderr a\tb", Stderr(text="a\tb")),
        ("!line {x", Line(text="{x")),
        ("!cost 0.25", Cost(usd=0.25)),
    ],
)
def test_a_line_is_read_as_its_step(line: str, expected: Step) -> None:
    assert parse(line) == (expected,)


def test_texts_of_many_lines_stand_below_up_to_their_word() -> None:
    prompt = "Do this:\n!write a.py <<END\nif x:\n    !say no directive\n\nEND\n!say <<E\n1\n2\nE\n"
    prompt += "!run <<E\ncd a\nls\nE\nbye\n!write none <<X\nX"

    assert parse(prompt) == (
        Write(path="a.py", content="if x:\n    !say no directive\n\n"),
        Say(text="1\n2"),
        Run(command="cd a\nls"),
        Write(path="none", content=""),
    )


def test_everything_else_in_a_prompt_is_ignored() -> None:
    assert parse("fix it! now\nwhat is !this\n![image](a.png)\n!Important\n! say x\n!!\n") == ()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("!sya hi", "unknown directive !sya"),
        ("!write a.txt", "should be !write PATH: TEXT"),
        ("!write : x", "there is no path"),
        ("!write a <<END\nx", "no line END ends it"),
        ("!run", "there is no command"),
        ("!tool", "!tool NAME"),
        ("!tool X [1]", "!tool NAME"),
        ("!tool X {", "!tool X {"),
        ("!recall x", "!recall x"),
        ("!sleep", "!sleep"),
        ("!usage x", "what is 'x'?"),
        ("!usage tokens=1", "unknown option tokens="),
        ("!fail", "'!fail'"),
        ("!fail 200", "400 to 599"),
        ("!fail nonsense", "nonsense"),
        ("!drop now", "what is 'now'?"),
        ("!drop times=x", "times=x"),
    ],
)
def test_a_misspelt_directive_is_an_error_that_says_so(line: str, said: str) -> None:
    with pytest.raises(DirectiveError) as caught:
        parse(line)

    assert said in str(caught.value)


@given(st.text())
def test_any_text_is_read_or_refused(prompt: str) -> None:
    with suppress(DirectiveError):
        parse(prompt)


@given(st.lists(st.sampled_from([Say(text="s"), Run(command="r")]), max_size=12))
def test_the_stretches_of_a_prompt_are_the_whole_prompt_in_its_order(steps: list[Step]) -> None:
    def is_call(step: Step) -> bool:
        return isinstance(step, Run)

    calls = sum(map(is_call, steps))
    stretches = [stretch(tuple(steps), done, is_call) for done in range(calls + 1)]

    assert [pair for part in stretches for pair in part] == list(enumerate(steps))
    assert all(is_call(part[-1][1]) for part in stretches[:-1])


def test_recall_says_the_prompts_before_this_one() -> None:
    prompts = ("one", "two", "three", "!recall")

    assert recalled(prompts, Recall()) == "one\ntwo\nthree"
    assert recalled(prompts, Recall(count=2)) == "two\nthree"
    assert recalled(prompts, Recall(count=0)) == "I remember no earlier prompt."
    assert recalled(prompts, Recall(count=9)) == "one\ntwo\nthree"
    assert recalled(prompts[-1:], Recall()) == "I remember no earlier prompt."
