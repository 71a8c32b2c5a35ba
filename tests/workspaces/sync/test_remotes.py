"""What all kinds of remotes promise, each tried with a real server."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio

from runner.errors import RemoteDamaged, RemoteRefused, RemoteUnreachable, SyncError
from runner.processes.host import ProcessHost
from runner.workspaces.listing import EMPTY
from runner.workspaces.objects import CHUNK, chunks, content
from runner.workspaces.sync import files
from runner.workspaces.sync.files import FileRemote
from runner.workspaces.sync.git import GitRemote
from runner.workspaces.sync.remote import Remote

Make = Callable[[], Remote]
KINDS = ("directory", "git", "turso", "s3")

ONE, TWO = content(b"one"), content(b"two " * 1000)
BIG = content(os.urandom(CHUNK))
LIST = chunks(2 * CHUNK, [BIG.id, None])
OBJECTS = [ONE, TWO, BIG, LIST, EMPTY]
IDS = [each.id for each in OBJECTS]
NAMES = ("plain", "with space/and.dots", "..", "ünïcode", "UPPER", "upper")


@pytest.fixture
async def host() -> AsyncIterator[ProcessHost]:
    made = ProcessHost()
    yield made
    await made.aclose()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(kind: str, request: pytest.FixtureRequest, tmp_path: Path, host: ProcessHost) -> Make:
    """Another place's view of one remote."""
    places = iter(range(100))
    if kind == "directory":
        return lambda: FileRemote(str(tmp_path / "share"))
    if kind == "git":
        url = request.getfixturevalue("repository")
        return lambda: GitRemote(url, str(tmp_path / f"cache-{next(places)}"), host)
    if kind == "turso":
        from runner.workspaces.sync.hrana import HranaRemote

        url = request.getfixturevalue("turso")()
        return lambda: HranaRemote(url)
    from runner.workspaces.sync.s3 import S3Remote

    url = request.getfixturevalue("bucket")
    return lambda: S3Remote(url)


async def test_what_one_place_has_put_another_one_gets(make: Make) -> None:
    ours, theirs = make(), make()
    await ours.open()
    assert {*IDS} == await ours.missing(IDS)
    await ours.put(OBJECTS)
    await ours.put(OBJECTS[:2])
    for name in NAMES:
        assert await ours.get_ref(name) is None
        assert await ours.swap_ref(name, None, ONE.id)
    await ours.aclose()

    await theirs.open()
    assert tuple(sorted(NAMES)) == await theirs.list_refs()
    assert ONE.id == await theirs.get_ref("..")
    other = content(b"other").id
    assert {other} == await theirs.missing([*IDS, other])
    assert sorted(map(repr, OBJECTS)) == sorted(map(repr, await theirs.get(IDS)))
    assert BIG.data == (await theirs.get([BIG.id]))[0].data
    with pytest.raises(RemoteDamaged, match="lost 1 objects"):
        await theirs.get([ONE.id, other])
    await theirs.aclose()


async def test_of_two_who_swap_a_ref_one_is_told_that_the_other_was_first(make: Make) -> None:
    ours, theirs = make(), make()
    for each in (ours, theirs):
        await each.open()
        await each.put(OBJECTS)

    assert await ours.swap_ref("w", None, ONE.id)
    assert not await theirs.swap_ref("w", None, TWO.id)
    assert not await theirs.swap_ref("w", TWO.id, BIG.id)
    assert await theirs.swap_ref("w", ONE.id, TWO.id)
    assert not await ours.swap_ref("w", ONE.id, BIG.id)
    assert TWO.id == await ours.get_ref("w")
    for each in (ours, theirs):
        await each.aclose()


async def test_of_many_swaps_at_once_none_is_lost(make: Make, kind: str) -> None:
    """Each adds one to a number, by as many tries as it takes."""
    each_adds, places = (2, 2) if kind == "git" else (5, 3)
    numbers = [content(b"%d" % number) for number in range(each_adds * places + 1)]
    number_of = {each.id: number for number, each in enumerate(numbers)}

    async def add(remote: Remote) -> None:
        await remote.open()
        await remote.put(numbers)
        done = 0
        while done < each_adds:
            before = await remote.get_ref("w")
            after = numbers[0 if before is None else number_of[before] + 1].id
            done += await remote.swap_ref("w", before, after)
        await remote.aclose()

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(places):
                nursery.start_soon(add, make())

    last = make()
    await last.open()
    assert numbers[each_adds * places - 1].id == await last.get_ref("w")
    await last.aclose()


async def test_a_large_push_waits_for_the_disk_once(tmp_path: Path, monkeypatch) -> None:
    waits = []
    for module, name in ((os, "fsync"), (files, "syncfs")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda fd, n=name, r=real: (waits.append(n), r(fd)))
    remote = FileRemote(str(tmp_path / "share"))
    await remote.open()
    many = [content(b"%d" % number) for number in range(300)]
    await remote.put(many)
    assert await remote.swap_ref("w", None, many[0].id)
    of_a_ref = ["fsync"] * 3  # itself, and the directories above it
    assert ["syncfs", *of_a_ref] == waits

    await remote.put([content(b"one more")])
    assert await remote.swap_ref("w", many[0].id, many[1].id)
    assert [*["fsync"] * 4, *of_a_ref] == waits[4:]


async def test_a_directory_that_is_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()

    with pytest.raises(RemoteRefused, match="something else in it"):
        await FileRemote(str(tmp_path / "mine")).open()
    with pytest.raises(RemoteUnreachable, match="there is no directory"):
        await FileRemote(str(tmp_path / "not" / "mounted")).open()
    assert ["file"] == os.listdir(tmp_path / "mine")


async def test_what_was_changed_on_a_remote_is_never_taken_for_what_was_put(tmp_path: Path) -> None:
    remote = FileRemote(str(tmp_path / "share"))
    await remote.open()
    await remote.put([ONE, TWO])
    assert await remote.swap_ref("w", None, ONE.id)
    (path,) = (tmp_path / "share" / "objects").glob(f"*/{ONE.id.hex()[2:]}")
    (other,) = (tmp_path / "share" / "objects").glob(f"*/{TWO.id.hex()[2:]}")
    for lie in (b"", b"x" * 40, path.read_bytes() + b"!", other.read_bytes()):
        path.write_bytes(lie)
        with pytest.raises(RemoteDamaged, match="is damaged"):
            await remote.get([ONE.id])
    (tmp_path / "share" / "refs" / "w").write_text("no id")
    with pytest.raises(RemoteDamaged, match="leads nowhere"):
        await remote.get_ref("w")
    (tmp_path / "share" / "FORMAT").write_text("runner remote 9\n")
    with pytest.raises(RemoteRefused, match="unknown form"):
        await remote.open()


async def test_an_object_that_a_power_failure_left_empty_is_put_again(tmp_path: Path) -> None:
    remote = FileRemote(str(tmp_path / "share"))
    await remote.open()
    await remote.put([ONE])
    (path,) = (each for each in (tmp_path / "share" / "objects").rglob("*") if each.is_file())
    path.write_bytes(b"")
    assert {ONE.id} == await remote.missing([ONE.id])
    await remote.put([ONE])
    assert [ONE] == await remote.get([ONE.id])


async def test_what_is_no_file_of_ours_in_a_share_is_said_so(tmp_path: Path, monkeypatch) -> None:
    remote = FileRemote(str(tmp_path / "share"))
    await remote.open()
    await remote.put([ONE])
    (path,) = (each for each in (tmp_path / "share" / "objects").rglob("*") if each.is_file())
    with monkeypatch.context() as patched:
        patched.setattr("runner.workspaces.sync.files.LARGEST", 10)
        with pytest.raises(RemoteDamaged, match="objects/.* is none of our files"):
            await remote.get([ONE.id])
    path.unlink()
    os.mkfifo(path)  # which nobody writes to
    os.mkfifo(tmp_path / "share" / "refs" / "w")
    with pytest.raises(RemoteDamaged, match="objects/.* is none of our files"):
        await remote.get([ONE.id])
    with pytest.raises(RemoteDamaged, match="refs/w is none of our files"):
        await remote.get_ref("w")


async def test_a_share_that_is_locked_for_ever_is_unreachable(tmp_path: Path, monkeypatch) -> None:
    remote = FileRemote(str(tmp_path / "share"))
    await remote.open()
    with (tmp_path / "share" / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with trio.move_on_after(0.1) as cancel_scope:
            await remote.swap_ref("w", None, ONE.id)
        assert cancel_scope.cancelled_caught
        monkeypatch.setattr("runner.workspaces.sync.files.PATIENCE", 0.1)
        with pytest.raises(RemoteUnreachable, match="it is locked"):
            await remote.swap_ref("w", None, ONE.id)
    assert await remote.swap_ref("w", None, ONE.id)


async def test_a_repository_that_is_not_there_is_refused(tmp_path: Path, host: ProcessHost) -> None:
    remote = GitRemote(str(tmp_path / "none.git"), str(tmp_path / "cache"), host)
    with pytest.raises(RemoteRefused, match="none.git"):
        await remote.open()


async def test_a_git_remote_leaves_branches_and_clones_alone(
    tmp_path: Path, repository: str, host: ProcessHost
) -> None:
    remote = GitRemote(repository, str(tmp_path / "cache"), host)
    await remote.open()
    await remote.put(OBJECTS)
    assert await remote.swap_ref("w", None, ONE.id)

    said = subprocess.check_output(["git", "-C", repository, "for-each-ref"], text=True)
    assert "refs/runner/w" in said
    assert "refs/heads" not in said
    assert [] == [name for name in os.listdir(tmp_path / "cache") if name.startswith("stream-")]


async def test_what_a_killed_push_to_git_had_gathered_is_taken_away(
    tmp_path: Path, repository: str, host: ProcessHost
) -> None:
    killed = GitRemote(repository, str(tmp_path / "cache"), host)
    await killed.open()
    await killed.put(OBJECTS)

    remote = GitRemote(repository, str(tmp_path / "cache"), host)
    await remote.open()
    assert [] == [*(tmp_path / "cache").glob("stream-*")]
    await killed.aclose()  # which has nothing to take away any more


async def test_what_a_killed_git_has_left_in_our_own_repository_is_in_nobodys_way(
    repository: str, tmp_path: Path, host: ProcessHost
) -> None:
    cache = tmp_path / "cache"
    remote = GitRemote(repository, str(cache), host)
    await remote.open()
    await remote.put([ONE])
    assert await remote.swap_ref("w", None, ONE.id)
    for name in ("packed-refs.lock", "refs/runner/w.lock", "config.lock"):
        (cache / name).touch()
    (cache / "HEAD").write_bytes(b"")  # as after a power failure
    await remote.open()
    await remote.put([TWO])
    assert await remote.swap_ref("w", ONE.id, TWO.id)
    assert [cache] == [*tmp_path.glob("cache*")]
    os.rename(repository, repository + "-away")
    with pytest.raises(RemoteRefused):
        await remote.open()
    assert (cache / "refs" / "runner" / "w").exists() or (cache / "packed-refs").exists()
    assert [cache] == [*tmp_path.glob("cache*")]


async def test_a_push_to_git_that_is_cancelled_can_be_made_again(
    repository: str, tmp_path: Path, host: ProcessHost
) -> None:
    remote = GitRemote(repository, str(tmp_path / "cache"), host)
    await remote.open()
    hook = Path(repository) / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\n: > '{tmp_path}/there'\nexec sleep 60\n")
    hook.chmod(0o755)
    await remote.put([ONE])

    async def cancel() -> None:
        while not (tmp_path / "there").exists():
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel)
        await remote.swap_ref("w", None, ONE.id)
    hook.unlink()
    assert await remote.get_ref("w") is None
    assert await remote.swap_ref("w", None, ONE.id)
    assert [ONE] == await remote.get([ONE.id])


async def test_a_server_that_is_not_there_is_unreachable() -> None:
    from runner.workspaces.sync.hrana import HranaRemote

    remote = HranaRemote("http://127.0.0.1:9")
    with pytest.raises(RemoteUnreachable, match="cannot be reached"):
        await remote.open()
    await remote.aclose()


async def test_a_bucket_that_is_not_there_is_an_error(bucket: str) -> None:
    from runner.workspaces.sync.s3 import S3Remote

    with pytest.raises(SyncError):
        await S3Remote(bucket.replace("s3://b-", "s3://none-")).open()
    with pytest.raises(ValueError, match="no place in S3"):
        S3Remote("s3:///x")
    with pytest.raises(ValueError, match="no place in S3"):
        S3Remote("s3://b/x?endpont=http://x")
