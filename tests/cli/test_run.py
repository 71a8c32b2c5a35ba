"""`runner run`: one prompt, here and now: output, verification, exit codes, signals."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime

import pytest

from runner.agents.events import (
    ApprovalAsked,
    ApprovalDecided,
    Decision,
    ErrorClass,
    RateLimited,
    Retry,
    Text,
    Thinking,
    ToolCall,
    Usage,
)
from runner.cli.exits import Exit
from runner.cli.turns import code_of, summary
from runner.cli.voice import Voice, show
from runner.sessions.followers import Followers
from runner.sessions.turn import SessionEvent, Turn


def test_the_output_is_streamed_and_what_changed_is_said(runner) -> None:
    ended = runner("run", "echo one; echo two >&2; echo x > f.txt", "--verify", "test -f f.txt")

    assert (ended.code, ended.out) == (0, "one\n")
    assert "two\n" in ended.err
    assert "verified: test -f f.txt" in ended.err
    assert "; files: 1 created" in ended.err
    assert (runner.cwd / "f.txt").read_text() == "x\n"


def test_output_comes_while_the_job_runs(runner) -> None:
    process = runner.start("run", "echo first; until [ -e go ]; do sleep 0.01; done; echo last")

    assert process.stdout.readline() == b"first\n"
    (runner.cwd / "go").touch()
    out, _ = process.communicate(timeout=60)

    assert (process.returncode, out) == (0, b"last\n")


def test_a_dash_reads_the_prompt_from_standard_input(runner) -> None:
    ended = runner("run", "-", input=b"echo from stdin \xff")

    assert (ended.code, ended.out.startswith("from stdin ")) == (0, True)


def test_it_works_in_the_directory_that_is_given(runner) -> None:
    (runner.cwd / "there").mkdir()

    ended = runner("run", "pwd; touch here", "-w", "there")

    assert ended.out == f"{runner.cwd / 'there'}\n"
    assert (runner.cwd / "there" / "here").exists()


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("exit 3",), 1, "failed: exit code 3; in "),
        (("kill -9 $$",), 8, "failed: crashed: "),
        (("sleep 60", "--timeout", "100ms"), 3, "failed: timeout: "),
        (("sleep 60", "--timeout", "0.1"), 3, "failed: timeout: "),
        (("true", "--verify", "echo nope; exit 5"), 9, "not verified: echo nope; exit 5"),
        (("exit 3", "--verify", "true"), 1, "failed"),
    ],
)
def test_every_end_has_its_exit_code(runner, args, code: int, said: str) -> None:
    ended = runner("run", *args)

    assert ended.code == code
    assert said in ended.err


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((" ",), "runner: the prompt is empty"),
        (("x", "-a", "claud"), "did you mean 'claude'?"),
        (("x", "-a", "no.toml"), "no.toml: there is no such file"),
        (("x", "-a", "claude"), "needs the program 'claude'"),
        (("x", "-a", "command"), "needs options"),
        (("x", "-w", "nowhere"), "nowhere: there is no such directory"),
        (("x", "--timeout", "soon"), "--timeout: must be a number of seconds"),
        (("x", "--config", "no.toml"), "no.toml: there is no such file"),
        ((), "Missing argument 'PROMPT'"),
    ],
)
def test_what_cannot_be_used_is_one_clear_message(runner, args, said: str, tmp_path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sh").symlink_to("/bin/sh")

    ended = runner("run", *args, env={"PATH": str(tmp_path / "bin")})

    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert list(runner.cwd.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--silence", "200ms"), 3, "stalled"),
        (("--timeout", "200ms"), 3, "timeout"),
        (("--silence", "0"), 2, "--silence: must be more than 0 seconds"),
        (("--silence", "soon"), 2, "--silence: must be a number of seconds or a text"),
        (("--max-park", "x"), 2, "--max-park: must be a number of seconds or a text"),
        (("--timeout", "0s"), 2, "--timeout: must be more than 0 seconds"),
        (("--ignore", "../x"), 2, "ignore: '../x': patterns are relative"),
        (("--sandbox", "read-only"), 2, "the agent 'shell' takes no `sandbox`"),
        (("--sandbox", "none", "-a", "claude"), 2, "unknown sandbox 'none'"),
        (("--model", "m"), 2, "the agent 'shell' takes no `model`"),
        (("--billing", "free", "-a", "claude"), 2, "unknown billing 'free'"),
        (
            ("--isolation", "docker"),
            2,
            "'docker' is not one of 'none', 'bwrap', 'landlock', 'auto'",
        ),
    ],
)
def test_the_options_of_a_session_are_its_own(runner, options, code: int, said: str) -> None:
    ended = runner("run", "sleep 60", *options)

    assert code == ended.code, ended.err
    assert said in ended.err


@pytest.mark.parametrize("words", [("run",), ("session", "new"), ("session", "record", "f")])
def test_a_default_agent_that_is_none_is_said_to_be_the_default(runner, words) -> None:
    (runner.cwd / "r.toml").write_text('default_agent = "shel"\n')
    ended = runner(*words, "true", "--config", "r.toml")

    assert (2, "") == (ended.code, ended.out)
    assert "default_agent: unknown agent 'shel'" in ended.err
    assert "did you mean 'shell'?" in ended.err


def test_what_is_ignored_is_not_told(runner) -> None:
    ended = runner(
        "run", "touch a.log b; mkdir c; touch c/d", "--json", "--no-watch",
        "--ignore", "*.log", "--ignore", "c/**",
    )  # fmt: skip

    assert ["b"] == json.loads(ended.out)["files_created"]


def test_what_holds_the_program_is_configured_and_its_mode_is_an_option(runner) -> None:
    outside = runner.home / "outside"
    outside.write_text("seen")
    for name, table in {
        "held": "mode = 'bwrap'",
        "shown": f"readable = ['{outside}']\nmode = 'none'",
        "wrong": "mode = 'bwrap'\nreadable = ['outside']",
    }.items():
        (runner.cwd / f"{name}.toml").write_text(f"[session.isolation]\n{table}\n")

    def seen(*options: str, words: tuple[str, ...] = ("run",)) -> bool:
        ended = runner(*words, f"cat {outside}", *options)
        assert ended.code == (0 if "seen" in ended.out else 1), ended.err
        return "seen" in ended.out

    assert (True, False) == (seen(), seen("--isolation", "bwrap"))
    held, kept = ("--config", "held.toml"), ("session", "send", "one")
    assert not seen(*held, words=("session", "new"))
    assert seen(*held, "--isolation", "none", "--id", "one", words=("session", "new"))
    assert seen(*held, words=kept)
    assert seen("--config", "shown.toml", "--isolation", "bwrap")
    ended = runner("run", "true", "--config", "wrong.toml")
    assert (2, True) == (ended.code, "wrong.toml:1: session: isolation.readable:" in ended.err)


def test_what_is_ignored_is_configured_and_said_otherwise(runner) -> None:
    (runner.cwd / "r.toml").write_text("[session]\nignore = ['*.log']\n")
    prompt = ("run", "touch a.log a.txt", "--json", "--config", "r.toml")

    assert ["a.txt"] == json.loads(runner(*prompt).out)["files_created"]
    assert [] == json.loads(runner(*prompt, "--ignore", "a.*").out)["files_created"]


def test_an_agents_file_can_be_named(runner) -> None:
    (runner.cwd / "mine.toml").write_text('kind = "command"\nargv = ["tr", "a-z", "A-Z"]\n')

    ended = runner("run", "shout", "-a", "mine.toml")

    assert (ended.code, ended.out) == (0, "SHOUT\n")


def test_as_json_there_is_one_record_and_people_read_standard_error(runner) -> None:
    ended = runner("run", "echo out; mv a b; rm c; echo x >> d", "--json", "--verify", "true")
    for name in "acd":
        (runner.cwd / name).write_text(name * 100)
    ended = runner("run", "echo out; mv a b; rm c; echo x >> d", "--json", "--verify", "true")
    record = json.loads(ended.out)

    assert ended.code == 0
    assert "out\n" in ended.err
    assert record["schema"] == "runner.turn/1"
    assert (record["ok"], record["verified"], record["final_message"]) == (True, True, "out")
    assert (record["files_deleted"], record["files_modified"]) == (["c"], ["d"])
    assert record["files_renamed"] == [["a", "b"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_the_turn_and_all_it_started(
    runner, until, is_alive, number: signal.Signals
) -> None:
    process = runner.start("run", "setsid sleep 600 & echo $! > pid; echo ready; sleep 600")
    assert process.stdout.readline() == b"ready\n"
    pid = int((runner.cwd / "pid").read_text())

    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (128 + number, b"")
    assert b"interrupting; once more ends everything at once" in err
    assert b"failed: interrupted: " in err
    assert not is_alive(pid)


def test_a_second_signal_ends_what_does_not_want_to_end(runner, until, is_alive) -> None:
    process = runner.start(
        "run", "trap '' INT TERM; echo $$ > pid; echo ready; sleep 600; sleep 600"
    )
    assert process.stdout.readline() == b"ready\n"
    pid = int((runner.cwd / "pid").read_text())

    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith(b"interrupting")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert not is_alive(pid)


def test_a_signal_while_it_is_verified_ends_the_command(runner, is_alive) -> None:
    process = runner.start("run", "true", "--verify", "echo $$ > pid; touch in; exec sleep 600")
    file = runner.cwd / "in"
    while not file.exists():
        assert process.poll() is None
    pid = int((runner.cwd / "pid").read_text())

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)

    assert process.returncode == 130
    assert not is_alive(pid)


def test_a_reader_who_leaves_ends_the_turn(runner) -> None:
    process = runner.start("run", "while :; do echo y; done")
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()

    _, err = process.communicate(timeout=60)

    assert process.returncode == 141
    assert b"Traceback" not in err


# ---------------------------------------------------------------- what a turn says


class _Pipe(list[str]):
    async def flushed(self) -> None:
        pass

    def put(self, text: str) -> None:
        self.append(text)

    def put_line(self, text: str) -> None:
        self.append(text + "\n")


def _said(*events: object, is_stream: bool = False) -> tuple[str, str]:
    out, err = _Pipe(), _Pipe()
    voice = Voice(out=out, err=err, is_stream=is_stream)  # type: ignore[arg-type]
    for event in events:
        voice.show(event)
    voice.end()
    return "".join(out), "".join(err)


def test_pieces_of_a_stream_are_not_torn_apart_and_messages_stand_on_lines_of_their_own() -> None:
    assert _said(Text(text="a"), Text(text="b\n"), is_stream=True) == ("ab\n", "")
    assert _said(Text(text="a"), Text(text="b\n")) == ("a\nb\n", "")


def test_partial_pieces_are_not_said_twice() -> None:
    partial = [Text(text="he", partial=True), Text(text="llo", partial=True), Text(text="hello")]

    assert _said(*partial, Text(text="again")) == ("hello\nagain\n", "")


def test_tools_refusals_retries_and_limits_are_said_to_people() -> None:
    _, err = _said(
        ToolCall(id="1", name="Bash", input={"command": "x" * 200}),
        ApprovalDecided(
            asked=ApprovalAsked(id="1", tool="Write", input={"path": "/etc"}),
            decision=Decision(allow=False),
        ),
        ApprovalDecided(
            asked=ApprovalAsked(id="2", tool="Bash", input={"command": "ls"}),
            decision=Decision(allow=True),
        ),
        Retry(attempt=1, status=529, error=ErrorClass.OVERLOADED, message="busy"),
        Retry(attempt=2),
        RateLimited(resets_at=datetime(2030, 1, 2, tzinfo=UTC)),
        RateLimited(resets_at=None),
        Thinking(text="hm"),
    )

    lines = err.splitlines()
    assert lines[0].startswith('- Bash {"command": "xxx')
    assert lines[0].endswith("...")
    assert lines[1:] == [
        '- Write was refused: {"path": "/etc"}',
        "- it asks its provider again after status 529 busy",
        "- it asks its provider again",
        "- the provider allows more at 2030-01-02 00:00:00 UTC",
    ]


async def test_a_reader_who_is_too_slow_is_told_how_much_is_missing() -> None:
    out, err = _Pipe(), _Pipe()
    followers = Followers()
    follower = followers.add(buffer=1)
    for text in "abc":
        followers.publish(SessionEvent(turn=1, event=Text(text=text)))
    followers.close()

    await show(follower, Voice(out=out, err=err, is_stream=True))  # type: ignore[arg-type]

    assert out == ["a"]
    assert err == ["the reader was too slow: 2 pieces of output are left out\n"]


def test_the_last_line_has_tokens_and_what_they_cost() -> None:
    turn = Turn(number=1, ok=True, duration=2.0, usage=Usage(output_tokens=1500), cost_usd=0.25)

    assert summary(turn) == "done in 2.0 s; 1.5k tokens; $0.2500"


def test_a_refused_request_is_no_good_end_unless_the_users_commands_say_so() -> None:
    asked = ApprovalAsked(id="1", tool="Write", input={})
    decided = [ApprovalDecided(asked=asked, decision=Decision(allow=ok)) for ok in (True, False)]
    turns = [Turn(number=1, ok=True, approvals=tuple(decided)), Turn(number=2, ok=True)]

    assert "1 request refused" in summary(turns[0])
    assert Exit.APPROVAL is code_of(turns, is_verified=True, has_checks=False)
    assert Exit.OK is code_of(turns, is_verified=True, has_checks=True)
    assert Exit.UNVERIFIED is code_of(turns, is_verified=False, has_checks=True)
    assert Exit.OK is code_of(turns[1:], is_verified=True, has_checks=False)


def test_what_the_program_complained_of_is_shown_on_lines_of_its_own(runner) -> None:
    ended = runner("run", "printf 'no newline' >&2")

    assert ended.err.startswith("no newline\ndone in ")
