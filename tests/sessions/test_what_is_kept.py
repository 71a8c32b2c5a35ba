"""What is kept of a session: for later processes, for its owner only."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from runner.actors.supervisor import Supervisor, open_supervisor
from runner.agents.driver import ClaudeAgent, CodexAgent, ShellAgent
from runner.agents.events import ErrorClass, Raw, ToolCall
from runner.errors import (
    ActorCrashed,
    AgentError,
    LedgerError,
    SessionClosed,
    SessionOwned,
    SupervisorClosed,
)
from runner.processes.host import ProcessHost
from runner.sessions import store as store_module
from runner.sessions.ledger import SessionLedger, ledger_of
from runner.sessions.making import Sessions
from runner.sessions.owning import Owners, owner_of
from runner.sessions.private import age_files, copy_files, seed, write_files
from runner.sessions.record import Record
from runner.sessions.session import Session
from runner.sessions.store import Store
from runner.sessions.transcript import RAW_LIMIT
from runner.sessions.turning import CUT_NOTE

Make = Callable[..., Session]
Until = Callable[..., Awaitable[None]]


@pytest.fixture
def make(sessions: Sessions, work: Path, fake: Callable[..., object]) -> Make:
    def make(*options: str) -> Session:
        return sessions.make_session(str(work), driver=fake(*options), id="mine")

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    ledger = SessionLedger(ledger_of(str(tmp_path)))
    store = Store("one", str(tmp_path / "sessions" / "one"), ledger, Owners(str(tmp_path)))
    trio.run(store.claim)
    yield store
    store.close()
    ledger.close()


def a_record(**changes: object) -> Record:
    return Record(id="one", agent="fake", directory="/w", conversation="c", **changes)


def kept(state: Path) -> Record:
    """What the ledger knows of the session, to whoever looks from elsewhere."""
    ledger = SessionLedger(ledger_of(str(state)))
    try:
        record = ledger.load("mine")
    finally:
        ledger.close()
    assert record is not None
    return record


def change(state: Path, **columns: object) -> None:
    """Change the ledger's row of the session behind its back."""
    with contextlib.closing(sqlite3.connect(ledger_of(str(state)))) as connection, connection:
        for name, value in columns.items():
            connection.execute(f"UPDATE sessions SET {name} = ?", (value,))


def read_transcript(state: Path) -> list[dict[str, object]]:
    path = state / "sessions" / "mine" / "transcript.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_session_opened_again_goes_on_with_the_conversation(make: Make) -> None:
    async with make() as session:
        first = await session.send("say one")
    async with make() as session:
        turn = await session.send("recall")

    assert (True, 2, "say one") == (turn.ok, turn.number, turn.final_message)
    assert first.conversation == turn.conversation


CLAIM = """
import sys, trio
from runner.sessions.owning import Owners
from runner.sessions.store import Store
trio.run(Store("mine", f"{sys.argv[1]}/sessions/mine", None, Owners(sys.argv[1])).claim)
"""


async def test_a_session_that_is_open_has_one_owner(make: Make, state: Path) -> None:
    async with make() as session:
        await session.send("say one")
        assert f"process {os.getpid()}" == owner_of(str(state / "sessions" / "mine"))
        with pytest.raises(SessionOwned, match=f"'mine' is open already, by process {os.getpid()}"):
            async with make():
                pass
        with pytest.raises(AgentError, match="open already"):
            await make().send("say two")
        done = await trio.run_process(
            [sys.executable, "-c", CLAIM, str(state)], check=False, capture_stderr=True
        )

    assert b"SessionOwned: the session 'mine' is open already" in done.stderr
    assert f"by process {os.getpid()}".encode() in done.stderr
    assert "" == owner_of(str(state / "sessions" / "mine"))


async def test_what_a_killed_owner_was_just_starting_holds_nobody_up(
    make: Make, state: Path
) -> None:
    async with make() as session:
        await session.send("say one")
    (state / "sessions" / "mine" / "owner").write_text("process 999999999\n")
    script = (
        "import time; from runner.sessions.owning import _lock\n"
        "assert _lock(0, 'mine'); print(flush=True); time.sleep(0.2)"
    )
    with (state / "owners").open("r+") as file:
        child = await trio.lowlevel.open_process(
            [sys.executable, "-c", script], stdin=file, stdout=-1
        )
    assert child.stdout is not None
    await child.stdout.receive_some(1)
    async with make() as session:
        assert (await session.send("say two")).ok
    await child.wait()
    await child.stdout.aclose()


async def test_a_turn_whose_supervisor_was_killed_is_told_to_the_next(
    make: Make, state: Path
) -> None:
    async with make() as session:
        await session.send("say one")
    record = kept(state)
    assert (0, False, True, 1) == (record.in_flight, record.cut, record.resume, record.last_good)
    change(state, turns=2, in_flight=2)  # as a SIGKILL leaves it

    async with make() as session:
        turn = await session.send("say three")
        recalled = await session.send("recall")

    assert 3 == turn.number
    assert f"say one | {CUT_NOTE}say three" == recalled.final_message


async def test_the_record_is_written_before_the_act(
    make: Make, state: Path, until: Until, host: ProcessHost
) -> None:
    async with make() as session, trio.open_nursery() as nursery:
        nursery.start_soon(session.send, "wait")
        await until(lambda: session.statistics().phase == "in turn")
        record = kept(state)
        ledger = SessionLedger(ledger_of(str(state)))
        (turn,), (process,) = ledger.turns("mine"), ledger.processes("mine")
        ledger.close()
        pid = session.statistics().pid
        nursery.cancel_scope.cancel()

    assert (1, True, 0) == (record.in_flight, record.resume, record.last_good)
    assert "1.2" == record.program_version
    assert record.program
    assert (1, "begun", "wait", 0) == (turn.number, turn.state, turn.prompt, turn.cursor)
    assert (host.run_id, pid) == (process.run, process.pid)


async def test_the_transcript_has_prompts_events_and_results(make: Make, state: Path) -> None:
    async with make() as session:
        await session.send("part o\nsay one\nwrite f x\ntool done")

    lines = read_transcript(state)
    kinds = [
        line.get("event") or next(key for key in ("prompt", "result") if key in line)
        for line in lines
    ]
    assert [
        "prompt", "Ready", "ConversationStarted", "TurnStarted", "Text", "ToolCall", "ToolResult",
        "TurnEnded", "result",
    ] == kinds  # fmt: skip
    assert {1} == {line["turn"] for line in lines}
    result = lines[-1]["result"]
    assert isinstance(result, dict)
    assert ["f"] == result["files_created"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("directory", "/elsewhere", "is of directory '/elsewhere', not"),
        ("agent", "claude", "is of agent 'claude', not 'fake'"),
        ("turns", "many", "cannot be read"),
        ("standing", "closed", "was closed"),
    ],
)
async def test_a_record_that_is_not_of_this_session_is_refused(
    make: Make, state: Path, column: str, value: str, message: str
) -> None:
    async with make() as session:
        await session.send("say one")
    change(state, **{column: value})
    before = dump(state)

    async with make() as session:
        with pytest.raises((AgentError, LedgerError), match=message):
            await session.send("say two")
    assert before == dump(state)


def dump(state: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(ledger_of(str(state)))) as connection:
        return list(connection.iterdump())


async def test_a_conversation_that_the_program_has_lost_is_begun_anew_if_nothing_was_good(
    make: Make, state: Path
) -> None:
    async with make() as session:
        await session.send("fail overloaded")
        for path in (state / "sessions" / "mine").glob("history-*"):
            path.unlink()
    async with make() as session:
        lost = await session.send("say one")
        turn = await session.send("say two")

    assert (False, ErrorClass.CRASHED) == (lost.ok, lost.error)
    assert "no conversation" in lost.error_text
    assert turn.ok


async def test_a_conversation_that_the_program_has_lost_is_said_and_never_replaced(
    make: Make, state: Path
) -> None:
    async with make() as session:
        await session.send("say one")
        for path in (state / "sessions" / "mine").glob("history-*"):
            path.unlink()
    async with make() as session:
        turns = [await session.send("say two") for _ in range(2)]

    assert [False, False] == [turn.ok for turn in turns]
    assert all("no conversation" in turn.error_text for turn in turns)


async def test_an_actor_that_crashes_takes_its_program_with_it_and_comes_back(
    make: Make,
    commands: Callable[[str], list[int]],
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
) -> None:
    async with make() as session:
        await session.send("say one")
        with monkeypatch.context() as patch:
            patch.setattr(store_module.Store, "note", _crash)
            with pytest.raises(ActorCrashed):
                await session.send("say two")
        await until(lambda: not commands("fake-agent"))
        turn = await session.send("recall")

    assert turn.ok
    assert "say one" in turn.final_message


def _crash(*_: object, **__: object) -> None:
    raise ZeroDivisionError("a bug of ours")


async def test_leaving_the_supervisor_in_a_turn_ends_everything(
    host: ProcessHost, state: Path, work: Path, fake: Callable[..., object], until: Until
) -> None:
    errors: list[BaseException] = []
    async with trio.open_nursery() as nursery:
        async with open_supervisor(grace=0.2) as supervisor:
            making = Sessions(supervisor, host, str(state))
            session = making.make_session(str(work), driver=fake(), id="mine")

            async def send() -> None:
                try:
                    await session.send("unheard")
                except (ActorCrashed, SupervisorClosed) as exc:
                    errors.append(exc)

            nursery.start_soon(send)
            await until(lambda: session.statistics().phase == "in turn")
        await session.aclose()

    record = kept(state)
    assert 1 == len(errors)
    assert (0, True) == (record.in_flight, record.cut)


async def test_a_record_that_cannot_be_written_keeps_the_turn_from_beginning(
    make: Make,
) -> None:
    async with make() as session:
        await session.send("say one")
        with limited_to(1), pytest.raises(LedgerError, match="cannot be written"):
            await session.send("say two")
        turn = await session.send("recall")

    assert (2, "say one") == (turn.number, turn.final_message)


async def test_a_conversation_that_cannot_be_noted_is_not_begun(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = SessionLedger.save

    def fail(ledger: SessionLedger, record: Record) -> None:
        if record.resume:
            with limited_to(1):
                save(ledger, record)
        save(ledger, record)

    monkeypatch.setattr(SessionLedger, "save", fail)
    async with make() as session:
        turn = await session.send("say one")

    assert (False, ErrorClass.FAILED) == (turn.ok, turn.error)
    assert "cannot be written" in turn.error_text


def test_lines_that_cannot_be_written_are_counted(store: Store) -> None:
    store.note(turn=1, prompt="a")
    assert store.transcript._file is not None
    descriptor = os.open("/dev/full", os.O_WRONLY)
    os.dup2(descriptor, store.transcript._file.fileno())
    os.close(descriptor)
    store.note(turn=1, prompt="b")
    store.close()

    assert 1 == store.lost


@contextlib.contextmanager
def limited_to(size: int) -> Iterator[None]:
    """A full disk, for this process: no file gets larger than that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def lines_of(store: Store) -> list[str]:
    return (Path(store.private) / "transcript.jsonl").read_text().splitlines()


def test_a_line_for_half_of_which_there_was_room_spoils_no_other(store: Store) -> None:
    store.note(turn=1, prompt="a")
    size = (Path(store.private) / "transcript.jsonl").stat().st_size
    with limited_to(size + 20):
        store.note(turn=1, prompt="b")
        store.note(turn=1, prompt="c")
    store.note(turn=1, prompt="d")
    first, half, gap, last = lines_of(store)

    assert ("a", "d") == (json.loads(first)["prompt"], json.loads(last)["prompt"])
    assert 20 == len(half.rstrip("\0"))
    assert 2 == store.lost == json.loads(gap)["lost"]


def test_a_line_that_a_kill_left_half_spoils_no_other(store: Store) -> None:
    (Path(store.private) / "transcript.jsonl").write_bytes(b'{"at": "20')
    store.note(turn=1, prompt="a")
    half, gap, whole = lines_of(store)

    assert '{"at": "20' == half
    assert 1 == json.loads(gap)["lost"]
    assert "a" == json.loads(whole)["prompt"]


def test_what_is_nested_too_deep_to_be_written_is_counted(store: Store) -> None:
    deep: dict[str, object] = {}
    for _ in range(5000):
        deep = {"a": deep}
    store.note(turn=1, data=ToolCall(id="t1", name="Bash", input=deep))
    store.note(turn=1, prompt="a")
    gap, whole = map(json.loads, lines_of(store)[-2:])

    assert 1 == store.lost == gap["lost"]
    assert "a" == whole["prompt"]


def test_nothing_is_written_to_what_was_given_up(store: Store) -> None:
    store.note(turn=1, prompt="a")
    store.close()
    store.note(turn=1, prompt="b")

    assert 1 == len(lines_of(store)) == store.lost


def test_whatever_happens_can_be_a_line_of_the_transcript(store: Store) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    long = Raw(kind="garbage", data=b"\xff" + b"x" * RAW_LIMIT)
    store.note(data=Raw(kind="k", data=b"short"), long=long, at_=at, path=Path("p"), name="\udcff")
    store.rest()
    path = Path(store.private) / "transcript.jsonl"
    line = json.loads(path.read_text())
    store.close()

    assert "short" == line["data"]["data"]
    assert line["long"]["data"].endswith("x[... 1 more]")
    assert (at.isoformat(), "p", "\udcff") == (line["at_"], line["path"], line["name"])


def test_a_record_comes_back_as_it_was(store: Store) -> None:
    record = a_record(turns=3, resume=True)
    assert store.load() is None
    store.save(record)

    assert record == store.load()
    assert "ours" in repr(store)
    store.close()
    assert "not claimed" in repr(store)


def test_a_state_directory_that_cannot_be_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    state = str(tmp_path / "file")
    store = Store("one", f"{state}/sessions/one", SessionLedger(ledger_of(state)), Owners(state))

    with pytest.raises(AgentError, match="the session's directory .*/one' cannot be used: Not a"):
        trio.run(store.claim)


def test_a_store_that_is_closed_stays_closed(store: Store) -> None:
    trio.run(store.claim)  # once more does nothing
    store.close()

    with pytest.raises(SessionClosed):
        trio.run(store.claim)


def test_files_below_the_private_directory_are_made_with_their_parents(tmp_path: Path) -> None:
    private = tmp_path / "not" / "there" / "yet"
    write_files(str(private), [(f"{private}/a/b/c", b"1"), (f"{private}/a/b/c", b"22")])

    assert b"22" == (private / "a" / "b" / "c").read_bytes()
    assert [0o700] * 3 == [
        path.stat().st_mode & 0o777 for path in (private, private / "a", private / "a" / "b")
    ]


@pytest.mark.parametrize(
    ("kind", "name", "env"),
    [
        (ClaudeAgent, ".credentials.json", {"HOME": "@", "CLAUDE_CONFIG_DIR": "@/.claude"}),
        (ClaudeAgent, ".credentials.json", {"HOME": "@", "x": "@/.claude"}),
        (CodexAgent, "auth.json", {"HOME": "@", "x": "@/.codex"}),
    ],
)
def test_only_credentials_are_copied_and_a_newer_copy_stays(
    tmp_path: Path, kind: Callable[..., object], name: str, env: dict[str, str]
) -> None:
    source, home = tmp_path / "source", tmp_path / "home"
    source.mkdir()
    (source / name).write_text("secret")
    (source / "settings.json").write_text("{}")
    env = {key: value.replace("@", str(home)) for key, value in env.items()}
    (_, there) = sorted(env.values(), key=len)
    copy = Path(there) / name

    seed(kind(seed=str(source)), env)
    assert "secret" == copy.read_text()
    assert [name] == [path.name for path in copy.parent.iterdir()]
    assert 0o600 == copy.stat().st_mode & 0o777

    copy.write_text("renewed")
    os.utime(source / name, (1, 1))
    seed(kind(seed=str(source)), env)
    assert "renewed" == copy.read_text()

    os.utime(copy, (0, 0))
    seed(kind(seed=str(source)), env)
    assert "secret" == copy.read_text()


def test_files_that_have_this_minute_or_a_later_one_in_their_names_get_an_earlier_one(
    tmp_path: Path,
) -> None:
    now = datetime.now(UTC)
    minutes = [now + timedelta(minutes=each) for each in (1, 2)]
    names = [f"session-{each:%Y-%m-%dT%H-%M}-abc.jsonl" for each in minutes]
    before = [f"session-{each - timedelta(days=1):%Y-%m-%dT%H-%M}-abc.jsonl" for each in minutes]
    others = [
        "session-2026-01-01T00-00-abc.jsonl",
        "session-9999-99-99T99-99-x",
        "session",
        "other",
    ]
    for name in (*names, *others, before[1]):
        (tmp_path / name).write_text(name)
    for pattern in ("", str(tmp_path / "session-*")):
        age_files(pattern)

    assert {*before, *others, names[1]} == {path.name for path in tmp_path.iterdir()}
    assert [names[0], before[1]] == [(tmp_path / each).read_text() for each in before]


async def test_who_waits_for_a_large_copy_may_go(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for number in range(3000):
        (tmp_path / "from" / str(number)).write_bytes(b"x")
    copies = [(str(tmp_path / "from"), str(tmp_path / "private" / "to"))]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, copy_files, copies)
        with trio.fail_after(10):
            while not list(tmp_path.glob("private/to/*")):
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert 0 < len(list(tmp_path.glob("private/to/*"))) < 3000


def test_nothing_is_copied_that_is_not_asked_for_or_not_there(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path / "home")}
    for agent in (ShellAgent(), ClaudeAgent(), CodexAgent(seed=str(tmp_path / "nothing"))):
        seed(agent, env)

    assert not (tmp_path / "home").exists()


async def test_an_actor_that_was_never_asked_is_not_started_to_be_closed(
    make: Make, supervisor: Supervisor
) -> None:
    async with make():
        pass

    assert 0 == supervisor.statistics().started
