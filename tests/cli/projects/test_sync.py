"""`runner sync`: two workspaces and a directory between them."""

from __future__ import annotations

import pytest


@pytest.fixture
def synced(project, tmp_path):
    """Workspaces `one` and `two`, both synced with one remote under the name `x`."""
    (tmp_path / "remote").mkdir()
    for name in ("one", "two"):
        assert 0 == project("workspace", "create", name).code
        url = f"file://{tmp_path}/remote"
        ended = project("sync", "enable", name, url, "--under", "x")
        assert (0, True) == (ended.code, "state:        pending\n" in ended.out), ended.err
    return project


def test_what_one_has_changed_the_other_gets(synced) -> None:
    pushed = synced("sync", "push", "one")
    assert (0, "A  b.txt\nA  src/a.py\n") == (pushed.code, pushed.out)
    assert pushed.err.startswith("pushed: 2 changes, ")
    assert 0 == synced("sync", "pull", "two").code
    synced("snapshot", "create", "one", "good")
    synced("workspace", "exec", "one", "echo 1 > b.txt")
    (record,) = synced.json("sync", "push", "one")
    assert ("runner.synced/1", "pushed", 2, ["b.txt"]) == tuple(
        record[key] for key in ("schema", "done", "version", "modified")
    )
    assert "M  b.txt\n" == synced("sync", "pull", "two").out
    back = synced("sync", "pull", "two", "--version", "good", "--force")
    assert back.err.startswith("pulled; what it was is two/undo-")
    assert "b\n" == synced("workspace", "exec", "two", "--", "cat", "b.txt").out
    assert "two is that already\n" == synced("sync", "pull", "two", "--version", "good").err
    (record,) = synced.json("sync", "pull", "two", "--version", "good")
    assert None is record["undo"]
    changed = synced("sync", "config", "one", "--mode", "periodic", "--interval", "1h")
    assert "mode:         periodic\n" in changed.out
    assert "one is synced no more\n" == synced("sync", "disable", "one").err
    (record,) = synced.json("sync", "disable", "two")
    assert ("runner.sync/1", "off", None) == tuple(
        record[key] for key in ("schema", "state", "last_sync")
    )


def test_what_both_have_changed_is_said_and_decided(synced) -> None:
    synced("sync", "push", "one")
    synced("sync", "pull", "two")
    for name in ("one", "two"):
        synced("workspace", "exec", name, f"echo {name} > b.txt")
    synced("sync", "push", "one")

    refused = synced("sync", "push", "two")
    assert (10, "") == (refused.code, refused.out)
    assert refused.err.startswith("C  b.txt: both modified\n")
    listed = synced("sync", "conflicts", "two")
    assert (10, "C  b.txt: both modified\n") == (listed.code, listed.out)
    (record,) = synced.json("sync", "conflicts", "two", code=10)
    assert ("b.txt", "both modified", None) == tuple(
        record[key] for key in ("path", "reason", "choice")
    )
    (status,) = synced.json("sync", "status", "two")
    assert "conflicts" == status["state"]
    decided = synced("sync", "resolve", "two", "b.txt", "--use", "local")
    assert "C  b.txt: both modified (decided: local)\n" in decided.out
    assert 0 == synced("sync", "conflicts", "two").code
    assert 0 == synced("sync", "push", "two").code
    assert "there are no conflicts\n" == synced("sync", "conflicts", "two").err
    assert "M  b.txt\n" == synced("sync", "pull", "one").out
    assert "two\n" == synced("workspace", "exec", "one", "cat b.txt").out


REFUSED = [
    (("push", "none"), 4, "there is no workspace 'none'"),
    (("push", "off"), 1, "is not synced"),
    (("enable", "off", "ftp://x"), 2, "ftp"),
    (("enable", "off", "file:///x", "--token", "s3cret"), 2, "does not belong on a command line"),
    (("enable", "off", "file:///x", "--token", "env:"), 2, "env:NAME or file:PATH"),
    (("enable", "off", "file:///x", "--token", "file:/no/such/token"), 5, "/no/such/token"),
    (("enable", "off", "file:///x", "--mode", "auto"), 2, "periodic"),
    (("enable", "off", "file:///x", "--interval", "soon"), 2, "--interval"),
    (("config", "one"), 2, "nothing is to be another"),
    (("resolve", "one", "--use", "local"), 2, "name the paths, or say --all"),
    (("resolve", "one", "x", "--all", "--use", "local"), 2, "name the paths, or say --all"),
    (("resolve", "one", "x", "--use", "local"), 1, "x"),
    (("pull", "one", "--force"), 2, "--force goes with"),
    (("pull", "one", "--at", "then"), 2, "--at: 'then' is no time"),
    (("pull", "one", "--at", "2026-01-31", "--version", "x"), 2, "cannot both be had"),
    (("statsu", "one"), 2, "did you mean 'status'"),
]


def test_what_cannot_be_done_is_one_clear_message(synced) -> None:
    synced("workspace", "create", "off")
    for args, code, said in REFUSED:
        ended = synced("sync", *args)

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, (args, ended.err)
        assert "s3cret" not in ended.err
