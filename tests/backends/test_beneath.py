"""Path rules: parsing by properties, and both openers against each other and against plain os."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.backends import beneath as b
from runner.backends import syscalls
from runner.backends.beneath import Beneath, UnusablePath, parse, relative

NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)
RAW = st.binary(min_size=1, max_size=40).map(os.fsdecode)


@given(st.lists(NAMES.filter(lambda each: len(each.encode()) <= 255), min_size=1))
def test_a_clean_path_is_its_names(names):
    assume(not {".", ".."} & set(names))

    assert parse("/".join(names)) == b.Route(tuple(names), False, False, "/".join(names).encode())


@given(RAW)
def test_parsing_answers_or_says_why_and_never_anything_else(path):
    if "\0" in path:
        with pytest.raises(UnusablePath, match="NUL"):
            parse(path)
        return
    route = parse(path)

    assert not {"", "."} & set(route.names)
    assert route.absolute == path.startswith("/")
    assert parse(os.fsdecode(route.raw)).names == route.names
    assert os.fsencode("/".join(route.names) or ".") == route.raw


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=8))
def test_normalising_keeps_what_posix_means(parts):
    path = "/".join(parts)
    assume(path)
    route = parse(path)

    assert os.path.normpath(os.fsdecode(route.raw)) == os.path.normpath(path).lstrip("/") or (
        route.absolute
    )
    assert route.directory == (path[-1] == "/" or path == "." or path.endswith("/."))


@given(st.text())
def test_any_text_parses_or_is_unusable(path):
    with contextlib.suppress(UnusablePath):
        parse(path)


def test_absolute_paths_count_from_the_root_that_holds_them():
    assert relative(parse("/a/b/c"), "/x", "/a/b").names == ("c",)
    assert relative(parse("/a/b/"), "/a/b").directory
    assert relative(parse("/a/bc"), "/a/b") is None
    assert relative(parse("/a/b/../c"), "/a/b").names == ("..", "c")
    assert relative(parse("/anything"), "/").names == ("anything",)
    assert relative(parse("c"), "/a/b").names == ("c",)


# ---------------------------------------------------------------- both openers, and plain os

PIECES = st.sampled_from(["a", "b", "c", "..", ".", "a/b", ""])
TEXTS = st.lists(PIECES, min_size=1, max_size=4).map("/".join).filter(bool)
NODES = st.one_of(
    st.just("dir"), st.just("file"), TEXTS.map(lambda text: f"=> {text}"), st.just("=> ABS")
)
TREES = st.dictionaries(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(tuple), NODES, max_size=8
)


def grow(root, tree):
    for names, node in sorted(tree.items()):
        path = root.joinpath(*names)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if node == "dir":
                path.mkdir()
            elif node == "file":
                path.write_text("/".join(names))
            else:
                path.symlink_to(node[3:].replace("ABS", str(root)))
        except OSError:  # a file or a link where a directory would be: leave it out
            continue


def opened(beneath, path, flags):
    """What opening gives: device and inode, or errno."""
    try:
        fd = beneath.open(parse(path), flags)
    except OSError as error:
        return errno.errorcode[error.errno]
    try:
        status = os.fstat(fd)
        return status.st_dev, status.st_ino
    finally:
        os.close(fd)


def plainly(root, path, flags):
    """The same by the path, with nothing contained."""
    try:
        fd = os.open(f"{root}/{path}", flags)
    except OSError as error:
        return errno.errorcode[error.errno]
    status = os.fstat(fd)
    os.close(fd)
    return status.st_dev, status.st_ino


@settings(max_examples=300, deadline=None)
@given(TREES, st.lists(TEXTS, min_size=1, max_size=6))
def test_both_openers_answer_the_same_and_as_os_does_inside(tree, paths):
    with tempfile.TemporaryDirectory() as top:
        root = Path(top, "x", "scope")
        root.mkdir(parents=True)
        grow(root, tree)
        inside = {(s.st_dev, s.st_ino) for s in (p.lstat() for p in [root, *root.rglob("*")])}
        kernel, walk = (
            Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY), opener=each)
            for each in ("openat2", "walk")
        )
        for path in (each.lstrip("/") or "." for each in paths):
            for flags in (os.O_PATH, b.READING, b.DIRECTORY):
                ours = opened(kernel, path, flags)
                assert opened(walk, path, flags) == ours
                if isinstance(ours, tuple):
                    assert ours in inside
                    assert ours == plainly(root, path, flags)
                elif ours != "EXDEV":
                    assert ours == plainly(root, path, flags)


# ---------------------------------------------------------------- openat2, and where it is refused


@pytest.fixture
def scope(root):
    (root / "d").mkdir()
    (root / "d" / "f").write_text("f")
    return os.open(root, os.O_PATH | os.O_DIRECTORY)


def refuse(monkeypatch, code, times=10**9):
    """Let openat2 fail as a kernel or a seccomp profile would; then let it work."""
    real, left = b.openat2, [times]

    def refused(*args):
        if left[0] > 0:
            left[0] -= 1
            raise OSError(code, os.strerror(code))
        return real(*args)

    monkeypatch.setattr(b, "openat2", refused)


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM])
def test_where_openat2_is_refused_we_walk(monkeypatch, scope, code):
    refuse(monkeypatch, code)
    beneath = Beneath(scope)

    assert beneath.opener == "walk"
    os.close(beneath.open(parse("d/f"), b.READING))


def test_where_openat2_works_it_is_used(scope):
    assert Beneath(scope).opener == "openat2"


@pytest.mark.parametrize("times", [1, 63, 64, 1000])
def test_a_rename_that_races_is_tried_again_and_then_walked(monkeypatch, scope, times):
    beneath = Beneath(scope, opener="openat2")
    refuse(monkeypatch, errno.EAGAIN, times)

    os.close(beneath.open(parse("d/f"), b.READING))


def test_paths_longer_than_the_kernel_takes_are_walked(root, opener):
    beneath = Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY), opener=opener)
    names = tuple(f"{number:0100}" for number in range(60))
    os.close(beneath.make(names))
    os.close(beneath.open_names(names, b.DIRECTORY))
    os.close(beneath.open_names(names, b.DIRECTORY, follow=False))


def test_links_are_refused_on_request(root, opener):
    (root / "d").mkdir()
    (root / "d" / "f").write_text("f")
    (root / "l").symlink_to("d")
    (root / "m").symlink_to("d/f")
    beneath = Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY), opener=opener)
    for names in (("l",), ("m",), ("l", "f")):
        for flags in (b.READING, b.DIRECTORY, os.O_PATH):
            with pytest.raises(OSError) as caught:
                beneath.open_names(names, flags, follow=False)
            assert caught.value.errno in {errno.ELOOP, errno.ENOTDIR}
    os.close(beneath.open_names(("d", "f"), b.READING, follow=False))


def test_interrupted_calls_are_made_again(monkeypatch, scope):
    real, left = syscalls._syscall, [3]

    def interrupted(*args):
        if left[0]:
            left[0] -= 1
            syscalls.ctypes.set_errno(errno.EINTR)
            return -1
        return real(*args)

    monkeypatch.setattr(syscalls, "_syscall", interrupted)
    os.close(syscalls.openat2(scope, b"d/f", b.READING, syscalls.RESOLVE_BENEATH))
    os.close(scope)


def test_a_libc_without_renameat2_says_so(monkeypatch, scope):
    monkeypatch.setattr(syscalls, "_renameat2", None)
    with pytest.raises(OSError) as caught:
        syscalls.renameat2(scope, "a", scope, "b", syscalls.RENAME_NOREPLACE)
    os.close(scope)

    assert caught.value.errno == errno.ENOSYS


def test_descriptors_are_closed_when_the_last_user_lets_go(root, opener):
    def held():
        links = (os.path.join("/proc/self/fd", each) for each in os.listdir("/proc/self/fd"))
        return [each for each in links if os.path.realpath(each).startswith(str(root.parent))]

    beneath = Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY), opener=opener)
    for path in ("..", "a/b", "a/../..", "."):
        opened(beneath, path, b.READING)
    assert len(held()) == 1
    del beneath

    assert held() == []
