"""The steps of a plan, as arguments of the program bwrap."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from runner.processes.isolation import enter
from runner.processes.isolation.by_program import _arguments


def test_words_are_passed_as_they_are() -> None:
    assert ["--dir", "/x"] == _arguments(("words", "--dir", "/x"))


def test_what_we_load_ourselves_can_only_be_read() -> None:
    option, source, place = _arguments(("ours",))

    assert ("--ro-bind", "/.runner/runner/processes") == (option, place)
    assert (Path(source) / "keeper.py").exists()


def test_a_python_is_shown_where_usr_does_not_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    assert [] == _arguments(("python",))
    monkeypatch.setattr(sys, "base_prefix", "/opt/python")
    assert ["--ro-bind", "/opt/python", "/opt/python"] == _arguments(("python",))
    monkeypatch.setattr(sys, "base_prefix", "/")
    with pytest.raises(OSError, match="no directory of its own"):
        _arguments(("python",))


def test_a_file_comes_with_what_is_in_it() -> None:
    *options, fd, place = _arguments(("file", "/etc/hosts", b"127.0.0.1 localhost\n"))
    try:
        assert b"127.0.0.1 localhost\n" == os.read(int(fd), 100)
    finally:
        os.close(int(fd))
    assert (["--perms", "0644", "--file"], "/etc/hosts") == (options, place)


def test_a_directory_is_shown_by_what_was_opened(tmp_path: Path) -> None:
    status = tmp_path.stat()
    step = ("bind", "--bind-fd", str(tmp_path), "/scope", False, (status.st_dev, status.st_ino))
    option, fd, place = _arguments(step)
    try:
        assert os.path.samestat(os.fstat(int(fd)), status)
        assert os.get_inheritable(int(fd))
    finally:
        os.close(int(fd))
    assert ("--bind-fd", "/scope") == (option, place)


def test_what_need_not_be_there_is_left_out_and_else_it_is_an_error(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert [] == _arguments(("bind", "--ro-bind-fd", gone, "/x", True, None))
    with pytest.raises(FileNotFoundError):
        _arguments(("bind", "--ro-bind-fd", gone, "/x", False, None))


def test_another_directory_than_the_one_that_was_meant_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="not the directory any more"):
        enter.open_wanted(lambda path: os.open(path, os.O_PATH), str(tmp_path), False, (1, 1))
