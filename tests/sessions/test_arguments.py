"""What a session takes: from its caller, or else from the runner's options; the same words everywhere."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import runner
from runner import ClaudeAgent, Isolation, RunnerConfig, SessionConfig
from runner.agents.events import ErrorClass
from runner.config import SessionConfig as Said
from runner.errors import ConfigError
from runner.watching import inotify, walking
from runner.watching.patterns import DEFAULT_IGNORE

EVERYWHERE = (
    "id timeout silence max_park durable sandbox model extra_args extra_env billing ignore watch isolation"
    " servers"
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def opened(tmp_path: Path) -> Any:
    def opened(**options: Any) -> Any:
        config = RunnerConfig(session=SessionConfig(**options))
        return runner.open_runner(config, state=tmp_path / "state")

    return opened


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let every directory be one that is worth to be watched."""
    if not inotify.limit("max_user_watches"):
        pytest.skip("needs inotify: Linux, and /proc")
    monkeypatch.setattr(walking, "INLINE_ENTRIES", 1)
    monkeypatch.setattr("runner.sessions.trees.SMALL_TREE", -1)
    return


def watched() -> int:
    found = 0
    for each in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # what listed them
            found += "inotify" in os.readlink(f"/proc/self/fd/{each}")
    return found


def test_the_words_and_their_defaults_are_the_same_with_a_runner_and_without_one() -> None:
    found = [
        inspect.signature(each).parameters for each in (runner.Runner.session, runner.make_session)
    ]
    for name in EVERYWHERE.split():
        assert found[0][name].default == found[1][name].default, name


async def test_a_turn_is_limited_by_the_options_unless_its_session_says_another_limit(
    opened: Any, work: Path
) -> None:
    async with opened(timeout=0.3) as r:
        async with r.session(r.scope(work), "shell") as session:
            assert ErrorClass.TIMEOUT is (await session.send("sleep 60")).error
        async with r.session(r.scope(work), "shell", timeout=30.0) as session:
            assert (await session.send("sleep 0.5")).ok


async def test_a_silence_is_limited_by_the_options_unless_its_session_says_another_limit(
    opened: Any, work: Path
) -> None:
    async with opened(silence=0.2) as r:
        async with r.session(r.scope(work), "shell") as session:
            assert ErrorClass.STALLED is (await session.send("sleep 60")).error
        async with r.session(r.scope(work), "shell", silence=30.0) as session:
            assert (await session.send("sleep 0.5")).ok


def test_the_options_of_nobody_limit_nothing() -> None:
    assert Said(timeout=0.0, silence=0.0, max_park=0.0, watch=True) == RunnerConfig().session


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(("allowed", "asked"), [(True, True), (True, False), (False, True)])
async def test_a_directory_is_watched_if_both_the_caller_and_the_options_say_so(
    opened: Any, work: Path, allowed: bool, asked: bool
) -> None:
    (work / "a" / "b").mkdir(parents=True)
    before = watched()
    async with opened(watch=allowed) as r:
        async with r.session(r.scope(work), "shell", watch=asked) as session:
            for number in range(2):
                turn = await session.send(f"echo hi > a/b/{number}")
                assert [f"a/b/{number}"] == [str(path) for path in turn.files_created]

            assert (allowed and asked) == (watched() > before)
    assert before == watched()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"watch": "no"}, "watch='no': it is True or False"),
        ({"watch": 0}, "watch=0: it is True or False"),
        ({"durable": "yes"}, "durable='yes': it is True or False"),
        ({"id": 5}, "5 cannot be a session's id"),
        ({"ignore": "*.log"}, r"did you mean \['\*\.log'\]"),
        ({"ignore": ["/tmp"]}, "patterns are relative"),
        ({"silence": 0}, "a silence of 0"),
        ({"silence": "1m"}, "a silence of '1m'"),
        ({"max_park": -1}, "a max_park of -1"),
        ({"timeout": True}, "a timeout of True"),
        ({"billing": "free"}, "unknown billing 'free'"),
        ({"billing": "api-key"}, "did you mean 'api_key'"),
        ({"isolation": "bwrap"}, "`isolation` must be an Isolation"),
        ({"extra_env": {"A=B": "c"}}, "'A=B' cannot be the name of a variable"),
    ],
)
async def test_bad_values_are_refused_with_their_names(
    opened: Any, work: Path, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    async with opened() as r:
        with pytest.raises(ConfigError, match=words):
            r.session(r.scope(work), ClaudeAgent(), **options)
    with pytest.raises(ConfigError, match=words):
        async with runner.make_session(
            tmp_path / "new", agent="claude", state=tmp_path / "state", **options
        ):
            pytest.fail("it was made")
    assert not (tmp_path / "new").exists()


async def test_a_default_agent_that_is_none_is_said_to_be_the_default(
    work: Path, tmp_path: Path
) -> None:
    config = RunnerConfig(default_agent="shel")
    async with runner.open_runner(config, state=tmp_path / "state") as r:
        with pytest.raises(ConfigError, match="`default_agent` of the runner's options: unknown"):
            r.session(r.scope(work))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"approvals": 5}, "`approvals` must be Approvals, not a whole number"),
        ({"recording": 5}, "`recording` must be the path of a file, not a whole number"),
    ],
)
async def test_likewise_what_only_a_runner_takes(
    opened: Any, work: Path, options: dict[str, Any], words: str
) -> None:
    async with opened() as r:
        with pytest.raises(ConfigError, match=words):
            r.session(r.scope(work), ClaudeAgent(), **options)


async def test_an_agent_that_knows_no_credentials_takes_no_billing(opened: Any, work: Path) -> None:
    async with opened() as r:
        with pytest.raises(ConfigError, match="the agent 'shell' takes no `billing`"):
            r.session(r.scope(work), "shell", billing="api_key")
        async with r.session(r.scope(work), "shell", billing="any") as session:
            assert (await session.send("true")).ok


async def test_what_does_not_count_is_said_for_each_session(opened: Any, work: Path) -> None:
    async with opened() as r:
        async with r.session(r.scope(work), "shell", ignore=["*.log", "build/"]) as session:
            turn = await session.send(
                "mkdir -p build sub .git; touch a.log sub/b.log build/c sub/d .git/e"
            )

    assert [".git/e", "sub/d"] == [str(path) for path in turn.files_created]


async def test_what_does_not_count_and_what_holds_is_configured_for_all_that_say_nothing(
    opened: Any, work: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").write_text("seen")
    look = "touch a.log b; cat ../outside"
    assert SessionConfig().ignore == DEFAULT_IGNORE
    async with opened(ignore=("*.log",), isolation=Isolation(mode="bwrap")) as r:
        scope = r.scope(work)
        async with r.session(scope, "shell") as session:
            turn = await session.send(look)
            if turn.isolation is not None and turn.isolation.mode != "bwrap":
                pytest.skip("needs bwrap: namespaces of users, or root")
        assert (False, ["b"]) == (turn.ok, [str(path) for path in turn.files_created])
        (work / "b").unlink()
        async with r.session(scope, "shell", ignore=["b"], isolation=Isolation(mode="none")) as s:
            turn = await s.send(look)
        assert (True, "seen", ()) == (turn.ok, turn.final_message, turn.files_created)
