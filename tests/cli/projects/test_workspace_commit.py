"""`runner workspace commit | merge | export`."""

from __future__ import annotations

import os
import tarfile

import pytest


def run(line: str) -> None:
    assert 0 == os.waitstatus_to_exitcode(os.system(line)), line


@pytest.fixture
def made(project):
    """Workspaces `one` and `two`; something was changed in `one`."""
    for name in ("one", "two"):
        assert 0 == project("workspace", "create", name).code
    project("workspace", "exec", "one", "echo two > b.txt; rm src/a.py; echo new > new.md")
    return project


def test_what_was_changed_is_brought_to_the_files_of_the_project(made) -> None:
    plan = made("workspace", "commit", "one", "--dry-run", "--exclude", "*.md")
    assert (0, "M  b.txt\nD  src/a.py\n") == (plan.code, plan.out)
    assert "would be committed: 2 changes\n" == plan.err
    (record,) = made.json("workspace", "commit", "one", "-n", "--include", "*.md")
    assert ("runner.commit_plan/1", ["new.md"], []) == tuple(
        record[key] for key in ("schema", "added", "modified")
    )
    assert not (made.cwd / "new.md").exists()
    (record,) = made.json("workspace", "commit", "one", "-m", "why", "--include", "*.md")
    assert ("runner.commit/1", "one", "why", ["new.md"], "") == tuple(
        record[key] for key in ("schema", "workspace", "message", "paths", "branch")
    )
    assert "new\n" == (made.cwd / "new.md").read_text()
    done = made("workspace", "commit", "one", "-m", "rest", "--author", "Me <me@example>")
    assert (0, "committed: 2 paths\n") == (done.code, done.out)
    assert "" == made("workspace", "status", "one").out
    shown = made("workspace", "show", "one").out
    assert "Me <me@example>  rest\n" in shown
    (record,) = made.json("workspace", "show", "one")
    assert ["why", "rest"] == [each["message"] for each in record["commits"]]


def test_what_was_changed_there_as_well_is_a_conflict_and_nothing_is_done(made) -> None:
    made("workspace", "exec", "two", "echo other > b.txt")
    (made.cwd / "b.txt").write_text("theirs\n")

    for args in (("commit", "one", "-m", "x"), ("merge", "two", "one")):
        refused = made("workspace", *args)
        assert (10, "") == (refused.code, refused.out)
        assert refused.err.startswith("C  b.txt: ")
    assert "theirs\n" == (made.cwd / "b.txt").read_text()
    assert not (made.cwd / "new.md").exists()
    merged = made("workspace", "merge", "two", "one", "--strategy", "theirs")
    assert (0, "M  b.txt\nA  new.md\nD  src/a.py\n") == (merged.code, merged.out)
    (record,) = made.json("workspace", "merge", "two", "one")
    assert ("runner.merged/1", []) == (record["schema"], record["added"])


def test_of_a_git_ref_it_is_a_commit_on_a_branch(project, monkeypatch) -> None:
    identity = "git -c user.name=a -c user.email=a@example"
    run(f"git init -q -b main && git add . && {identity} commit -q -m first")
    project("workspace", "create", "one", "--ref", "main")
    assert "base:         " in project("workspace", "show", "one").out
    project("workspace", "exec", "one", "echo two > b.txt")

    args = ("-m", "second", "--author", "Me <me@example>", "--branch", "topic")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "a")
    monkeypatch.setenv("GIT_COMMITTER_EMAIL", "a@example")
    done = project("workspace", "commit", "one", *args)
    assert (0, True) == (done.code, done.out.startswith("committed: 1 path on topic, ")), done.err
    run("test second-Me = $(git log -1 --format=%s-%an topic)")
    assert "b\n" == (project.cwd / "b.txt").read_text()


@pytest.mark.parametrize("name", ["a.patch", "a.tar.gz", "a.bundle", "a.db"])
def test_it_is_written_to_a_file(made, name: str) -> None:
    done = made("workspace", "export", "one", name)
    assert (0, "") == (done.code, done.out)
    assert f"/{name}, " in done.err
    again = made("workspace", "export", "one", name)
    assert (2, f"{name}: it exists already: --force writes over it\n") == (again.code, again.err)
    (record,) = made.json("workspace", "export", "one", name, "--force")
    assert ("runner.exported/1", str(made.cwd / name), []) == tuple(
        record[key] for key in ("schema", "path", "left_out")
    )
    if name == "a.patch":
        run("git apply a.patch")
        assert "new\n" == (made.cwd / "new.md").read_text()
    if name == "a.tar.gz":
        with tarfile.open(name) as tar:
            assert {"b.txt", "new.md"} <= {each.name.removeprefix("./") for each in tar}


def test_what_a_format_has_no_words_for_is_said(made) -> None:
    made("workspace", "exec", "one", "mkdir empty")
    done = made("workspace", "export", "one", "a.patch")

    assert (0, True) == (done.code, done.err.startswith("left out: empty: "))


REFUSED = [
    (("commit", "one"), 2, "say why, with -m TEXT"),
    (("commit", "none", "-m", "x"), 4, "there is no workspace 'none'"),
    (("commit", "one", "-m", "x", "--strategy", "our"), 2, "ours"),
    (("commit", "one", "-m", "x", "--branch", "b"), 1, "git"),
    (("merge", "one", "tow"), 4, "did you mean 'two'?"),
    (("export", "one", "a.zip"), 2, "ends in none of"),
    (("export", "one", "a.tar", "--against", "two/x"), 2, "only a patch"),
    (("export", "one", "no/such/a.tar"), 4, "no/such"),
    (("exprot", "one", "a"), 2, "did you mean 'export'"),
]


def test_what_cannot_be_done_is_one_clear_message(made) -> None:
    for args, code, said in REFUSED:
        ended = made("workspace", *args)

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, (args, ended.err)
