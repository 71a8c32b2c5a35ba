"""Two processes on one project: a workspace is one's at a time, the store is both's."""

import os
from contextlib import suppress

import attrs
import pytest
import trio

import runner
from runner.errors import WorkspaceBusy

ROUNDS = 8


@attrs.frozen
class Child:
    """A process of its own, and the way to it and back."""

    pid: int
    hears: int
    says: object

    def tell(self):
        os.write(self.hears, b"\n")

    def line(self):
        return self.says.readline().decode().strip()


@pytest.fixture
def fork():
    """Fork a process that carries out `work(say, hear)` in a runner of its own."""
    children = []

    def make(work):
        (reading, says), (hears, writing) = os.pipe(), os.pipe()
        pid = os.fork()
        if pid == 0:  # pragma: no cover - a child that never comes back
            try:
                say = lambda text: os.write(says, f"{text}\n".encode())  # noqa: E731
                trio.run(work, say, lambda: os.read(hears, 1))
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
                os.write(says, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(0)
        os.close(says)
        os.close(hears)
        child = Child(pid, writing, os.fdopen(reading, "rb"))
        children.append(child)
        return child

    yield make
    for each in children:
        os.close(each.hears)
        each.says.close()
        with suppress(ChildProcessError):
            os.waitpid(each.pid, 0)


def test_each_works_in_its_own_workspace_at_once_and_is_refused_the_others(tmp_path, base, fork):
    state = tmp_path / "state"

    async def make():
        async with runner.open_runner(state=state) as r:
            for name in ("one", "two"):
                await r.project(base).create(name)

    trio.run(make)

    def working(mine, other):
        async def work(say, hear):
            async with runner.open_runner(state=state) as r:
                project = r.project(base)
                ws = await project.get(mine)
                await ws.write("mine", mine)
                say("here")
                hear()  # the other one is here as well
                theirs = await project.get(other)
                for act in (
                    lambda: theirs.write("x", "1"),
                    lambda: theirs.snapshots.create("s"),
                    lambda: project.delete(other, force=True),
                ):
                    with pytest.raises(WorkspaceBusy) as caught:
                        await act()
                    say(caught.value.pid)
                for number in range(ROUNDS):
                    await ws.write("number", str(number))
                    await ws.exec(["cp", "number", f"copy-{number}"])
                    await ws.snapshots.create(f"{mine}-{number}")
                await ws.snapshots.restore(f"{mine}-2")
                say(() == (await project.check()).problems)
                hear()

        return work

    one, two = fork(working("one", "two")), fork(working("two", "one"))
    assert ["here", "here"] == [one.line(), two.line()]
    one.tell()
    two.tell()
    assert {str(two.pid)} == {one.line() for _ in range(3)}
    assert {str(one.pid)} == {two.line() for _ in range(3)}
    assert ["True", "True"] == [one.line(), two.line()]
    one.tell()
    two.tell()
    assert ["", ""] == [one.line(), two.line()]

    async def look():
        async with runner.open_runner(state=state) as r:
            project = r.project(base)
            for name in ("one", "two"):
                ws = await project.get(name)
                names = [each.name for each in await ws.snapshots.list() if each.kind == "user"]
                assert [f"{name}-{number}" for number in range(ROUNDS)] == names
                assert ("2", name) == (await ws.read("number"), await ws.read("mine"))
            assert () == (await project.check()).problems
            assert (await project.audit.verify()).ok
            rows = await project.audit.logs(operation="write", path="number")
            assert 2 * ROUNDS == len(rows)

    trio.run(look)
