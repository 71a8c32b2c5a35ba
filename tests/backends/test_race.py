"""A directory and a link to the outside are swapped while operations run: not one gets out.

Another process exchanges them by renameat2(RENAME_EXCHANGE) as fast as it can. An escape is: the
content of the outside secret was answered, or anything outside has changed. What lies outside is a
temporary directory, so an escape would do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys

import pytest
import trio

from runner.backends.beneath import READING, Beneath, parse
from runner.backends.local import LocalBackend
from runner.errors import OperationError

SWAPPER = """
import os, sys
from runner.backends.syscalls import RENAME_EXCHANGE, renameat2
directory = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
parent = os.getppid()
print("swapping", flush=True)
while os.getppid() == parent:
    for _ in range(1000):
        renameat2(directory, "swap", directory, "link", RENAME_EXCHANGE)
"""


@pytest.fixture(params=["../outside", "$OUT"], ids=["relative", "absolute"])
def swapping(request, root):
    """A scope in which `swap/` (with `secret`) and `link` (to the outside) change places."""
    outside = root.parent / "outside"
    (outside / "sub").mkdir(parents=True)
    (outside / "secret").write_bytes(b"OUTSIDE")
    (outside / "sub" / "secret").write_bytes(b"OUTSIDE")
    (root / "swap" / "sub").mkdir(parents=True)
    (root / "swap" / "secret").write_bytes(b"inside")
    (root / "swap" / "sub" / "secret").write_bytes(b"inside")
    (root / "link").symlink_to(request.param.replace("$OUT", str(outside)))
    process = subprocess.Popen([sys.executable, "-c", SWAPPER, str(root)], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"swapping\n"
        yield outside
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def untouched(outside):
    return (
        sorted(os.listdir(outside)) == ["secret", "sub"]
        and os.listdir(outside / "sub") == ["secret"]
        and (outside / "secret").read_bytes() == b"OUTSIDE"
        and (outside / "sub" / "secret").read_bytes() == b"OUTSIDE"
    )


def test_a_hundred_thousand_opens_stay_inside(swapping, root, opener):
    beneath = Beneath(os.open(root, os.O_PATH | os.O_DIRECTORY), opener=opener)
    routes = [
        parse(each)
        for each in ("swap/secret", "link/secret", "swap/sub/secret", "swap/sub/../secret")
    ]
    answered = refused = 0
    for number in range(100_000):
        try:
            fd = beneath.open(routes[number % 4], READING)
        except OSError:
            refused += 1
            continue
        content = os.read(fd, 10)
        os.close(fd)
        assert content == b"inside"
        answered += 1

    assert untouched(swapping)
    assert answered > 1000  # the race was a race
    assert refused > 1000


def effects(backend, number):
    """One operation of each verb through the swapped names."""
    name = ("swap", "link")[number % 2]
    tag = number % 7
    return [
        lambda: backend.write(f"{name}/secret", b"inside"),
        lambda: backend.write(f"{name}/new{tag}/deep", b"inside"),
        lambda: backend.append(f"{name}/log", b"inside"),
        lambda: backend.edit(f"{name}/secret", b"inside", b"inside"),
        lambda: backend.mkdir(f"{name}/made{tag}/deep"),
        lambda: backend.copy(f"{name}/secret", f"copy{tag}", overwrite=True),
        lambda: backend.copy(f"{name}/sub", f"tree{number}"),
        lambda: backend.copy("here", f"{name}/put", overwrite=True),
        lambda: backend.move(f"copy{tag}", f"{name}/moved", overwrite=True),
        lambda: backend.move(f"{name}/moved", f"back{tag}", overwrite=True),
        lambda: backend.remove(f"{name}/log"),
        lambda: backend.remove(f"{name}/made{tag}", recursive=True),
        lambda: backend.remove(f"{name}/new{tag}", recursive=True),
        lambda: backend.remove(f"tree{number}", recursive=True),
    ]


async def test_no_effect_gets_out(swapping, root, opener):
    backend = LocalBackend(root, opener=opener)
    (root / "here").write_bytes(b"inside")
    done = refused = 0
    for number in range(150):
        for operation in effects(backend, number):
            try:
                await operation()
            except OperationError:
                refused += 1
            else:
                done += 1
        for path in (f"copy{number % 7}", f"back{number % 7}", f"tree{number}/secret"):
            with contextlib.suppress(OperationError):
                assert await backend.read(path, encoding=None) == b"inside"

    assert untouched(swapping)
    assert done > 100
    assert refused > 100


async def look(backend, root, name):
    """Each way to look at a file's content, through the swapped names."""
    path = f"{name}/secret"
    with contextlib.suppress(OperationError):
        assert (await backend.read_lines(path)).lines == ("inside",)
    with contextlib.suppress(OperationError):
        assert (await backend.tail(path)).lines == ("inside",)
    with contextlib.suppress(OperationError):
        assert await backend.digest(path) == hashlib.sha256(b"inside").hexdigest()
    with contextlib.suppress(OperationError):
        assert (await backend.realpath(path)).startswith(f"{root}/")
    for item in await backend.download([path, f"{name}/sub/secret"]):
        assert item.content in {None, b"inside"}


async def test_no_observation_gets_out(swapping, root, opener):
    backend = LocalBackend(root, opener=opener)
    for number in range(2000):
        name = ("swap", "link")[number % 2]
        with contextlib.suppress(OperationError):
            assert await backend.read(f"{name}/secret", encoding=None) == b"inside"
        with contextlib.suppress(OperationError):
            assert (await backend.stat(f"{name}/secret")).size == len(b"inside")
        with contextlib.suppress(OperationError):
            entries = (await backend.ls(name)).entries
            assert [each.size for each in entries if each.name == "secret"] == [len(b"inside")]
        await look(backend, root, name)
    (swapping / "only-outside").write_bytes(b"OUTSIDE")
    (swapping / ".gitignore").write_bytes(b"here\n")
    (root / "here").write_bytes(b"inside")
    for _ in range(40):
        assert "only-outside" not in str((await backend.glob("**", hidden=True)).paths)
        assert "only-outside" not in str((await backend.tree(depth=None)).entries)
        assert "only-outside" not in str((await backend.list_keys()).paths)
        assert (await backend.grep("OUTSIDE")).matches == ()
        assert (await backend.grep("OUTSIDE", output="files", hidden=True)).files == ()
        assert (await backend.grep("OUTSIDE", output="counts", gitignore=True)).counts == ()
        with contextlib.suppress(OperationError):
            assert (await backend.grep("OUTSIDE", "swap")).matches == ()
        with contextlib.suppress(OperationError):
            assert (await backend.grep("OUTSIDE", "swap/secret")).matches == ()
    await backend.aclose()
    with trio.fail_after(5):
        await backend.aclose()
