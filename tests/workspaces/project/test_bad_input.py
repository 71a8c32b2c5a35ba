"""What cannot be done is one clear error, and everything is as before."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import trio

import runner
from runner.errors import (
    ConfigError,
    InvalidName,
    NoSpace,
    PermissionDenied,
    RunnerError,
    SnapshotExists,
    SnapshotNotFound,
    StoreError,
    WorkspaceError,
    WorkspaceExists,
    WorkspaceNotFound,
)
from runner.workspaces import mounts
from runner.workspaces.store import Store

LARGE = 300_000  # bytes of what there is no room for
NOBODY = 65534


def files_of(ws):
    return {str(each): each.read_bytes() for each in Path(ws.path).rglob("*") if each.is_file()}


async def state_of(project):
    """All that may not change when something is refused."""
    found = {}
    for each in await project.list():
        ws = await project.get(each.name)
        found[each.name] = files_of(ws), [one.name for one in await ws.snapshots.list()]
    return found, sorted(os.listdir(f"{project.directory}/workspaces"))


# ---------------------------------------------------------------- names


BAD = {
    "a/b": "has a `/` in it",
    "..": "is no name of its own",
    ".": "is no name of its own",
    "": "is empty",
    "a\0b": "has a NUL in it",
    "-rf": "begins with `-`",
    "x" * 129: "is 129 bytes long",
    "é" * 65: "is 130 bytes long",
    "a\nb": "has a control character",
    "\udcff": "is not UTF-8",
    " a": "begins or ends with a space",
    7: "is no text",
}


async def test_a_name_that_none_can_have_is_refused_wherever_it_is_given(project):
    ws = await project.create("one")
    await ws.snapshots.create("first")
    before = await state_of(project)
    for name, wrong in BAD.items():
        for act in (
            project.create(name),
            project.get(name),
            project.rename("one", name),
            ws.rename(name),
            project.delete(name, force=True),
            ws.snapshots.create(name),
        ):
            with pytest.raises(InvalidName, match="name of a") as caught:
                await act
            assert wrong in str(caught.value)
            assert "at most 128 bytes" in str(caught.value)  # how it would be right

    assert before == await state_of(project)


async def test_the_longest_name_is_one(project):
    ws = await project.create("é" * 64)
    await ws.snapshots.create("x" * 128)

    assert ["x" * 128] == [each.name for each in await ws.snapshots.list()]


# ---------------------------------------------------------------- there, or not


async def test_what_is_there_already_is_not_made_again(project):
    ws = await project.create("one")
    await project.create("two")
    await ws.snapshots.create("first")
    before = await state_of(project)
    for error, act in (
        (WorkspaceExists, lambda: project.create("one")),
        (WorkspaceExists, lambda: project.rename("two", "one")),
        (SnapshotExists, lambda: ws.snapshots.create("first")),
    ):
        with pytest.raises(error, match=r"'(one|first)'"):
            await act()

    assert before == await state_of(project)


async def test_what_is_not_there_is_named_with_what_may_have_been_meant(project):
    ws = await project.create("feature-login")
    await ws.snapshots.create("before-tests")
    before = await state_of(project)
    for act in (
        lambda: project.get("feature-logon"),
        lambda: project.delete("feature-logon"),
        lambda: project.rename("feature-logon", "x"),
        lambda: project.create("x", workspace="feature-logon"),
        lambda: project.create("x", snapshot="feature-logon/before-tests"),
    ):
        with pytest.raises(WorkspaceNotFound, match="'feature-login'") as missing:
            await act()
        assert ("feature-login",) == missing.value.near
    for act in (
        lambda: ws.snapshots.restore("before-test"),
        lambda: ws.snapshots.delete("before-test"),
        lambda: ws.snapshots.show("before-test"),
        lambda: ws.snapshots.diff("before-tests", "before-test"),
        lambda: ws.diff("before-test"),
        lambda: project.create("x", snapshot="before-test"),
        lambda: project.create("x", snapshot="feature-login/before-test"),
    ):
        with pytest.raises(SnapshotNotFound, match="'before-tests'") as unknown:
            await act()
        assert ("before-tests",) == unknown.value.near

    assert before == await state_of(project)


# ---------------------------------------------------------------- where it is kept


async def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(tmp_path, base):
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base)
        await project.create("one", way="copy")
    path = f"{project.directory}/store.db"
    store = Store.open(path)
    with store.file.writing() as connection:
        connection.execute("PRAGMA user_version = 99")
    store.close()
    with open(path, "rb") as file:
        before = file.read()
    async with runner.open_runner(state=tmp_path / "state") as r:
        for act in (r.project(base).list, lambda: r.project(base).create("two")):
            with pytest.raises(StoreError, match="99") as caught:
                await act()
            assert path in str(caught.value)
            assert "use that one" in str(caught.value)

    with open(path, "rb") as file:
        assert before == file.read()


@pytest.mark.parametrize("inside", ["state", "deep/er/state", "."])
async def test_a_store_inside_its_own_base_is_refused_and_nothing_made(tmp_path, base, inside):
    os.symlink(base, tmp_path / "link")
    before = sorted(os.listdir(base))
    async with runner.open_runner(state=tmp_path / "state") as r:
        for top in (base, tmp_path / "link"):
            with pytest.raises(ConfigError, match="inside itself"):
                r.project(base, store=top / inside)

    assert before == sorted(os.listdir(base))


async def test_a_store_is_that_of_one_directory(tmp_path, base):
    other, store = tmp_path / "other", tmp_path / "store"
    other.mkdir()
    async with runner.open_runner(state=tmp_path / "state") as r:
        project = r.project(base, store=store)
        with pytest.raises(ConfigError, match="in use for the project .*app"):
            r.project(other, store=store)
        assert str(base) == r.project(base, store=store).path == project.path


# ---------------------------------------------------------------- no space


@pytest.fixture
def small(tmp_path):
    """A directory on a disk of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk: run as root, or in `unshare -Urm`")
    place = tmp_path / "small"
    place.mkdir()
    mounts.mount("runner-test", str(place), "tmpfs", "size=6m")
    yield place
    mounts.unmount(str(place))


def fill(place, *, but):
    """Leave so many bytes."""
    with open(place / "filler", "wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65536))
    os.truncate(place / "filler", max(0, os.stat(place / "filler").st_size - but))


@pytest.mark.parametrize("act", ["create", "snapshot", "restore", "batch", "write", "delete"])
async def test_where_there_is_no_space_nothing_is_changed(tmp_path, base, small, act):
    (base / "large").write_bytes(os.urandom(LARGE))
    async with runner.open_runner(state=small / "state") as r:
        project = r.project(base)
        ws = await project.create("one", way="copy")
        await ws.snapshots.create("first")
        await ws.write("large", os.urandom(LARGE))
        if act not in {"snapshot", "delete"}:
            await ws.snapshots.create("second")
        before, digest = await state_of(project), await ws.digest("large")

        async def batch():
            async with ws.batch() as effects:
                await effects.write("a", "1")
                await effects.write("b", os.urandom(LARGE))

        acts = {
            "create": lambda: project.create("two", way="copy"),
            "snapshot": lambda: ws.snapshots.create("second"),
            "restore": lambda: ws.snapshots.restore("first"),
            "batch": batch,
            "write": lambda: ws.write("b", os.urandom(LARGE)),
            "delete": lambda: project.delete("one", force=True),  # what it was is to be rescued
        }
        fill(small, but=LARGE // 2)
        with pytest.raises((NoSpace, WorkspaceError), match="space|full") as caught:
            await acts[act]()
        assert isinstance(caught.value, RunnerError)
        os.unlink(small / "filler")

        assert before == await state_of(project)
        assert digest == await ws.digest("large")
        assert () == (await project.check()).problems
        await acts[act]()  # and now there is room


# ---------------------------------------------------------------- no permission


def as_nobody(work):
    """What an ordinary user is told; in a process of its own."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:  # pragma: no cover - a child that never comes back
        said = "nothing"
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
            trio.run(work)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
            said = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, said.encode("utf-8", "replace")[:4000])
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def public():
    """A directory that everybody can see, with a base in it, and room for a state."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        os.mkdir(f"{place}/base", 0o755)
        os.mkdir(f"{place}/mine")
        if os.geteuid() == 0:
            os.chown(f"{place}/mine", NOBODY, NOBODY)
        with open(f"{place}/base/a", "w") as file:
            file.write("1")
        yield place
        os.chmod(f"{place}/base", 0o755)
        for each in mounts.mounted_in(os.path.realpath(place)):
            mounts.unmount(each.point)


def test_a_base_that_may_not_be_read_is_refused_and_nothing_is_left_of_it(public):
    os.chmod(f"{public}/base", 0)

    async def work():
        async with runner.open_runner(state=f"{public}/mine/state") as r:
            project = r.project(f"{public}/base")
            with pytest.raises(WorkspaceError, match="ermi") as caught:
                await project.create("one", way="copy")
            assert [] == await project.list()
            assert [] == os.listdir(f"{project.directory}/workspaces")
            raise caught.value

    assert "base" in as_nobody(work)


def test_a_place_that_may_not_be_written_to_is_refused(public):
    async def work():
        async with runner.open_runner(state=f"{public}/mine/state") as r:
            await r.project(f"{public}/base", store=f"{public}/elsewhere").create("one")

    said = as_nobody(work)
    assert said.startswith("StoreError")
    assert f"{public}/elsewhere" in said
    assert "ermission" in said
    assert not os.path.exists(f"{public}/elsewhere")


def test_a_workspace_of_another_user_is_refused_and_stays_as_it_is(public):
    async def make():
        async with runner.open_runner(state=f"{public}/mine/state") as r:
            ws = await r.project(f"{public}/base", store=f"{public}/store").create("one")
            await ws.write("x", "1")

    trio.run(make)
    os.chmod(f"{public}/store", 0o755)
    for name in os.listdir(f"{public}/store"):
        path = f"{public}/store/{name}"
        os.chmod(path, 0o755 if os.path.isdir(path) else 0o644)

    async def work():
        async with runner.open_runner(state=f"{public}/mine/other") as r:
            await (await r.project(f"{public}/base", store=f"{public}/store").get("one")).read("x")

    said = as_nobody(work)
    assert said.split(":")[0] in {"StoreError", "WorkspaceError", PermissionDenied.__name__}
    assert f"{public}/store" in said
