"""`runner session`: what is kept is seen, gone on with, forked and closed, from any process."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from runner.agents.events import Raw
from runner.cli.session_finding import state_of
from runner.cli.session_log import _text
from runner.sessions.lines import Line
from runner.sessions.record import Record
from runner.sessions.transcript import Transcript
from runner.testing.model_server import Served

KEEPER = """
import sys, trio, runner

async def main():
    async with runner.open_runner() as r:
        scope = r.scope(sys.argv[1])
        agent = runner.CommandAgent(argv=("sh",)) if sys.argv[2] == "command" else sys.argv[2]
        async with r.session(scope, agent, id=sys.argv[3]) as session:
            for prompt in sys.argv[4:]:
                await session.send(prompt)

trio.run(main)
"""


@pytest.fixture
def keep(runner):
    """Carry out turns of a session that is kept, in a process of its own."""

    def keep(name: str, *prompts: str, agent: str = "shell", wait: bool = True):
        args = (str(runner.cwd), agent, name, *prompts)
        if wait:
            ended = runner(*args, program=("-c", KEEPER))
            assert ended.code == 0, ended.err
            return ended
        return runner.start(*args, program=("-c", KEEPER))

    return keep


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_group_alone_says_which_commands_it_has_and_how_sessions_are_listed(runner) -> None:
    alone, batch = runner("session"), runner("batch")

    assert (2, 2, "") == (alone.code, batch.code, alone.out)
    assert "`runner session ls` lists them" in " ".join(alone.err.split())
    assert all(f"\n  {each} " in alone.err for each in ("ls", "show", "new", "send", "record"))


def test_sessions_are_listed_and_shown(runner, keep) -> None:
    assert (0, "") == (runner("session", "ls").code, runner("session", "ls").out)
    assert not (runner.home / "state").exists()
    keep("one", "echo first", "echo second; exit 3")
    keep("two", "true", agent="command")

    listed = runner("session", "ls")
    assert [["two", "command"], ["one", "shell"]] == [
        line.split()[:2] for line in listed.out.splitlines()[1:]
    ]
    assert "at rest" in listed.out
    shown = runner("session", "show", "on")
    assert "session:      one" in shown.out
    assert [["1", "ok"], ["2", "failed"]] == [
        line.split()[:2] for line in shown.out.splitlines()[-2:]
    ]
    assert "exit code 3" in shown.out


def test_a_session_is_begun_gone_on_with_and_forked_without_a_line_of_python(runner) -> None:
    (runner.cwd / "there").mkdir()
    begun = runner("session", "new", "echo one; touch f", "-w", "there", "--json")
    (turn,) = records(begun.out)
    session = str(turn["session"])

    assert (0, ["f"], 1) == (begun.code, turn["files_created"], turn["turn"])
    assert begun.err.endswith(f"\nsession: {session}\n")
    sent = runner("session", "send", session[:8], "ls")
    assert (0, "f\n") == (sent.code, sent.out)
    failed = runner("session", "new", "exit 3", "--id", "mine")
    assert (1, True) == (failed.code, failed.err.endswith("session: mine\n"))
    missing = runner("session", "new", "x", "-a", "claude", "--id", "no", env={"PATH": "/nowhere"})
    assert (2, False) == (missing.code, "session: " in missing.err)
    assert 2 == len(runner("session", "ls", "--json").out.splitlines())


@pytest.mark.real_agents
def test_a_conversation_that_was_lost_is_said_and_begun_anew_if_that_is_wanted(
    runner, claude_program: str, model_server: Served
) -> None:
    variables = "".join(f"{key} = {value!r}\n" for key, value in model_server.claude_env().items())
    text = (
        f"kind = 'claude'\nprogram = {claude_program!r}\naccess = 'read-only'\n[env]\n{variables}"
    )
    (runner.cwd / "a.toml").write_text(text)
    env = {"PATH": os.environ["PATH"]}
    begun = runner("session", "new", "!say one", "-a", "a.toml", "--id", "mine", env=env)
    assert (0, "one\n") == (begun.code, begun.out), begun.err
    for each in runner.home.rglob("projects/*/*.jsonl"):
        each.unlink()
    lost = runner("session", "send", "mine", "!recall 1", "-a", "a.toml", env=env)
    assert (1, "", 1) == (lost.code, lost.out, lost.err.count("\n"))
    assert "does not have the conversation" in lost.err
    fresh = runner("session", "send", "mine", "!say two", "-a", "a.toml", "--fresh", env=env)

    assert (0, "two\n") == (fresh.code, fresh.out), fresh.err
    (history,) = runner.home.rglob("projects/*/*.jsonl")
    assert "User: !say one" in history.read_text()


def test_as_json_each_is_a_record(runner, keep) -> None:
    keep("one", "echo first")

    (listed,) = records(runner("session", "ls", "--json").out)
    session, turn = records(runner("session", "show", "one", "--json").out)
    assert {**session, **listed, "lost": 0, "untranslated": {}} == session
    assert ("runner.session/1", "one", "at rest", "", None, 1) == tuple(
        session[key] for key in ("schema", "id", "state", "owner", "memory", "turns")
    )
    program = hashlib.sha256(Path(shutil.which("sh") or "").read_bytes()).hexdigest()
    assert program == session["program_sha256"]
    assert f"sha256:       {program}\n" in runner("session", "show", "one").out
    assert ("runner.session_turn/1", 1, "ok") == tuple(
        turn[key] for key in ("schema", "number", "state")
    )


def test_a_session_is_gone_on_with_as_it_was_made(runner, keep) -> None:
    keep("one", "echo first")

    sent = runner("session", "send", "one", "echo second")
    assert (0, "second\n") == (sent.code, sent.out)
    sent = runner("session", "send", "one", "-", "--json", input=b"echo third; exit 4")
    (record,) = records(sent.out)
    assert (1, "one", 3, "runner.turn/1") == (
        sent.code, record["session"], record["turn"], record["schema"]
    )  # fmt: skip
    assert "turns\n" not in runner("session", "log", "one").out
    log = runner("session", "log", "one").out
    assert log.index("[1] echo first") < log.index("second\n") < log.index("[3] failed")


def test_what_nobody_could_translate_and_what_is_missing_is_shown(runner, keep) -> None:
    keep("one", "echo one")
    transcript = Transcript(str(runner.home / "state/runner/sessions/one/transcript.jsonl"))
    transcript.missing = 2
    for kind in ("news", "news", "garbage"):
        transcript.note(turn=1, event="Raw", data=Raw(kind=kind, data=b"x"))
    transcript.rest()
    shown = runner("session", "show", "one").out
    record = records(runner("session", "show", "one", "--json").out)[0]

    assert "untranslated: 3 messages of its program: news 2, garbage 1\n" in shown
    assert "missing:      2 lines of its transcript: there was no room\n" in shown
    assert ({"news": 2, "garbage": 1}, 2) == (record["untranslated"], record["lost"])
    assert "[there was no room for 2 lines here]\n" in runner("session", "log", "one").out


@pytest.mark.parametrize(("owner", "expected"), [("process 1", "parked"), ("", "cut")])
def test_a_turn_that_waits_for_its_provider_is_parked_as_long_as_somebody_owns_it(
    owner: str, expected: str
) -> None:
    record = Record(id="one", agent="claude", directory="/", conversation="c")
    record.in_flight, record.standing = 1, "parked"

    assert expected == state_of(record, owner)


def test_the_log_goes_on_from_a_cursor_and_by_turn(runner, keep) -> None:
    keep("one", "echo first", "echo second")

    everything = records(runner("session", "log", "one", "--json").out)
    assert {"runner.session_event/1"} == {each["schema"] for each in everything}
    cursor = everything[2]["cursor"]
    rest = runner("session", "log", "one", "--json", "--since", str(cursor))
    assert everything[3:] == records(rest.out)
    second = records(runner("session", "log", "one", "--json", "--turn", "2").out)
    assert [each for each in everything if each["turn"] == 2] == second


def test_a_log_is_followed_while_the_session_goes_on(runner, keep) -> None:
    keep("one", "echo first")
    follower = runner.start("session", "log", "one", "-f")
    assert b"\n" == follower.stdout.readline()
    assert b"[1] echo first\n" == follower.stdout.readline()
    runner("session", "send", "one", "echo second")
    while b"second" not in follower.stdout.readline():
        pass
    follower.send_signal(signal.SIGINT)

    assert 130 == follower.wait(30)


def test_who_has_a_session_open_is_said_and_nothing_is_done(runner, keep, until) -> None:
    owner = keep("one", "touch begun; sleep 60", wait=False)
    until((runner.cwd / "begun").exists, "the turn began")

    for command in (("send", "one", "touch never"), ("fork", "one"), ("close", "one")):
        ended = runner("session", *command)
        assert (75, "") == (ended.code, ended.out)
        assert f"open already, by process {owner.pid}" in ended.err
    assert "in turn" in runner("session", "ls").out
    assert f"open in process {owner.pid}" in runner("session", "show", "one").out
    (record,) = records(runner("session", "ls", "--json").out)
    assert 1 << 20 < record["memory"] < 1 << 30
    assert re.search(r"^memory: +\d+ MiB$", runner("session", "show", "one").out, re.MULTILINE)
    assert not (runner.cwd / "never").exists()


def test_a_turn_whose_supervisor_was_killed_is_seen_and_gone_on_from(
    runner, keep, until, is_alive
) -> None:
    owner = keep("one", "echo $$ > pid; exec sleep 60", wait=False)
    until(lambda: (runner.cwd / "pid").exists() and (runner.cwd / "pid").read_text(), "it began")
    owner.send_signal(signal.SIGKILL)
    owner.wait(10)

    assert "cut" in runner("session", "ls").out
    _, turn = records(runner("session", "show", "one", "--json").out)
    assert ("begun", "echo $$ > pid; exec sleep 60") == (turn["state"], turn["prompt"])
    sent = runner("session", "send", "one", "echo next")
    assert (0, "next\n") == (sent.code, sent.out)
    assert not is_alive(int((runner.cwd / "pid").read_text()))
    _, cut, _next = records(runner("session", "show", "one", "--json").out)
    assert ("cut", "its supervisor was killed") == (cut["state"], cut["error_text"]), cut


def test_a_fork_is_a_session_of_its_own(runner, keep) -> None:
    keep("one", "echo first", "echo second")
    (runner.cwd / "there").mkdir()

    forked = runner("session", "fork", "one", "--at", "1", "-w", "there", "--id", "fork")
    assert (0, "fork\n") == (forked.code, forked.out)
    (record,) = records(runner("session", "fork", "one", "--json").out)
    assert ("one", 2) == (record["parent"], record["parent_turn"])
    sent = runner("session", "send", "fork", "pwd")
    assert f"{runner.cwd / 'there'}\n" == sent.out
    assert "fork of:      one, turn 1" in runner("session", "show", "fork").out


def test_what_is_closed_stays_readable_and_what_is_removed_does_not(runner, keep) -> None:
    keep("one", "echo first")
    keep("two", "echo first")
    private = runner.home / "state" / "runner" / "sessions"

    assert 0 == runner("session", "close", "one").code
    refused = runner("session", "send", "one", "true")
    assert (2, "runner: the session 'one' was closed\n") == (refused.code, refused.err)
    assert "echo first" in runner("session", "log", "one").out
    assert 0 == runner("session", "close", "--remove", "one", "two").code
    assert "" == runner("session", "ls").out
    assert [] == list(private.iterdir())


def test_a_session_that_is_gone_on_with_ignores_what_it_did(runner) -> None:
    code = """
import trio, runner

async def main():
    async with runner.make_session(".", agent="shell", id="one", ignore=["*.log"], watch=False) as s:
        await s.send("true")

trio.run(main)
"""
    assert 0 == runner(program=("-c", code)).code
    ended = runner("session", "send", "one", "touch a.log b", "--json")
    assert ["b"] == json.loads(ended.out)["files_created"]

    assert 0 == runner("session", "fork", "one", "--id", "two").code
    ended = runner("session", "send", "two", "touch c.log d", "--json")
    assert ["d"] == json.loads(ended.out)["files_created"]


REFUSED = [
    (("show", "none"), 4, "there is no such session"),
    (("send", "none", "x"), 4, "there is no such session"),
    (("log", "one", "--since", "-1"), 2, "a cursor is a number of 0 or more"),
    (("log", "one", "--since", "99999"), 2, "only; is it a cursor of another session?"),
    (("log", "one", "--turn", "7"), 4, "it has 1 turn"),
    (("new", " "), 2, "the prompt is empty"),
    (("new", "true", "--id", "one"), 2, "there is a session 'one' already"),
    (("new", "true", "--id", "../x"), 2, "cannot be a session's id"),
    (("new", "true", "-w", "nowhere"), 2, "nowhere: there is no such directory"),
    (("new", "true", "-a", "nobody"), 2, "nobody"),
    (("show", ""), 4, "there is no such session"),
    (("show", "o"), 2, "2 sessions begin with 'o'"),
    (("send", "one", " "), 2, "the prompt is empty"),
    (("send", "one", "x", "--timeout", "soon"), 2, "--timeout"),
    (("send", "one", "/bin/sleep 60", "--silence", "200ms"), 3, "stalled"),
    (("send", "one", "x", "--silence", "-1"), 2, "--silence"),
    (("send", "one", "x", "-a", "no.toml"), 2, "no.toml: there is no such file"),
    (("send", "one", "x", "-a", "claude"), 1, "is of agent 'shell', not 'claude'"),
    (("fork", "one", "--at", "7"), 2, "no turn 7 that has ended"),
    (("fork", "one", "--id", "other"), 2, "there is a session 'other' already"),
    (("fork", "one", "-w", "nowhere"), 2, "there is no such directory"),
    (("closed", "one"), 2, "did you mean 'close'"),
]


def test_what_cannot_be_done_is_one_clear_message(runner, keep, tmp_path: Path) -> None:
    keep("one", "true")
    keep("other", "true")
    (tmp_path / "bin").mkdir()
    for name in ("sh", "claude"):
        (tmp_path / "bin" / name).symlink_to("/bin/sh")
    for args, code, said in REFUSED:
        ended = runner("session", *args, env={"PATH": str(tmp_path / "bin")})

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, args
        assert "Traceback" not in ended.err


def test_a_session_is_recorded_turn_by_turn_and_played_back(runner) -> None:
    prompts = ("echo one $MY_TOKEN", "exit 3", "echo two")
    args = ("r.jsonl", *prompts, "-a", "made.toml", "--json")
    agent = 'kind = "shell"\nenv.MY_TOKEN = { env = "MY_TOKEN" }\n'
    (runner.cwd / "made.toml").write_text(agent)
    made = runner("session", "record", *args, env={"MY_TOKEN": "t0ken-t0ken"})
    turns = records(made.out)

    assert (1, [True, False, True]) == (made.code, [turn["ok"] for turn in turns])
    assert ["one [removed]", "", "two"] == [turn["final_message"].strip() for turn in turns]
    recording = (runner.cwd / "r.jsonl").read_bytes()
    assert b"t0ken" not in recording
    (runner.cwd / "a.toml").write_text('kind = "replay"\nrecording = "r.jsonl"\n')
    played = runner("run", "-a", "a.toml", "anything")
    assert (0, "one [removed]\n") == (played.code, played.out)

    again = runner("session", "record", *args)
    assert (2, "") == (again.code, again.out)
    assert "is there already: name another file" in again.err
    assert recording == (runner.cwd / "r.jsonl").read_bytes()
    assert not (runner.home / "state" / "runner" / "sessions.db").exists()


def test_a_recording_that_ends_early_is_said_at_the_end(runner) -> None:
    args = ("r.jsonl", "rm r.jsonl; mkdir r.jsonl; echo > f", "echo two", "--json")
    made = runner("session", "record", *args)
    first, second = records(made.out)

    why = f"the recording '{runner.cwd}/r.jsonl' ends early: Is a directory"
    assert (8, ["", why]) == (made.code, [first["unrecorded"], second["unrecorded"]])
    assert made.err.endswith(f"\n{why}\n")
    assert ["f"] == first["files_created"]


def test_a_turn_that_is_interrupted_is_the_last_of_a_recording(runner) -> None:
    process = runner.start("session", "record", "r.jsonl", "echo one; sleep 300", "echo two")
    assert process.stdout is not None
    assert b"one\n" == process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)

    assert (130, b"") == (process.returncode, out)
    steps = records((runner.cwd / "r.jsonl").read_text())
    assert 1 == sum("start" in step for step in steps)
    assert "exit" in steps[-1]


def test_a_session_whose_agent_is_not_kept_asks_for_its_file(runner) -> None:
    secret = "import sys; sys.argv[2:2] = ['x']\n" + KEEPER.replace(
        'runner.CommandAgent(argv=("sh",))',
        'runner.CommandAgent(argv=("sh", "-s", "token=abc"), env={"MY_TOKEN": "abc"})',
    ).replace("sys.argv[2] ==", "'command' ==")
    made = runner(str(runner.cwd), "one", "echo $MY_TOKEN", program=("-c", secret))
    assert made.code == 0, made.err
    (runner.cwd / "a.toml").write_text('kind = "command"\nargv = ["sh"]\n')
    ledger = runner.home / "state" / "runner" / "sessions.db"

    refused = runner("session", "send", "one", "echo x")
    assert (2, True) == (refused.code, "made with MY_TOKEN" in refused.err)
    refused = runner("session", "send", "one", "echo x", env={"MY_TOKEN": "abc"})
    assert (2, True) == (refused.code, "name its file with -a" in refused.err)
    sent = runner("session", "send", "one", "echo x", "-a", "a.toml")
    assert (0, "x\n") == (sent.code, sent.out)
    kept = b"".join(each.read_bytes() for each in ledger.parent.glob("sessions.db*"))
    assert b"token=abc" not in kept


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"steer": "also this"}, "\n[1, in mid-turn] also this\n"),
        ({"event": "ToolCall", "data": {"name": "Bash", "input": {"a": 1}}}, '- Bash {"a": 1}'),
        ({"event": "Retry", "data": {"message": "busy"}}, "- it asks its provider again busy"),
        (
            {"event": "ServerFailed", "data": {"name": "gh", "reason": "it is\ndown"}},
            "- no server gh: it is down",
        ),
        ({"never_began": True}, "[1] it never began"),
        ({"lost": 1}, "[there was no room for 1 line here]"),
        ({"event": "Ready", "data": {}}, ""),
        ({"event": "Ready"}, ""),
    ],
)
def test_lines_are_told_to_people(value: dict[str, object], text: str) -> None:
    assert text == _text(Line(1, {"turn": 1, **value}))
