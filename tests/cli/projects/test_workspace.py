"""`runner workspace`: made, looked at, worked in and taken away, by the command alone."""

from __future__ import annotations

import json
import os
import pty
import signal
from pathlib import Path

import click
import pytest
import trio

from runner.cli import words
from runner.cli.colours import paint_diff
from runner.cli.exits import Exit
from runner.cli.projects import Given, on_project
from runner.errors import SupervisorClosed
from runner.workspaces import making
from runner.workspaces.probing import IN_NAMESPACE
from runner.workspaces.ways import Probe, Way

ODD = os.fsdecode(b"od\xffd\x1b[31m")


@pytest.fixture
def made(project):
    """A workspace `feature`, in which something was changed."""
    assert 0 == project("workspace", "create", "feature").code
    line = "echo two > b.txt; rm src/a.py; echo new > new.txt"
    assert 0 == project("workspace", "exec", "feature", line).code
    return project


def test_a_workspace_is_made_listed_shown_renamed_and_removed(project) -> None:
    made = project(
        "workspace", "create", "one", "-m", "for\x1b[1m people", "--tag", "x", "--way", "copy"
    )
    assert (0, "one\n") == (made.code, made.out)
    path = Path(made.err.strip().rpartition(": ")[2])
    assert "one\n" == (path / "src/a.py").read_text()
    assert 0 == project("workspace", "create", "two", "--workspace", "one", "--read-only").code

    (listed,) = project.json("workspace", "ls", "o*", "--tag", "x")
    assert ("runner.workspace/1", "one", "copy", ["x"], str(path)) == tuple(
        listed[key] for key in ("schema", "name", "way", "tags", "path")
    )
    text = project("workspace", "ls").out.splitlines()
    assert [["workspace", "way"], ["one", "copy"]] == [each.split()[:2] for each in text[:2]]
    assert 3 == len(text)
    assert "for\\x1b[1m people" in text[1]
    shown = project("workspace", "show", "two").out
    assert "base:         workspace one\n" in shown
    assert ", read only\n" in shown
    (shown,) = project.json("workspace", "show", "one")
    assert ([], "directory") == (shown["snapshots"], shown["base"]["kind"])
    assert "one is three now" in project("workspace", "rename", "one", "three").err
    (renamed,) = project.json("workspace", "rename", "three", "four")
    assert ("four", str(path)) == (renamed["name"], renamed["path"])
    (removed, _) = project.json("workspace", "rm", "four", "two")
    assert ("runner.workspace_removed/1", "four", None) == (
        removed["schema"], removed["name"], removed["rescue"]
    )  # fmt: skip
    assert (0, "", "there are no workspaces\n") == tuple_of(project("workspace", "ls"))


def test_the_files_of_an_overlay_are_there_for_everybody_until_it_is_unmounted(project) -> None:
    made = project("workspace", "create", "one", "--way", "overlay")
    if "seen by what runs in it" in made.err:
        pytest.skip("needs root, who may mount")
    path = Path(made.err.strip().rpartition(": ")[2])
    (path / "src/a.py").write_text("two\n")
    assert "M  src/a.py\n" == project("workspace", "status", "one", "--porcelain").out
    (record,) = project.json("workspace", "unmount", "one")
    assert ("one", False) == (record["name"], record["visible"])
    assert [] == os.listdir(path)
    (record,) = project.json("workspace", "show", "one")
    assert record["visible"]
    assert "two\n" == (path / "src/a.py").read_text()
    assert (0, "", "") == tuple_of(project("workspace", "unmount"))
    assert [] == os.listdir(path)
    assert 4 == project("workspace", "unmount", "two").code
    assert 2 == project("workspace", "unmount", "").code


def test_one_that_a_person_makes_is_seen_by_every_program_unless_another_way_is_asked_for(
    project, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Probe(way=Way.OVERLAY, works=True, why=IN_NAMESPACE)
    no = Probe(way=Way.REFLINK, works=False, why="no blocks")
    copy = Probe(way=Way.COPY, works=True, why="every file is copied")
    monkeypatch.setattr(making, "probe", lambda *_, **__: (few, no, copy))

    assert "made by copy: " in project("workspace", "create", "one").err
    assert "made by overlay: " in project("workspace", "create", "two", "--way", "auto").err


def tuple_of(ended) -> tuple[int, str, str]:
    return ended.code, ended.out, ended.err


def test_what_it_has_changed_is_said_for_people_scripts_and_programs(made) -> None:
    lines = ["M  b.txt", "A  new.txt", "D  src/a.py"]
    people = made("workspace", "status", "feature")
    assert (0, lines) == (people.code, people.out.splitlines())
    assert people.err.endswith(": 3 changes\n")
    scripts = made("workspace", "status", "feature", "--porcelain", "--exit-code")
    assert (1, lines, "") == (scripts.code, scripts.out.splitlines(), scripts.err)
    (record,) = made.json("workspace", "status", "feature", "--verify")
    assert ("runner.workspace_status/1", True, ["new.txt"], ["b.txt"], ["src/a.py"], []) == tuple(
        record[key] for key in ("schema", "has_changes", "added", "modified", "deleted", "renamed")
    )

    text = made("workspace", "diff", "feature").out
    assert "-b\n+two\n" in text
    assert "\x1b" not in text
    assert " 3 files changed, 2 insertions(+), 2 deletions(-)\n" in made(
        "workspace", "diff", "feature", "--stat"
    ).out  # fmt: skip
    assert "b.txt\nnew.txt\nsrc/a.py\n" == made("workspace", "diff", "feature", "--name-only").out
    coloured = made("workspace", "diff", "feature", "--color", "always", "--exit-code")
    assert 1 == coloured.code
    assert "\x1b[32m+two\x1b[0m" in coloured.out
    bars = made("workspace", "diff", "feature", "--stat", "--color", "always").out
    assert "\x1b[32m+\x1b[0m\x1b[31m-\x1b[0m" in bars
    names = made("workspace", "diff", "feature", "--name-status", "--color", "always").out
    assert "\x1b[33mM\x1b[0m  b.txt\n" in names
    (record,) = made.json("workspace", "diff", "feature", "--stat")
    assert {"type": "added", "path": "new.txt", "added": 1, "deleted": 0, "binary": False} in record["changes"]  # fmt: skip


def test_a_patch_is_one_for_git(made, tmp_path: Path) -> None:
    patch = made("workspace", "diff", "feature", "--patch")
    (tmp_path / "p").write_text(patch.out)

    assert 0 == os.waitstatus_to_exitcode(os.system("git apply ../p"))
    assert "two\n" == (made.cwd / "b.txt").read_text()
    assert not (made.cwd / "src/a.py").exists()


def test_it_is_compared_with_snapshots_and_other_workspaces(made) -> None:
    assert 0 == made("snapshot", "create", "feature", "now").code
    assert 0 == made("workspace", "create", "other").code
    made("workspace", "exec", "feature", "mv new.txt newer.txt")

    for against in ("now", "feature/now"):
        ended = made("workspace", "diff", "feature", against, "--name-status")
        assert "R  new.txt -> newer.txt\n" == ended.out
    (record,) = made.json("workspace", "diff", "feature", "now")
    assert ["new.txt", 100] == [record["changes"][0][key] for key in ("old_path", "similarity")]
    for against in (("other",), ("-w", "other")):
        ended = made("workspace", "diff", "feature", *against, "--name-only")
        assert 3 == len(ended.out.splitlines())
    ended = made("workspace", "diff", "feature", "no")
    assert (4, True) == (ended.code, "did you mean 'now'" in ended.err)
    both = made("workspace", "diff", "feature", "now", "-w", "other")
    assert (2, True) == (both.code, "not against both" in both.err)


def test_names_that_could_control_a_terminal_are_shown_escaped(project) -> None:
    assert 0 == project("workspace", "create", "one").code
    code = "import os, sys; open(os.fsencode(sys.argv[1]), 'w').write('x')"
    assert 0 == project("workspace", "exec", "one", "python3", "-c", code, ODD).code

    outputs = [
        project("workspace", *args).out
        for args in (("status", "one"), ("diff", "one"), ("diff", "one", "--stat"))
    ]
    assert all(r"od\377d\033[31m" in each and "\x1b" not in each for each in outputs)
    (record,) = project.json("workspace", "status", "one")
    assert [r'"od\377d\033[31m"'] == record["added"]
    assert r"od\xffd\x1b[31m" == words.printable(ODD)
    refused = project("workspace", "rm", "one")
    assert (11, False) == (refused.code, "\x1b" in refused.err)


def test_what_is_in_no_commit_is_not_removed_without_force_and_rescued_with_it(made) -> None:
    refused = made("workspace", "rm", "feature")
    assert (11, "") == (refused.code, refused.out)
    assert "'b.txt', 'new.txt', 'src/a.py'" in refused.err
    removed = made("workspace", "rm", "feature", "--force")
    assert removed.err.startswith("removed: feature; its changes are in the snapshot rescue-")

    rescue = removed.err.split()[-1]
    assert 0 == made("workspace", "create", "again", "--snapshot", rescue).code
    ended = made("workspace", "exec", "again", "cat b.txt new.txt")
    assert "two\nnew\n" == ended.out
    (record,) = made.json("workspace", "rm", "again", "-f")
    assert None is record["rescue"]


def test_a_program_has_our_outputs_and_its_exit_code_is_ours(project) -> None:
    project("workspace", "create", "one")
    line = "echo out; echo err >&2; exit 7"
    assert (7, "out\n", "err\n") == tuple_of(project("workspace", "exec", "one", line))
    ended = project("workspace", "exec", "--json", "--cwd", "src", "one", "ls", "-a", "--json")
    assert (2, 2) == (ended.code, json.loads(ended.out)["exit_code"])
    assert 137 == project("workspace", "exec", "one", "kill -9 $$").code
    slow = project("workspace", "exec", "--timeout", "100ms", "one", "/bin/sleep 60")
    assert (3, True) == (slow.code, "ended: it ran for 100ms" in slow.err)


def test_a_project_is_found_from_below_and_named_from_elsewhere(project, monkeypatch) -> None:
    project("workspace", "create", "one")
    app = project.cwd
    monkeypatch.chdir(app / "src")
    assert "one " in project("workspace", "ls").out
    refused = project("workspace", "ls", "-C", ".")
    assert (4, "there is no project here (`runner workspace create NAME`") == (
        refused.code, refused.err[refused.err.index("there") :][:56]
    )  # fmt: skip
    assert 0 == project("workspace", "create", "two", "-C", ".").code
    assert "two " in project("workspace", "ls").out
    monkeypatch.chdir(app.parent)
    nothing = project("workspace", "ls")
    assert (4, "") == (nothing.code, nothing.out)
    assert "there is no project here or above" in nothing.err
    assert "one " in project("workspace", "ls", "-C", str(app)).out
    (app.parent / "short").mkdir()
    monkeypatch.chdir(app.parent / "short")
    (app.parent / "short").rmdir()
    gone = project("workspace", "ls")
    assert (2, True) == (gone.code, "the current directory is gone" in gone.err)
    monkeypatch.chdir(app.parent)
    gone = project("workspace", "create", "x", "-C", "nowhere")
    assert (2, "nowhere: there is no such directory\n") == (gone.code, gone.err)


REFUSED = [
    (("show", "featur"), 4, "did you mean 'feature'?"),
    (("status", "none"), 4, "there is no workspace 'none'"),
    (("rm", "feature", "featrue"), 4, "did you mean 'feature'?"),
    (("rm", ""), 2, "a name is empty"),
    (("create", "feature"), 2, "there is a workspace 'feature' already"),
    (("create", "../x"), 2, "has a `/` in it"),
    (("create", "x", "--snapshot", "none"), 4, "there is no snapshot 'none'"),
    (("create", "x", "--base", "nowhere"), 2, "there is no such directory"),
    (("create", "x", "--way", "overly"), 2, "overlay"),
    (("create", "x", "--base", "empty", "--workspace", "feature"), 2, "from one of"),
    (("rename", "feature", "a/b"), 2, "has a `/` in it"),
    (("diff", "feature", "--stat", "--patch"), 2, "--stat and --patch cannot both be had"),
    (("diff", "feature", "--stta"), 2, "--stat"),
    (("lss",), 2, "did you mean 'ls'"),
    (("exec", "feature"), 2, "COMMAND"),
    (("exec", "feature", "/no/such/program", "x"), 1, "no/such/program"),
    (("exec", "feature", "--timeout", "1s", "true"), 2, "options stand before 'feature'"),
]


def test_what_cannot_be_done_is_one_clear_message(project) -> None:
    project("workspace", "create", "feature")
    for args, code, said in REFUSED:
        ended = project("workspace", *args)

        assert (code, "") == (ended.code, ended.out), (args, ended.err)
        assert said in ended.err, (args, ended.err)
        assert "Traceback" not in ended.err
    assert 1 == len(project.json("workspace", "ls"))


def test_one_that_another_process_has_is_refused_and_shown_and_ctrl_c_ends_all(
    project, beside, until, is_alive
) -> None:
    assert 0 == project("workspace", "create", "one").code
    owner = beside.start("workspace", "exec", "one", "echo $$; exec /bin/sleep 60")
    assert owner.stdout is not None
    sleeper = int(owner.stdout.readline())

    busy = project("workspace", "status", "one")
    assert (75, "") == (busy.code, busy.out)
    assert f"is in use by process {owner.pid}" in busy.err
    assert "workspace:    one" in project("workspace", "show", "one").out
    owner.send_signal(signal.SIGINT)
    assert 130 == owner.wait(30)
    until(lambda: not is_alive(sleeper), "the program is gone")
    assert owner.stderr is not None
    assert b"ending what is under way" in owner.stderr.read()
    piped = beside("workspace", "exec", "-i", "one", "od -An -tx1; echo > f", input=b"\xff\0")
    assert (0, " ff 00\n") == (piped.code, piped.out)
    assert "A  f\n" == project("workspace", "status", "one", "--porcelain").out


def test_a_program_whose_output_nobody_reads_any_more_is_ended(project, beside) -> None:
    project("workspace", "create", "one")
    process = beside.start("workspace", "exec", "one", "yes")
    assert process.stdout is not None
    assert b"y\n" == process.stdout.readline()
    process.stdout.close()

    assert 141 == process.wait(30)


def on_a_terminal(runner, *args: str, env: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    process = runner.start(*args, stdout=theirs, env={"TERM": "xterm", **env})
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 1 << 16):
            said += piece
    except OSError:  # EIO: nobody has it any more
        pass
    os.close(ours)
    assert 0 == process.wait(30)
    return said.decode().replace("\r\n", "\n")


def test_on_a_terminal_there_are_colours_and_a_pager(project, beside) -> None:
    project("workspace", "create", "one")
    project("workspace", "exec", "one", "seq 20000 > f")
    paged = on_a_terminal(
        beside, "workspace", "diff", "one", env={"PAGER": "head -n 3 | sed s/^/P:/"}
    )
    assert ["P:\x1b[1mdiff --git a/f b/f\x1b[0m", "P:\x1b[1mnew file mode 100644\x1b[0m"] == (
        paged.splitlines()[:2]
    )
    assert 3 == len(paged.splitlines())
    said = on_a_terminal(beside, "workspace", "diff", "one", env={"PAGER": "no-such-pager -x"})
    assert "20000" in said
    plain = on_a_terminal(beside, "audit", env={"PAGER": "cat", "NO_COLOR": "1"})
    assert "create" in plain.splitlines()[0]
    assert "\x1b" not in plain


def test_only_what_is_in_a_hunk_is_coloured_by_its_sign() -> None:
    text = "diff --git a/f b/f\n--- a/f\n+++ b/f\n@@ -1,2 +1 @@\n--- x\n same\n"

    painted = paint_diff(text).split("\n")
    assert "\x1b[1m--- a/f\x1b[0m" == painted[1]
    assert ["\x1b[36m@@ -1,2 +1 @@\x1b[0m", "\x1b[31m--- x\x1b[0m", " same", ""] == painted[3:]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (12_595, "12.3 KiB"),
        (5 << 30, "5.0 GiB"),
        (1 << 51, "2048.0 TiB"),
    ],
)
def test_sizes_are_told_in_units(count: int, text: str) -> None:
    assert text == words.size(count)


def test_ctrl_c_is_one_also_where_the_supervisor_is_closed_before_the_work(project):
    async def work(_):
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await trio.sleep_forever()
        except trio.Cancelled as exc:
            raise SupervisorClosed("the supervisor is shut down") from exc

    given = Given(directory=None, config_file=None, as_json=False)
    with pytest.raises(click.exceptions.Exit) as ended:
        on_project(given, work, makes=True)

    assert Exit.INTERRUPTED == ended.value.exit_code
