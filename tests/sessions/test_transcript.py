"""The transcript of a session: every line is found again, from every cursor, whatever was torn."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.agents import events
from runner.agents.events import Event
from runner.sessions.context import context_of
from runner.sessions.lines import CHUNK, event_of, read_lines, tally
from runner.sessions.transcript import RAW_LIMIT, Transcript

TEXT = events.Text(text="some text")
EVERY_EVENT: tuple[Event, ...] = (
    events.Ready(),
    events.ConversationStarted(conversation="c", model="m", version="1"),
    events.TurnStarted(turn="t"),
    events.Text(text="ünï \udcff\n"),
    events.Thinking(text="hm"),
    events.ToolCall(id="1", name="Bash", input={"command": "ls", "deep": [{"a": None}]}),
    events.ToolResult(id="1", ok=False, text="no"),
    events.UsageChanged(usage=events.Usage(input_tokens=3)),
    events.Retry(attempt=1, of=3, delay=0.5, status=429, error=events.ErrorClass.RATE_LIMITED),
    events.RateLimited(resets_at=datetime(2026, 1, 2, tzinfo=UTC)),
    events.ApprovalAsked(
        id="a", tool="Bash", input={}, questions=(events.Question(id="q", text="?"),)
    ),
    events.ApprovalClosed(id="a"),
    events.ApprovalDecided(
        asked=events.ApprovalAsked(id="a", tool="Bash", input={"x": 1}),
        decision=events.Decision(allow=True, answers={"q": "yes"}),
    ),
    events.FileChange(path="f", kind="created"),
    events.TurnEnded(
        turn="t",
        ok=False,
        message="",
        stop="s",
        error=events.ErrorClass.AUTH,
        raw={"r": [1]},
        marker="m",
        structured={"answer": [1, 2]},
    ),
    events.Raw(kind="k", data=b"plain"),
)


@pytest.fixture
def transcript(tmp_path: Path) -> Iterator[Transcript]:
    transcript = Transcript(str(tmp_path / "transcript.jsonl"))
    yield transcript
    transcript.rest()


@pytest.mark.parametrize("event", EVERY_EVENT, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(transcript: Transcript, event: Event) -> None:
    cursor = transcript.note(turn=3, event=type(event).__name__, data=event)
    (line,) = read_lines(transcript.path)
    found = event_of(line)

    assert found is not None
    assert (3, event, cursor) == (found.turn, found.event, found.cursor)


def test_a_line_that_was_long_comes_back_shortened(transcript: Transcript) -> None:
    transcript.note(event="Raw", data=events.Raw(kind="k", data=b"\xff" * (RAW_LIMIT + 1)))
    (line,) = read_lines(transcript.path)
    found = event_of(line)

    assert found is not None
    assert isinstance(found.event, events.Raw)
    assert found.event.data.endswith(b"[... 1 more]")


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "p"},
        {"event": "OfAnotherVersion", "data": {}},
        {"event": "Text", "data": {"no": "text"}},
        {"event": "Text", "data": "text"},
        {"event": "Text"},
    ],
)
def test_what_is_no_event_that_we_know_is_none(
    transcript: Transcript, line: dict[str, object]
) -> None:
    transcript.note(turn="odd", **line)
    (found,) = read_lines(transcript.path)

    assert event_of(found) is None
    assert 0 == found.turn


def test_there_are_no_lines_where_there_is_no_file(transcript: Transcript) -> None:
    assert [] == list(read_lines(transcript.path))
    assert 0 == transcript.cursor
    assert "" == context_of(transcript.path)


def test_every_cursor_leads_to_the_lines_after_it(transcript: Transcript) -> None:
    big = "x" * (CHUNK * 2 // 3)  # so that lines end in each other's chunks
    cursors = [transcript.note(turn=number, prompt=f"{number} {big}") for number in range(1, 8)]
    transcript.rest()
    for seen, since in enumerate((0, *cursors)):
        lines = list(read_lines(transcript.path, since))
        assert list(range(seen + 1, 8)) == [line.turn for line in lines]
        assert cursors[seen:] == [line.cursor for line in lines]
        for stop in (*cursors[seen:],):
            assert stop == list(read_lines(transcript.path, since, stop))[-1].cursor

    assert transcript.cursor == cursors[-1]
    assert [] == list(read_lines(transcript.path, cursors[-1] + 1000))


@given(data=st.binary(max_size=60), cut=st.integers(0, 400))
def test_whatever_is_torn_or_garbage_spoils_no_whole_line(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, cut: int
) -> None:
    path = tmp_path_factory.mktemp("t") / "transcript.jsonl"
    whole = [json.dumps({"turn": number, "prompt": "p" * number}) + "\n" for number in range(1, 5)]
    torn = "".join(whole).encode()[:cut] + data.replace(b"\n", b"")
    path.write_bytes(torn)
    written = Transcript(str(path))
    cursor = written.note(turn=9, prompt="after")
    written.rest()
    lines = [line for line in read_lines(str(path)) if "prompt" in line.value]

    assert (9, cursor) == (lines[-1].turn, lines[-1].cursor)
    intact = [len("".join(whole[:number])) <= cut for number in range(1, 5)]
    assert sum(intact) <= len(lines) - 1 <= sum(intact) + 1


def test_a_cursor_in_the_midst_of_a_line_passes_over_the_rest_of_it(transcript: Transcript) -> None:
    first = transcript.note(turn=1, prompt='{"turn": 7}')
    transcript.note(turn=2, prompt="b")
    for since in range(1, first):
        assert [2] == [line.turn for line in read_lines(transcript.path, since)]


def test_a_torn_last_line_is_not_read_until_it_is_whole(transcript: Transcript) -> None:
    transcript.note(turn=1, prompt="a")
    line = json.dumps({"turn": 2, "prompt": "b"})
    with open(transcript.path, "a") as file:
        file.write(line)
    assert [1] == [each.turn for each in read_lines(transcript.path)]

    with open(transcript.path, "a") as file:
        file.write("\n")
    assert [1, 2] == [each.turn for each in read_lines(transcript.path)]


# ---------------------------------------------------------------- as text


def a_conversation(transcript: Transcript) -> None:
    for number, (prompt, answer, ok) in enumerate(
        [("first\n", "one", True), ("second", "", False), ("third", "three", True)], 1
    ):
        transcript.note(turn=number, prompt=prompt)
        transcript.note(turn=number, event="Text", data=events.Text(text="aside"))
        result = {"ok": ok, "final_message": answer, "error_text": "" if ok else "it was cut"}
        transcript.note(turn=number, result=result)


def test_the_turns_as_text_have_what_was_said_and_what_went_wrong(transcript: Transcript) -> None:
    a_conversation(transcript)

    assert (
        "User: first\n\nAgent: one\n\nUser: second\n\n"
        "Agent: [this turn did not come to a good end: it was cut]\n\nUser: third\n\nAgent: three"
    ) == context_of(transcript.path)
    assert "User: first\n\nAgent: one" == context_of(transcript.path, until=1)


def test_a_turn_that_never_began_is_not_told(transcript: Transcript) -> None:
    a_conversation(transcript)
    before = context_of(transcript.path)
    transcript.note(turn=4, prompt="in vain")
    transcript.note(turn=4, never_began=True)
    assert before == context_of(transcript.path)
    transcript.note(turn=4, prompt="fourth")
    transcript.note(turn=4, steer="and more")

    assert f"{before}\n\nUser: fourth\n\nUser: and more" == context_of(transcript.path)


def test_of_turns_that_are_too_long_the_latest_are_told(transcript: Transcript) -> None:
    a_conversation(transcript)

    short = context_of(transcript.path, limit=30)
    assert "[4 earlier messages are left out]\n\nUser: third\n\nAgent: three" == short
    assert "[5 earlier messages are left out]\n\nAgent: thr [...]" == context_of(
        transcript.path, limit=10
    )


def test_lines_that_are_added_together_are_there_at_the_end_with_the_cursors_that_were_said(
    transcript: Transcript,
) -> None:
    transcript.note(turn=1, prompt="before")
    before = Path(transcript.path).read_bytes()
    with transcript:
        cursors = [transcript.note(turn=1, event="Text", data=each) for each in (TEXT, TEXT)]
        assert before == Path(transcript.path).read_bytes()
    transcript.note(turn=1, result={"ok": True})
    lines = list(read_lines(transcript.path))

    assert cursors == [line.cursor for line in lines[1:3]]
    assert [TEXT, TEXT] == [event.event for event in map(event_of, lines[1:3]) if event]
    assert 4 == len(lines)


def test_who_lets_go_of_the_file_meanwhile_has_written_what_was_added(
    transcript: Transcript,
) -> None:
    with transcript:
        transcript.note(turn=1, event="Text", data=TEXT)
        transcript.rest()
        transcript.note(turn=1, event="Text", data=TEXT)

    assert 2 == len(list(read_lines(transcript.path)))


def test_of_lines_that_are_added_together_those_that_there_was_no_room_for_are_counted(
    transcript: Transcript,
) -> None:
    first = transcript.note(turn=1, event="Text", data=TEXT)
    with limited_to(first * 5 // 2), transcript:
        for _ in range(3):
            transcript.note(turn=1, event="Text", data=TEXT)
    after = transcript.note(turn=2, event="Text", data=TEXT)

    assert 2 == transcript.lost
    assert [(1, 0), (1, 0), (0, 2), (2, 0)] == [
        (line.turn, line.lost) for line in read_lines(transcript.path)
    ]
    assert after == Path(transcript.path).stat().st_size


# ---------------------------------------------------------------- a full disk


@contextlib.contextmanager
def limited_to(size: int) -> Iterator[None]:
    """A full disk, for this process: no file gets larger than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


DEEP: dict[str, object] = {}
for _ in range(5000):
    DEEP = {"a": DEEP}


@attrs.define
class Writing:
    """A transcript that is written while there is room, or not."""

    written: Transcript
    room: int
    cursors: list[int] = attrs.field(factory=list)
    is_exact: bool = True
    limits: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack)

    def note(self) -> None:
        self.cursors.append(self.written.note(turn=len(self.cursors) + 1, prompt="p"))

    def too_deep(self) -> None:
        self.cursors.append(self.written.note(turn=len(self.cursors) + 1, data=DEEP))

    def several(self) -> None:
        with self.written:
            for each in (self.note, self.note, self.too_deep, self.note):
                each()

    def full(self) -> None:
        self.limits.enter_context(limited_to(self.written.cursor + self.room))

    def rest(self) -> None:
        self.written.rest()

    def begin_anew(self) -> None:
        """Be another owner, who knows nothing of this one."""
        self.limits.close()
        self.is_exact = self.is_exact and not self.written.missing
        self.written.rest()
        self.written = Transcript(self.written.path)


STEP = st.sampled_from(["note", "several", "full", "room", "rest", "too_deep", "begin_anew"])


@settings(deadline=None)  # what is nested deep takes 10 ms to be seen to be
@given(steps=st.lists(STEP, max_size=25), room=st.integers(0, 120))
def test_no_two_lines_have_one_cursor_and_no_gap_is_unsaid_whatever_there_is_room_for(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], room: int
) -> None:
    writing = Writing(Transcript(str(tmp_path_factory.mktemp("t") / "transcript.jsonl")), room)
    with writing.limits:
        for step in steps:
            writing.limits.close() if step == "room" else getattr(writing, step)()
    writing.note()
    writing.rest()
    path, cursors = writing.written.path, writing.cursors
    lines = list(read_lines(path))
    kept = [line for line in lines if line.turn]

    assert sorted(set(cursors)) == cursors
    assert [cursors[line.turn - 1] for line in kept] == [line.cursor for line in kept]
    assert len(cursors) == kept[-1].turn
    for number, cursor in enumerate(cursors, 1):
        after = [line.turn for line in read_lines(path, cursor) if line.turn]
        assert [line.turn for line in kept if line.turn > number] == after
    seen = lost = 0
    for line in lines:
        lost += line.lost
        if line.turn:
            missing = line.turn - seen - 1
            assert bool(missing) == bool(lost)
            assert missing == lost or not writing.is_exact
            seen, lost = line.turn, 0


def test_what_there_was_no_room_for_takes_no_room_and_no_memory(transcript: Transcript) -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    transcript.note(turn=1, prompt="a")
    assert transcript._file is not None
    os.dup2(descriptor, transcript._file.fileno())
    os.close(descriptor)
    for _ in range(100):
        transcript.note(turn=1, prompt="x" * (1 << 20))
    transcript.rest()
    transcript.note(turn=2, prompt="b")
    tracemalloc.start()
    lines = list(read_lines(transcript.path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert [(1, 0), (0, 100), (2, 0)] == [(line.turn, line.lost) for line in lines]
    assert Path(transcript.path).stat().st_size > 100 << 20
    assert Path(transcript.path).stat().st_blocks * 512 < 1 << 20
    assert peak < 10 << 20


def test_what_nobody_could_translate_and_what_is_missing_is_counted(transcript: Transcript) -> None:
    for kind in ("a", "b", "b"):
        transcript.note(turn=1, event="Raw", data=events.Raw(kind=kind, data=b"x"))
    transcript.note(turn=1, event="Text", data=events.Text(text='"Raw" "lost"'))
    transcript.note(turn=1, data=DEEP)
    transcript.note(turn=1, prompt='{"lost": 7}')
    transcript.rest()
    found = tally(transcript.path)

    assert ([("b", 2), ("a", 1)], 1) == ([*found.untranslated.items()], found.lost)
