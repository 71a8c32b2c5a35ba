"""Every public name of runner's is there for programs that are not trio's, as what they can use."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys

import pytest

import runner
import runner.asyncio
from runner import blocking
from runner.bridge.proxies import StandIn

MODULES = [blocking, runner.asyncio]
IDS = ["blocking", "asyncio"]
OPENING = ("open_runner", "make_session")


@pytest.mark.parametrize("module", MODULES, ids=IDS)
@pytest.mark.parametrize("name", runner.__all__)
def test_every_public_name_is_there(module, name):
    own, theirs = getattr(runner, name), getattr(module, name)

    assert name in dir(module)
    assert name in module.__all__
    waits = [own, *(vars(own).values() if isinstance(own, type) else ())]
    if any(inspect.iscoroutinefunction(each) for each in waits) or name in OPENING:
        assert theirs is not own
        assert theirs.__doc__ == own.__doc__
    assert theirs is own or name in OPENING or issubclass(theirs, StandIn)


@pytest.mark.parametrize("module", MODULES, ids=IDS)
def test_a_name_that_will_be_new_is_there_too_and_others_are_not(module, monkeypatch):
    class Novel:
        """A class of trio's."""

        async def twice(self, number):
            return 2 * number

    monkeypatch.setattr(runner, "Novel", Novel, raising=False)
    monkeypatch.setattr(runner, "__all__", [*runner.__all__, "Novel"])
    try:
        novel = module.Novel()
        answer = novel.twice(4)
        if module is not blocking:
            answer.close()
            answer = asyncio.run(novel.twice(4))
    finally:
        vars(module).pop("Novel", None)

    assert answer == 8
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = module.no_such_name


def test_objects_are_made_as_in_trio_and_are_of_their_class(tmp_path):
    backend = blocking.LocalBackend(tmp_path / "a", env={"WORD": "hi"})
    both = blocking.CompositeBackend(blocking.MemoryBackend({"x": "y"}), {"disk": backend})

    assert isinstance(backend, blocking.LocalBackend)
    assert isinstance(blocking.wrap(runner.LocalBackend(tmp_path)), blocking.LocalBackend)
    assert not isinstance(both, blocking.LocalBackend)
    assert inspect.signature(blocking.LocalBackend) == inspect.signature(runner.LocalBackend)
    both.write("disk/b", "c")
    assert (tmp_path / "a" / "b").read_text() == backend.read("b") == "c"
    assert (both.read("x"), backend.exec("echo $WORD").stdout) == ("y", "hi\n")
    both.close()
    backend.close()


def test_what_a_factory_makes_may_be_made_for_the_program_or_for_trio(tmp_path):
    async def slow(key, _config):
        await asyncio.sleep(0.001)
        return runner.asyncio.LocalBackend(tmp_path / key)

    outside = runner.asyncio.BackendPool(slow)  # no event loop is there yet

    async def main():
        async with outside as pool, pool.use("k") as backend:
            await backend.write("a", "b")
            assert isinstance(backend, runner.asyncio.LocalBackend)

    asyncio.run(main())
    for module in (blocking, runner):
        made = blocking.BackendPool(lambda key, _config, m=module: m.LocalBackend(tmp_path / key))
        with made as pool, pool.use("k") as backend:
            assert backend.read("a") == "b"
            assert isinstance(backend, blocking.LocalBackend)


def test_rules_records_and_logs_are_the_same_everywhere(tmp_path):
    seen = []
    log = blocking.OperationLog(seen.append, blocking.JsonLines(tmp_path / "log"), who="me")
    rules = blocking.create_ruleset(allow_write=True, deny_secrets=True)
    with blocking.open_runner(state=tmp_path / "state") as r:
        scope = r.scope(tmp_path / "x", operation_log=log, permissions=rules)
        scope.write("a", "b")
        with blocking.asking_as("her"):
            scope.write("b", "c")
        with pytest.raises(blocking.Denied):
            scope.read(".env")

    assert [(each.op, each.who) for each in seen] == [("write", "me"), ("write", "her")]
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_importing_them_starts_nothing():
    code = (
        "import threading, runner.asyncio, runner.blocking;"
        "print(threading.active_count(), runner.blocking.LocalBackend is not None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "1 True\n"
