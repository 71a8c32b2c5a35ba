"""`runner session` in workspaces: new, send, show, rewind, fork, from one process to the next."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def text(runner):
    def read(directory: object, name: str = "a.txt") -> str:
        return (runner.cwd / str(directory) / name).read_text()

    return read


def test_a_session_works_in_a_workspace_is_set_back_and_forked(runner, text) -> None:
    (runner.cwd / "a.txt").write_text("as it was\n")
    assert 0 == runner("workspace", "create", "ws", "--way", "copy").code
    ask = ("session", "new", "-a", "shell", "--id", "mine")
    new = runner(*ask, "--in", "ws", "--snapshots", "turn", "echo one > a.txt")
    assert (0, "session: mine") == (new.code, new.err.splitlines()[-1]), new.err
    assert 0 == runner("session", "send", "mine", "echo two > a.txt").code
    (shown, first, second) = map(
        json.loads, runner("session", "show", "mine", "--json").out.splitlines()
    )
    assert ("turn-1-mine", "turn-2-mine") == (first["snapshot"], second["snapshot"])
    assert "two\n" == text(shown["directory"])

    back = runner("session", "rewind", "mine", "1")
    assert (0, "") == (back.code, back.out)
    assert "set back to the end of turn 1: files and conversation" in back.err
    assert "in the snapshot undo-" in back.err
    assert "one\n" == text(shown["directory"])
    said = runner("session", "show", "mine").out
    assert "set back to:  turn 1" in said
    assert "stands after: turn 1" in said

    forth = runner("session", "rewind", "mine", "2", "--files-only", "--json")
    assert ("runner.session_rewound/1", 2, False) == tuple(
        json.loads(forth.out)[name] for name in ("schema", "turn", "conversation")
    )
    assert "two\n" == text(shown["directory"])

    fork = runner("session", "fork", "mine", "--at", "1", "--in", "other", "--json")
    made = json.loads(fork.out)
    assert ("other", "one\n") == (made["workspace"], text(made["directory"]))
    assert f"workspace: other ({made['directory']})" in fork.err
    assert "as it was\n" == text(".")


def test_what_cannot_be_meant_is_said(runner) -> None:
    ask = ("session", "new", "-a", "shell", "true")
    for words, why in (
        (("--snapshots", "turn"), "name it by --in"),
        (("--in", "ws"), "there is no project here or above"),
        (("--in", "ws", "-w", "/"), "not both"),
    ):
        done = runner(*ask, *words)
        assert 0 != done.code
        assert why in done.err
    assert 0 == runner(*ask, "--id", "plain").code
    for words, why in (
        (("1",), "have no snapshots"),
        (("7", "--conversation-only"), "it has turn 1"),
        (("1", "--files-only", "--conversation-only"), "or neither for both"),
    ):
        done = runner("session", "rewind", "plain", *words)
        assert 0 != done.code
        assert why in done.err
