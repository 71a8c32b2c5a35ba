"""Batches of effects on real files: undone when they fail, when the asker leaves, on a full disk."""

from __future__ import annotations

import errno
import os
import stat

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends import threads
from runner.backends.files import SMALL, TEMPORARY
from runner.backends.local import batching


def look(root):
    """Everything in a tree: content, links, modes, times."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        found[str(path.relative_to(root))] = (stat.S_IMODE(status.st_mode), content)
    return found


EFFECTS = (
    m.Write(path="file", content=b"after"),
    m.Write(path="link", content=b"through the link"),
    m.Append(path="log", content=b"more"),
    m.Chmod(path="tree", mode=0o700),
    m.Write(path="new/deep/file", content=b"new"),
    m.Copy(source="tree", target="copied/tree"),
    m.Move(source="link", target="elsewhere/link"),
    m.Move(source="tree/a", target="file", overwrite=True),
    m.Remove(path="empty"),
    m.Remove(path="tree", recursive=True),
    m.Touch(path="log"),
)


@pytest.fixture
def full(root):
    (root / "file").write_bytes(b"before")
    (root / "file").chmod(0o640)
    (root / "log").write_bytes(b"line\n")
    (root / "target").write_bytes(b"target")
    (root / "link").symlink_to("target")
    (root / "tree/sub").mkdir(parents=True)
    (root / "tree/a").write_bytes(b"a")
    (root / "tree/sub/b").write_bytes(b"b")
    (root / "empty").mkdir(mode=0o711)
    return root


@pytest.mark.parametrize("count", range(len(EFFECTS) + 1))
async def test_whichever_effect_fails_all_before_it_are_undone(local, full, count):
    before = look(full)
    log = (full / "log").stat()
    failing = m.Edit(path="nowhere", replacements=(m.Replacement(old=b"a", new=b"b"),))
    with pytest.raises(e.NotFound) as caught:
        await local.ask(m.Batch(effects=(*EFFECTS[:count], failing)))

    assert (caught.value.op, caught.value.path) == ("edit", "nowhere")
    assert f"it was effect {count + 1} of a batch" in caught.value.reason
    assert look(full) == before
    assert (full / "log").stat().st_ino == log.st_ino
    assert (full / "log").stat().st_mtime_ns == log.st_mtime_ns


async def test_what_comes_after_the_block_of_a_batch_is_refused(local):
    async with local.batch() as batch:
        await batch.write("x", "1")
    with pytest.raises(e.InvalidArgument, match="was left before"):
        await batch.write("y", "2")
    with pytest.raises(ZeroDivisionError):
        async with local.batch() as batch:
            raise ZeroDivisionError
    with pytest.raises(e.InvalidArgument, match="was left before"):
        await batch.remove("x")

    assert "1" == await local.read("x")
    assert not await local.exists("y")


async def test_a_batch_that_is_carried_out_leaves_nothing_behind(local, full):
    await local.ask(m.Batch(effects=EFFECTS))

    assert not [path for path in full.rglob("*") if path.name.startswith(TEMPORARY)]
    assert (full / "file").read_bytes() == b"a"
    assert not (full / "tree").exists()
    assert (full / "copied/tree/sub/b").read_bytes() == b"b"
    assert (full / "target").read_bytes() == b"through the link"


@pytest.mark.parametrize("count", range(1, len(EFFECTS) + 1))
async def test_a_batch_whose_asker_leaves_is_undone(local, full, count, monkeypatch):
    before = look(full)
    with trio.CancelScope() as cancel_scope:
        breaths = 0

        def breathe():
            nonlocal breaths
            breaths += 1
            if breaths == count:
                trio.from_thread.run_sync(cancel_scope.cancel)
            trio.from_thread.check_cancelled()

        monkeypatch.setattr(threads, "breathe", breathe)
        monkeypatch.setattr(threads, "MOMENT", 0)
        await local.ask(m.Batch(effects=EFFECTS))

    assert cancel_scope.cancelled_caught
    assert threads.file_threads().borrowed_tokens == 0
    assert look(full) == before


async def test_what_was_begun_here_is_undone_if_the_asker_leaves_before_a_thread_is_there(
    local, full
):
    before = look(full)
    with trio.CancelScope() as cancel_scope:
        async with trio.open_nursery() as nursery:
            for _ in range(threads.THREADS):
                await threads.file_threads().acquire_on_behalf_of(object())
            nursery.start_soon(local.ask, m.Batch(effects=EFFECTS))
            while (full / "file").read_bytes() == b"before":
                await trio.lowlevel.checkpoint()
            cancel_scope.cancel()

    assert b"before" == (full / "file").read_bytes()
    assert before == look(full)


@pytest.mark.parametrize("moment", [0, 0.0005, 60])
async def test_many_in_one_message_end_alike_here_and_in_a_thread(local, root, monkeypatch, moment):
    monkeypatch.setattr(threads, "MOMENT", moment)
    (root / "large").write_bytes(b"x" * (SMALL + 1))
    (root / "dir").mkdir()
    files = [(f"d/{number}", b"%d" % number) for number in range(60)]
    files[20:20] = [("large", b"y" * (SMALL + 1)), ("dir", b"z"), ("../out", b"z")]
    stored = await local.upload(files)
    async with local.batch() as batch:
        for path, content in files[:20]:
            await batch.write(path, content + b"!")
        await batch.append("large", "y")
        await batch.write("new/d/e", "new")
    found = await local.download([path for path, _ in files])

    assert [path for path, _ in files] == [each.path for each in stored]
    failed = ["WrongType", "PathEscapes"]
    assert failed == [each.error.kind for each in stored if each.error is not None]
    assert failed == [each.error.kind for each in found if each.error is not None]
    contents = [content + b"!" for _, content in files[:20]]
    contents += [b"y" * (SMALL + 2), None, None]
    assert contents + [content for _, content in files[23:]] == [each.content for each in found]
    assert b"new" == (root / "new/d/e").read_bytes()
    assert not [path for path in root.rglob("*") if path.name.startswith(TEMPORARY)]


async def test_a_batch_that_fills_the_disk_is_undone(root, local, small_disk):
    await local.write("disk/f", b"old")
    await local.write("disk/g", b"x" * 100_000)
    before = look(root)
    with pytest.raises(e.NoSpace):
        async with local.batch() as batch:
            await batch.write("disk/f", b"new")
            await batch.remove("disk/g")
            await batch.append("disk/f", b"x" * 100_000)
            await batch.write("disk/h", b"x" * (1 << 20))

    assert look(root) == before
    stored = await local.upload([("disk/h", b"x" * (1 << 20)), ("disk/i", b"i")])
    assert [each.error and each.error.kind for each in stored] == ["NoSpace", None]
    assert sorted(os.listdir(small_disk)) == ["f", "g", "i"]


async def test_fifty_edits_of_one_file_beside_each_other_are_all_there(tmp_path):
    from runner import open_runner

    async with open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "work")
        await scope.write("f", "".join(f"<{number}>" for number in range(50)))
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(scope.edit, "f", f"<{number}>", f"[{number}]")
        assert await scope.read("f") == "".join(f"[{number}]" for number in range(50))


async def test_writes_beside_each_other_are_undone_to_the_very_files_that_were_there(local, root):
    (root / "d").mkdir()
    (root / "d/old").write_bytes(b"before")
    (root / "d/link").symlink_to("old")
    before, status = look(root), (root / "d/old").stat()
    paths = ("d/old", "d/new", "d/old", "d/link", "made/one", "made/two", "d/new")
    effects = tuple(m.Write(path=path, content=path.encode()) for path in paths)

    with pytest.raises(e.NotFound):
        await local.ask(m.Batch(effects=(*effects, m.Remove(path="nowhere"))))

    assert before == look(root)
    assert status.st_ino == (root / "d/old").stat().st_ino
    assert status.st_mtime_ns == (root / "d/old").stat().st_mtime_ns


async def test_a_directory_that_a_batch_has_moved_is_not_written_to_by_its_old_name(local, root):
    (root / "d").mkdir()
    (root / "d/a").write_bytes(b"before")
    effects = (
        m.Write(path="d/a", content=b"after"),
        m.Move(source="d", target="e"),
        m.Write(path="d/b", content=b"in a new one"),
    )

    await local.ask(m.Batch(effects=effects))

    assert [b"after"] == [each.read_bytes() for each in (root / "e").iterdir()]
    assert [b"in a new one"] == [each.read_bytes() for each in (root / "d").iterdir()]


async def test_a_batch_without_an_exchange_of_names_is_all_or_none_as_well(
    local, root, monkeypatch
):
    def refuse(*_):
        raise OSError(errno.EINVAL, "as some file systems say")

    monkeypatch.setattr(batching, "renameat2", refuse)
    (root / "a").write_bytes(b"before")
    before = look(root)
    effects = tuple(m.Write(path=path, content=b"after") for path in ("a", "b", "a"))

    with pytest.raises(e.NotFound):
        await local.ask(m.Batch(effects=(*effects, m.Remove(path="nowhere"))))
    assert before == look(root)
    await local.ask(m.Batch(effects=effects))

    assert ["a", "b"] == sorted(each.name for each in root.iterdir())
    assert b"after" == (root / "a").read_bytes()


async def test_an_upload_beside_a_link_writes_through_it_and_never_out(local, root, tmp_path):
    (root / "d").mkdir()
    (root / "d/inner").symlink_to("target")
    (root / "d/outer").symlink_to("../../outside")
    (root / "out").symlink_to(tmp_path.parent)
    bad = ("/d", "/x", f"{tmp_path.parent}/c", f"d/{'n' * 256}", "d/n\0", "d/\ud800", "..", "")
    paths = (
        "x",
        "d",
        "d/a",
        "d/inner",
        "d/outer",
        "d/../d/b",
        "out/c",
        "d/../../d",
        "d/",
        "d/d",
        *bad,
    )

    stored = await local.upload([(path, path) for path in paths])

    failed = [each.path for each in stored if each.error is not None]
    assert ["d", "d/outer", "out/c", "d/../../d", "d/", *bad] == failed
    assert "d/inner" == (root / "d/target").read_text()
    assert (root / "d/inner").is_symlink()
    assert ["a", "b", "d", "inner", "outer", "target"] == sorted(os.listdir(root / "d"))


async def test_a_removed_root_is_found_empty_and_made_anew_by_an_upload(local, root):
    await local.write("a", "one")
    (root / "a").unlink()
    root.rmdir()
    assert not await local.exists("a")
    stored = await local.upload([("a", "two"), ("b", "three")])

    assert [None, None] == [each.error for each in stored]
    assert "two" == await local.read("a")
    assert 3 == (await local.stat("a")).size
