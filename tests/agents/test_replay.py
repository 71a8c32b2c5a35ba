"""Recordings: made without secrets, read strictly, and played back by a real process."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agents import replay_program
from runner.agents.driver import (
    ClaudeAgent,
    CodexAgent,
    CommandAgent,
    ReplayAgent,
    Setting,
    ShellAgent,
    TurnOptions,
)
from runner.agents.events import ConversationStarted, Ready, TurnEnded
from runner.agents.recording import Recorder, Recording, redactor
from runner.agents.registry import make_driver
from runner.errors import ConfigError

SETTING = Setting(cwd="/w", private="/p", conversation="c", resume=False)
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def lines_of(data: bytes) -> list[dict]:
    """The records in a file."""
    return [json.loads(line) for line in data.splitlines()]


# ---------------------------------------------------------------- making one


def test_a_recording_says_who_was_recorded_and_what_was_said_when():
    recorder = Recorder()
    options = TurnOptions(access="read-only", schema={"type": "object"})
    agent = ClaudeAgent(model="m", args=("--secret",), env={"KEY": "x"}, seed="/home/me")
    data = recorder.header(agent)
    data += recorder.start(10.0, Setting(**{**vars_of(SETTING), "options": options}))
    data += recorder.data(10.5, "in", b'{"a":1}\n{"b"')
    data += recorder.data(11.0, "out", b"one\r\ntwo")
    data += recorder.data(11.5, "in", b":2}\n")
    data += recorder.data(12.0, "err", b"\xff\n")
    data += recorder.closed(12.5)
    data += recorder.exit(13.0, -9)

    assert lines_of(data) == [
        {
            "recording": 1,
            "agent": {"kind": "claude", "model": "m", "access": "workspace-write"},
        },
        {
            "start": {
                "conversation": "c",
                "resume": False,
                "approvals": False,
                "access": "read-only",
                "schema": {"type": "object"},
            }
        },
        {"at": 0.5, "in": '{"a":1}\n'},
        {"at": 1.0, "out": "one\r\n"},
        {"at": 1.5, "in": '{"b":2}\n'},
        {"at": 2.0, "err64": "/wo="},
        {"at": 2.5, "out": "two"},
        {"at": 2.5, "closed": True},
        {"at": 3.0, "exit": -9},
    ]


def vars_of(record) -> dict:
    """A record's fields."""
    return {key: getattr(record, key) for key in record.__slots__ if key != "__weakref__"}


SECRET = 'se"cret\\value é'


@given(st.lists(st.integers(min_value=1, max_value=40), max_size=30))
def test_no_secret_is_in_a_recording_however_it_passed(cuts):
    recorder = Recorder(redact=redactor([SECRET, "short", "longer-secret"]))
    inside = json.dumps({"key": SECRET, "more": json.dumps({"key": SECRET})})
    passed = f"{inside}\nkey={SECRET} longer-secret\n".encode() + SECRET.encode() + b"\xff short\n"
    data = recorder.start(0.0, SETTING)
    while passed:
        size = cuts.pop() if cuts else len(passed)
        data += recorder.data(0.0, "out", passed[:size])
        passed = passed[size:]
    data += recorder.exit(0.0, 0)

    said = "".join(step.get("out", "") for step in lines_of(data))
    assert "cret" not in data.decode().replace("longer-secret", "").replace("secrets", "")
    assert "longer-secret" not in data.decode()
    assert said.count("[removed]") == 4


def test_a_secret_in_what_a_process_was_started_with_is_taken_out():
    recorder = Recorder(redact=redactor(["sesame"]))
    options = TurnOptions(schema={"description": "open sesame", "enum": [1, "open sesame"]})
    data = recorder.start(0.0, Setting(**{**vars_of(SETTING), "options": options}))

    assert b"sesame" not in data
    assert b'"enum":[1,"open [removed]"]' in data


def test_a_secret_of_several_lines_is_taken_out_of_each_of_them():
    recorder = Recorder(redact=redactor(["-----BEGIN-----\nabcdefgh\r\nx"]))
    data = recorder.start(0.0, SETTING)
    data += recorder.data(0.0, "err", b"-----BEGIN-----\nabcd")
    data += recorder.data(0.0, "err", b"efgh\r\nx\n")

    assert [step["err"] for step in lines_of(data)[1:]] == ["[removed]\n", "[removed]\r\n", "x\n"]


def test_a_secret_is_taken_out_of_a_line_that_is_no_text_as_well():
    recorder = Recorder(redact=redactor([SECRET]))
    data = recorder.start(0.0, SETTING)
    data += recorder.data(0.0, "out", b"\xff " + SECRET.encode() + b"\n")

    assert base64.b64decode(lines_of(data)[1]["out64"]) == b"\xff [removed]\n"


def test_of_a_line_that_is_too_long_to_be_looked_through_only_the_length_is_kept(monkeypatch):
    monkeypatch.setattr("runner.agents.recording.LINE_LIMIT", 100)
    recorder = Recorder(redact=redactor(["longer-secret"]))
    data = recorder.start(0.0, SETTING)
    for piece in (b"x" * 90, b"longer-", b"secret", b"\nnext\n", b"y" * 101):
        data += recorder.data(0.0, "out", piece)
    data += recorder.exit(0.0, 0)

    assert [step["out"] for step in lines_of(data)[1:-1]] == [
        "[a line of 104 bytes]\n",
        "next\n",
        "[a line of 101 bytes]\n",
    ]


def test_a_line_of_64_mib_in_pieces_costs_its_length_once():
    recorder, piece = Recorder(redact=redactor(["longer-secret"])), b"x" * (1 << 16)
    recorder.start(0.0, SETTING)
    began = time.process_time()
    for _ in range((64 << 20) // len(piece) - 1):
        assert recorder.data(0.0, "out", piece) == b""
    data = recorder.data(0.0, "out", b"\n")

    assert len(data) > (63 << 20)
    assert time.process_time() - began < 10


# ---------------------------------------------------------------- reading one

HEADER = b'{"recording":1,"agent":{"kind":"shell"}}\n'
START = b'{"start":{"conversation":"c"}}\n'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin as a recording"),
        (b"hello\n", "does not begin as a recording"),
        (b'{"recording":2}\n', "does not begin as a recording"),
        (b'{"recording":1}\n' + START, "line 1"),
        (HEADER, "no process begins"),
        (HEADER + b'{"at":1,"out":"x"}\n', "no process begins"),
        (HEADER + START + b"odd\n" + START, "line 3: it is no JSON object"),
        (HEADER + START + b'{"out":"x"}\n', "line 3: it has no time"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_line(data, said):
    with pytest.raises(ConfigError, match=said):
        Recording.read(data, "r.jsonl")


def test_a_torn_last_line_is_no_reason_to_refuse_a_recording(tmp_path):
    data = HEADER + START + b'{"at":0.1,"out":"x\\n"}\n{"at":0.'

    assert len(Recording.read(data, "r").starts) == 1
    assert replay_program.steps_of(data, 0) == [{"at": 0.1, "out": "x\n"}]


@pytest.mark.parametrize(
    ("record", "agent"),
    [
        ({"kind": "shell"}, ShellAgent()),
        ({"kind": "claude", "access": "read-only"}, ClaudeAgent(access="read-only")),
        ({"kind": "codex", "model": "m", "access": "?"}, CodexAgent(model="m", access="read-only")),
        (
            {"kind": "command", "output": "json", "message": "a.b"},
            CommandAgent(argv=("recorded",), output="json", message="a.b"),
        ),
    ],
)
def test_the_driver_is_that_of_the_agent_that_was_recorded(record, agent, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(json.dumps({"recording": 1, "agent": record}).encode() + b"\n" + START)
    driver = make_driver(ReplayAgent(recording=str(path)))

    assert driver.recorded.agent == agent
    assert driver.process_per_turn == make_driver(agent).process_per_turn
    assert driver.max_prompt == make_driver(agent).max_prompt
    assert driver.history("/p", "c") == ""
    assert not driver.abilities & {"fork", "fork at turn"}


def test_a_recording_that_cannot_be_played_is_refused_before_anything_starts(tmp_path):
    path = tmp_path / "r.jsonl"
    with pytest.raises(ConfigError, match="cannot be read"):
        make_driver(ReplayAgent(recording=str(path)))
    path.write_bytes(b'{"recording":1,"agent":{"kind":"replay"}}\n' + START)
    with pytest.raises(ConfigError, match="'replay' cannot be played"):
        make_driver(ReplayAgent(recording=str(path)))


# ---------------------------------------------------------------- playing one


def converted(recording) -> bytes:
    """A program's recorded words as a recording, with what our side said to it."""
    recorder = Recorder()
    talk, now = recording.conversation(), 0.0
    data = recorder.header(recording.agent)
    data += recorder.start(now, talk.setting)
    for step in recording.steps:
        now += 0.001
        data += recorder.data(now, "in", talk.data_to_send())
        if "line" in step:
            line = json.dumps(step["line"], ensure_ascii=False).encode() + b"\n"
            data += recorder.data(now, "out", line)
            talk.receive(line)
        elif "end" in step:
            data += recorder.closed(now) if step["end"] == 0 else b""
            data += recorder.data(now, "err", step["stderr"].encode())
            data += recorder.exit(now, step["end"])
        else:
            recording.do(talk, step)
    return data + recorder.data(now, "in", talk.data_to_send())


def played(recording, path, private, *, timing="at once", turns=None) -> list:
    """Do again what was done, with a replay; what is heard. Turns get other ids than then."""
    path.write_bytes(converted(recording))
    driver = make_driver(ReplayAgent(recording=str(path), timing=timing))
    talk = driver.conversation(recording.conversation().setting)
    setting = Setting(**{**vars_of(SETTING), "private": str(private)})
    private.mkdir(exist_ok=True)
    events = []
    with subprocess.Popen(
        driver.launch(setting).argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:

        def flush():
            with_input = talk.data_to_send()
            if with_input:
                process.stdin.write(with_input)
                process.stdin.flush()

        for step in recording.steps:
            flush()
            if "line" in step:
                line = process.stdout.readline()
                assert line
                events += talk.receive(line)
            elif "end" in step:
                process.stdin.close()
                assert process.wait(10) == step["end"]
                assert process.stderr.read() == step["stderr"].encode()
                events += talk.receive_end(step["end"], step["stderr"].encode())
            else:
                recording.do(talk, (turns or {}).get(step.get("send"), step))
    return events


def without_uuids(events) -> list[str]:
    """Events, but for ids that are new each time."""
    return [UUID.sub("UUID", repr(event)) for event in events]


def test_what_a_replay_says_is_what_the_program_said(recording, tmp_path):
    turns = {
        step["send"]: {**step, "send": f"00000000-0000-4000-8000-{number:012}"}
        for number, step in enumerate(recording.steps)
        if "send" in step
    }
    events = played(recording, tmp_path / "r.jsonl", tmp_path / "private", turns=turns)

    assert without_uuids(recording.play()) == without_uuids(events)
    ends = [event.turn for event in events if isinstance(event, TurnEnded)]
    assert ends == [each["send"] for each in turns.values()]


def play(steps, said=b"", *, one_turn=False, sleep=None):
    """Play steps in this process; how it ended, and what it said."""
    out = []
    player = replay_program.Player(
        steps,
        io.BytesIO(said),
        lambda stream, data: out.append((stream, data)),
        sleep,
        one_turn=one_turn,
    )
    return player.play(), out


def user(text, uuid="6f1c9d80-0d5b-4d7e-9f57-0b6c6f1d2a3b") -> str:
    """A line to claude."""
    return json.dumps({"type": "user", "uuid": uuid, "message": text}) + "\n"


OTHER = "00000000-0000-4000-8000-000000000001"
STEPS = [
    {"at": 0.0, "in": '{"type":"control_request","request":{"subtype":"initialize"}}\n'},
    {"at": 0.1, "out": "hello\n"},
    {"at": 0.2, "in": user("then")},
    {"at": 0.3, "out": user("echo")},
    {"at": 0.4, "err64": "/wo="},
    {"at": 0.5, "exit": 3},
]


def test_lines_are_told_apart_by_their_shape_and_others_are_ignored():
    said = (
        STEPS[0]["in"].encode() + b'{"type":"keep_alive"}\nodd\n[]\n' + user("now", OTHER).encode()
    )
    code, out = play(STEPS, said)

    assert code == 3
    assert out[0] == ("out", b"hello\n")
    assert json.loads(out[1][1])["uuid"] == OTHER
    assert out[2] == ("err", b"\xff\n")


def test_a_line_that_comes_early_makes_it_play_what_lies_before():
    assert play(STEPS, user("now").encode())[1][0] == ("out", b"hello\n")


def test_it_ends_with_its_input_where_it_waits_for_more():
    assert play(STEPS, b"") == (0, [])
    assert play([{"at": 0.0, "out": "x\n"}], b"more\n") == (0, [("out", b"x\n")])
    closing = [{"at": 0.0, "closed": True}, {"at": 0.0, "exit": 5}]
    assert play(closing, b"more\nmore\n") == (5, [])


def test_a_program_of_one_turn_is_spoken_to_by_its_start_only():
    assert play(STEPS, one_turn=True)[0] == 3
    assert play(STEPS[:2], one_turn=True) == (0, [("out", b"hello\n")])


def test_time_passes_as_it_did_but_for_what_is_waited_for():
    slept = []
    play(STEPS, STEPS[0]["in"].encode() + user("now").encode(), sleep=slept.append)

    assert slept == pytest.approx([0.1] * 4)


def test_the_answers_to_requests_bear_the_numbers_of_now():
    steps = [
        {"at": 0.0, "in": '{"id":4,"method":"turn/start"}\n'},
        {"at": 0.0, "out": '{"id":4,"result":{}}\n'},
        {"at": 0.0, "out": '{"id":4,"method":"ask"}\n'},
        {"at": 0.0, "in": '{"id":4,"result":{}}\n'},
        {"at": 0.0, "out": '{"id":9,"result":{}}\n'},
    ]
    said = b'{"id":7,"method":"turn/start"}\n{"id":4,"result":{}}\n'
    _, out = play(steps, said)

    assert [json.loads(data)["id"] for _, data in out] == [7, 4, 9]


def test_uuids_are_replaced_where_as_many_are_said_only():
    steps = [{"at": 0.0, "in": '{"type":"x"}\n'}, {"at": 0.0, "out": f"{OTHER}\n"}]

    assert play(steps, f'{{"type":"x","id":"{OTHER}"}}\n'.encode())[1] == [
        ("out", f"{OTHER}\n".encode())
    ]


def start_replay(path, private, timing="at-once", turns="many"):
    """Start it as the driver does."""
    program = replay_program.__file__
    return subprocess.run(
        [sys.executable, "-I", "-S", program, path, f"{private}/count", timing, turns],
        input=b"",
        capture_output=True,
        timeout=20,
        check=False,
    )


def test_each_start_plays_the_next_process_and_then_there_is_none(tmp_path):
    path = tmp_path / "r.jsonl"
    steps = ['{"at":0.3,"out":"one\\n"}', '{"at":0.3,"exit":2}']
    again = ['{"at":0,"out":"two\\n"}', '{"at":0,"exit":-15}']
    path.write_bytes(
        HEADER + START + "\n".join(steps).encode() + b"\n" + START + "\n".join(again).encode()
    )
    began = time.monotonic()
    first = start_replay(path, tmp_path, timing="recorded", turns="one-turn")
    assert (first.stdout, first.returncode) == (b"one\n", 2)
    assert time.monotonic() - began >= 0.3
    second = start_replay(path, tmp_path)
    assert (second.stdout, second.returncode) == (b"two\n", -signal.SIGTERM)
    third = start_replay(path, tmp_path)
    assert (third.returncode, third.stderr) == (1, b"the recording has no more processes\n")


def test_the_program_reads_and_writes_its_standard_streams(tmp_path, monkeypatch, capfd):
    path = tmp_path / "r.jsonl"
    path.write_bytes(HEADER + START + b'{"at":0,"out":"one\\n"}\n{"at":0,"err":"two\\n"}\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    arguments = (os.fspath(path), os.fspath(tmp_path / "count"), "recorded", "many")

    assert replay_program.main(*arguments) == 0
    assert capfd.readouterr() == ("one\n", "two\n")
    assert replay_program.main(*arguments) == 1


@pytest.mark.parametrize("code", [0, 3])
def test_it_ends_with_the_exit_code_of_then(code):
    with pytest.raises(SystemExit) as ended:
        replay_program.end(code)

    assert ended.value.code == code


@pytest.mark.parametrize("code", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_it_ends_by_the_signal_of_then(code, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(HEADER + START + b'{"at":0,"exit":-%d}\n' % code)

    assert start_replay(path, tmp_path).returncode == -code


def test_a_replay_is_ready_as_the_program_was(load_recording, tmp_path):
    recording = load_recording("codex-0.169.0-turns")
    events = played(recording, tmp_path / "r", tmp_path / "p", timing="recorded")

    assert [type(event) for event in events if isinstance(event, Ready | ConversationStarted)] == [
        ConversationStarted,
        Ready,
    ]
