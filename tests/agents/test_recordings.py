"""What real programs wrote, played back: whole, cut everywhere, with garbage in between."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.agents.events import (
    ApprovalAsked,
    ApprovalClosed,
    ConversationStarted,
    ErrorClass,
    FileChange,
    Raw,
    ReadAsked,
    Ready,
    Retry,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    TurnEnded,
    TurnStarted,
    UsageChanged,
    WriteAsked,
)


def test_a_recording_cut_at_every_byte_says_the_same(recording):
    expected = recording.play()

    assert expected == recording.play(cut=lambda data: [data[i : i + 1] for i in range(len(data))])


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=6, deadline=None
)
@given(sizes=st.lists(st.integers(min_value=1, max_value=3000), min_size=1, max_size=20))
def test_a_recording_in_random_pieces_says_the_same(recording, sizes):
    def cut(data):
        position = 0
        for size in itertools.cycle(sizes):
            if position >= len(data):
                return
            yield data[position : position + size]
            position += size

    assert recording.play() == recording.play(cut=cut)


GARBAGE = [
    b"\n",
    b"\r\n \n",
    b"WARNING: proxy is slow\n",
    b"\xff\xfe\x00\n",
    b"[]\nnull\n42\n",
    b'{"type":\n',
]
# What no version has said yet.
GARBAGE += [b'{"type": "brand_new", "subtype": 7}\n', b'{"method": "brand/new", "params": []}\n']


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_between_the_lines_changes_nothing(recording, garbage):
    def without_raw(events):
        return [event for event in events if not isinstance(event, Raw)]

    assert without_raw(recording.play()) == without_raw(recording.play(between=garbage))


def test_every_turn_has_one_end_and_it_comes_after_its_start(recording):
    events = recording.play()
    sent = [step["send"] for step in recording.steps if "send" in step]

    assert sent == [event.turn for event in events if isinstance(event, TurnEnded)]
    starts = [event.turn for event in events if isinstance(event, TurnStarted)]
    assert len(starts) == len(set(starts))
    for turn in starts:
        of_turn = [e for e in events if isinstance(e, TurnStarted | TurnEnded) and e.turn == turn]
        assert [type(event) for event in of_turn] == [TurnStarted, TurnEnded]


def test_a_program_cut_off_anywhere_ends_the_turn_in_flight_once(recording):
    done = 0
    for length in range(len(recording.steps)):
        steps = [*recording.steps[:length], {"end": -9, "stderr": "Killed"}]
        events = type(recording)(recording.header, steps).play()
        sent = [step["send"] for step in steps if "send" in step]
        ends = [event for event in events if isinstance(event, TurnEnded)]
        done += bool(ends)

        assert sent == [event.turn for event in ends]
    assert done or not sent


def test_what_was_asked_for_was_answered_in_the_programs_own_words(recording):
    talk = recording.conversation()
    for step in recording.steps:
        talk.data_to_send()
        if "line" in step:
            asked = talk.receive(json.dumps(step["line"]).encode() + b"\n")
            for event in of(asked, ApprovalAsked):
                assert event.text
                assert event.kind != "edit" or event.paths
                assert bool(event.questions) == (event.kind == "question")
        else:
            recording.do(talk, step)
        if "decide" in step:
            (line,) = talk.data_to_send().splitlines()[:1]
            assert step["decide"] in str(json.loads(line))


# ---------------------------------------------------------------- what is said in them

CLAUDE = ["claude-2.1.197", "claude-2.1.329"]
CODEX = ["codex-0.115.0", "codex-0.169.0"]
ACP = ["gemini-0.45.2", "gemini-0.61.0", "opencode-1.15.13", "opencode-1.18.33"]


def ends(events):
    return [event for event in events if isinstance(event, TurnEnded)]


def of(events, kind):
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_turns(load_recording, program):
    events = load_recording(f"{program}-turns").play()
    first, second, third = ends(events)

    assert (first.ok, first.message, first.stop) == (True, "done é", "completed")
    assert (first.usage.input_tokens, first.usage.cached_tokens) == (30, 21)
    assert (first.usage.cache_write_tokens, first.usage.output_tokens) == (9, 15)
    assert first.cost_source == "program"
    assert first.cost_usd == pytest.approx(3 * second.cost_usd)
    assert (second.message, second.usage.input_tokens) == ("verbatim", 10)
    assert third.message == "refused"
    assert third.cost_usd == pytest.approx(2 * second.cost_usd)

    assert [call.name for call in of(events, ToolCall)] == ["Write", "Bash", "Write"]
    assert [result.ok for result in of(events, ToolResult)] == [True, True, False]
    assert of(events, ToolResult)[2].text.startswith("Refused: this session runs unattended")
    assert [asked.tool for asked in of(events, ApprovalAsked)] == ["Write"]
    assert [thought.text for thought in of(events, Thinking)] == ["hmm"]
    assert [text.text for text in of(events, Text) if not text.partial] == [
        "done é",
        "verbatim",
        "refused",
    ]
    assert (
        "".join(text.text for text in of(events, Text) if text.partial) == "done éverbatimrefused"
    )
    assert of(events, UsageChanged)[2].usage == first.usage
    (started,) = of(events, ConversationStarted)
    assert started.version == program.removeprefix("claude-")
    assert len(of(events, Ready)) == 1


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_resumed_knows_what_it_cost_before_and_is_killed(load_recording, program):
    again, killed = ends(load_recording(f"{program}-resume").play())

    assert again.ok
    # One request at either version's price, not the sum of the conversation.
    assert again.cost_usd == pytest.approx(0.00019725 if "197" in program else 0.0001564)
    assert (killed.ok, killed.error, killed.stop) == (False, ErrorClass.CRASHED, "SIGKILL")
    assert killed.error_text == "it ended (SIGKILL) in the turn"


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_failures(load_recording, program):
    events = load_recording(f"{program}-failures").play()
    auth, limited, recovered, network, budget = ends(events)

    assert auth.error is ErrorClass.AUTH
    assert limited.error is ErrorClass.RATE_LIMITED
    assert recovered.ok
    assert network.error is ErrorClass.NETWORK
    assert budget.error is ErrorClass.BUDGET
    assert budget.error_text == "Credit balance is too low"
    assert [(r.error, r.status, r.attempt, r.of) for r in of(events, Retry)] == [
        (ErrorClass.AUTH, 401, 1, 1),
        (ErrorClass.OVERLOADED, 529, 1, 1),
        (ErrorClass.NETWORK, None, 1, 1),
    ]
    assert all(0 < retry.delay < 60 for retry in of(events, Retry))
    assert all(end.message == "" for end in ends(events) if not end.ok)


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_interrupted_in_both_phases_is_usable_after(load_recording, program):
    model, tool, after = ends(load_recording(f"{program}-interrupt").play())

    assert (model.error, model.stop) == (ErrorClass.INTERRUPTED, "aborted_streaming")
    assert (tool.error, tool.stop) == (ErrorClass.INTERRUPTED, "aborted_tools")
    assert after.ok


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_out_of_budget_says_so_though_the_second_turn_never_begins(load_recording, program):
    first, second = ends(load_recording(f"{program}-budget").play())

    assert [first.error, second.error] == [ErrorClass.BUDGET, ErrorClass.BUDGET]
    assert first.usage.input_tokens == 10
    assert second.error_text == "Reached maximum budget ($0.0001)"
    assert second.cost_usd == 0


@pytest.mark.parametrize("program", CLAUDE)
def test_claude_does_not_get_ready_for_a_conversation_that_it_does_not_know(
    load_recording, program
):
    recording = load_recording(f"{program}-unknown")

    assert [event.kind for event in recording.play()] == ["result/error_during_execution"]
    assert recording.steps[-1]["end"] == 1


@pytest.mark.parametrize("program", [*CLAUDE, *CODEX])
def test_what_was_asked_for_and_what_came_of_it(load_recording, program):
    events = load_recording(f"{program}-asked").play()
    asked = of(events, ApprovalAsked)

    kinds = ["edit", "edit", "edit", "question", "edit"]
    if program in CODEX:
        kinds = ["command", "edit", "command", "question", "command"]
    assert [each.kind for each in asked] == kinds
    (question,) = asked[3].questions
    assert (question.text, question.options) == ("Which colour?", ("Red", "Blue"))
    assert of(events, ApprovalClosed) == [ApprovalClosed(id=asked[4].id)]
    endings = [None] * 4 + [ErrorClass.INTERRUPTED, None]
    assert [end.error for end in ends(events)] == endings
    changed = ["/home/user/a.txt"] if program in CODEX else ["/home/user/a.txt", "/home/user/b.txt"]
    assert of(events, FileChange) == [FileChange(path=path, kind="created") for path in changed]


@pytest.mark.parametrize("program", [*CLAUDE, *CODEX])
def test_a_turn_that_was_steered_has_one_end_and_counts_all_of_it(load_recording, program):
    events = load_recording(f"{program}-steered").play()
    folded, after, stopped, usable = ends(events)

    assert (after.message, usable.message) == ("second", "usable")
    assert (stopped.ok, stopped.error) == (False, ErrorClass.INTERRUPTED)
    assert [end.ok for end in (folded, after, usable)] == [True] * 3
    if program in CLAUDE:
        assert (folded.message, after.usage.input_tokens) == ("one", 200)


@pytest.mark.parametrize("program", [*CLAUDE, *CODEX])
def test_a_fork_goes_on_from_its_marker_and_keeps_to_its_schema(load_recording, program):
    recording = load_recording(f"{program}-forked")
    first, second, *recalled = ends(recording.play())

    assert (first.structured, second.structured) == ({"n": 5}, None)
    markers = {first.marker, second.marker, recording.header["origin"]["marker"]}
    assert len(markers) == 3
    assert "" not in markers
    if program in CODEX:
        assert recalled[0].message.startswith("!say 0\n!say 1\n!say {")
    else:
        assert "!say 0\n!say 1" in [each.text for each in of(recording.play(), Text)]
        assert second.cost_usd == pytest.approx(2 * first.cost_usd)  # it is asked once more


@pytest.mark.parametrize("program", CODEX)
def test_codex_turns(load_recording, program):
    events = load_recording(f"{program}-turns").play()
    first, second, third = ends(events)

    assert (first.ok, first.message, first.stop) == (True, "done é", "completed")
    assert (first.usage.input_tokens, first.usage.cached_tokens, first.usage.output_tokens) == (
        180,
        120,
        30,
    )
    assert (second.message, second.usage.input_tokens) == ("verbatim", 60)
    assert (third.message, third.usage.input_tokens) == ("refused", 120)
    assert {(end.cost_usd, end.cost_source) for end in ends(events)} == {(None, "none")}

    # The older one asks before it says that it is going to call a tool.
    names = ["commandExecution", "fileChange", "commandExecution"]
    assert [call.name for call in of(events, ToolCall)] == names[: 2 if "115" in program else 3]
    results = [(result.ok, result.text) for result in of(events, ToolResult)]
    assert results == [(True, "hi\n"), (True, "completed"), (False, "declined")]
    assert [asked.tool for asked in of(events, ApprovalAsked)] == ["commandExecution"]
    assert [thought.text for thought in of(events, Thinking)] == ["hmm"]
    assert [text.text for text in of(events, Text) if not text.partial] == [
        "done é",
        "verbatim",
        "refused",
    ]
    (started,) = of(events, ConversationStarted)
    assert started.version == program.removeprefix("codex-")
    assert len(started.conversation) == 36


@pytest.mark.parametrize("program", CODEX)
def test_codex_resumed_counts_this_turn_only_and_is_killed(load_recording, program):
    recording = load_recording(f"{program}-resume")
    events = recording.play()
    again, killed = ends(events)

    assert (again.ok, again.usage.input_tokens, again.usage.output_tokens) == (True, 60, 10)
    assert (killed.error, killed.stop) == (ErrorClass.CRASHED, "SIGKILL")
    assert of(events, ConversationStarted)[0].conversation == recording.header["conversation"]


@pytest.mark.parametrize("program", CODEX)
def test_codex_failures(load_recording, program):
    events = load_recording(f"{program}-failures").play()

    assert [end.error for end in ends(events)] == [
        ErrorClass.AUTH,
        ErrorClass.RATE_LIMITED,
        ErrorClass.OVERLOADED,
        ErrorClass.NETWORK,
        ErrorClass.CONTEXT_OVERFLOW,
        ErrorClass.BAD_REQUEST,
        None,
    ]
    assert min(min(end.usage.input_tokens, end.usage.output_tokens) for end in ends(events)) == 0
    first = of(events, Retry)[0]
    assert (first.error, first.status, first.attempt, first.of) == (ErrorClass.AUTH, 401, 1, 1)


@pytest.mark.parametrize("program", CODEX)
def test_codex_interrupted_in_both_phases_is_usable_after(load_recording, program):
    model, tool, after = ends(load_recording(f"{program}-interrupt").play())

    assert [model.error, tool.error, after.error] == [ErrorClass.INTERRUPTED] * 2 + [None]
    assert model.stop == tool.stop == "interrupted"


@pytest.mark.parametrize("program", CODEX)
def test_codex_refuses_the_first_turn_of_a_thread_that_it_does_not_know(load_recording, program):
    events = load_recording(f"{program}-unknown").play()
    (end,) = ends(events)

    assert (end.error, end.stop) == (ErrorClass.FAILED, "refused")
    assert end.error_text.startswith("no rollout found for thread id")
    assert not of(events, ConversationStarted)


@pytest.mark.parametrize("program", ACP)
def test_acp_turns(load_recording, program):
    events = load_recording(f"{program}-turns").play()
    first, verbatim, recalled, free, held = ends(events)

    assert [end.ok for end in (first, verbatim, recalled, free, held)] == [True] * 5
    assert (first.message, first.stop) == ("done é", "end_turn")
    assert "/clear the table" in recalled.message
    assert min(first.usage.input_tokens, first.usage.output_tokens) > 0
    assert of(events, ConversationStarted)[0].version == program.partition("-")[2]
    changed = ["a.txt", "b.txt"] if program.startswith("gemini") else []  # opencode says none
    assert [Path(each.path).name for each in of(events, FileChange)] == changed
    assert len(of(events, ToolCall)) == len(of(events, ToolResult))


@pytest.mark.parametrize("program", ACP)
def test_acp_files_that_we_wrote_are_not_said_to_be_changed_again(load_recording, program):
    events = load_recording(f"{program}-files").play()
    (written,) = of(events, WriteAsked)

    assert [end.ok for end in ends(events)] == [True, True]
    assert (written.path, written.text.strip()) == ("/home/user/project/a.txt", "hello")
    assert not of(events, FileChange)
    assert not of(events, ReadAsked)  # gemini was not offered it, and opencode never asks


@pytest.mark.parametrize("program", ACP)
def test_acp_what_was_asked_for_and_what_came_of_it(load_recording, program):
    events = load_recording(f"{program}-asked").play()
    *_, stopped, usable = ends(events)

    kinds = [each.kind for each in of(events, ApprovalAsked)]
    assert kinds == ["edit", "edit", "command", "command"]
    assert (stopped.error, usable.message) == (ErrorClass.INTERRUPTED, "5")
    assert [result.ok for result in of(events, ToolResult)].count(True) == 1


@pytest.mark.parametrize("program", ACP)
def test_acp_loaded_again_and_killed_or_said_to_be_lost(load_recording, program):
    again, killed = ends(load_recording(f"{program}-resume").play())
    (unknown,) = ends(load_recording(f"{program}-unknown").play())

    assert (unknown.ok, unknown.stop) == (False, "refused")
    assert unknown.error_text
    if program == "gemini-0.45.2":  # it loads none, and says nothing of that
        assert (again.stop, again.error_text) == ("refused", "it began another of the same name")
    else:
        assert (again.ok, again.message.startswith("!think")) == (True, True)
        assert (killed.error, killed.stop) == (ErrorClass.CRASHED, "SIGKILL")


@pytest.mark.parametrize("program", ACP)
def test_acp_interrupted_in_a_tool_and_at_once_is_usable_after(load_recording, program):
    tool, at_once, after = ends(load_recording(f"{program}-interrupt").play())

    cut = ErrorClass.INTERRUPTED
    if program == "opencode-1.15.13":  # it goes on to the turn's end: the session ends it then
        assert [end.message for end in (tool, at_once)] == ["x", "x"]
        cut = None
    assert [tool.error, at_once.error, after.error] == [cut, cut, None]


@pytest.mark.parametrize("program", ACP)
def test_acp_failures(load_recording, program):
    known = [ErrorClass.BAD_REQUEST, ErrorClass.AUTH, ErrorClass.AUTH]
    said = known if program.startswith("gemini") else [ErrorClass.FAILED] * 3

    errors = [end.error for end in ends(load_recording(f"{program}-failures").play())]
    assert errors == [*said, None]
