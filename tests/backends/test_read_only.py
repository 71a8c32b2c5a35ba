"""A view for reading only."""

from __future__ import annotations

import typing

import pytest

from runner import messages as m
from runner.backends.local import LocalBackend
from runner.backends.memory import MemoryBackend
from runner.backends.read_only import ReadOnlyBackend
from runner.errors import ConfigError, Denied, ReadOnly
from runner.operations import Asking
from runner.scopes.permitted import PermittedBackend

CHANGES = {
    "write": lambda b: b.write("a", "x"),
    "append": lambda b: b.append("a", "x"),
    "edit": lambda b: b.edit("a", "one", "x"),
    "touch": lambda b: b.touch("a"),
    "mkdir": lambda b: b.mkdir("d"),
    "chmod": lambda b: b.chmod("a", 0o600),
    "copy": lambda b: b.copy("a", "b"),
    "move": lambda b: b.move("a", "b"),
    "remove": lambda b: b.remove("a"),
    "upload": lambda b: b.upload([("a", "x")]),
    "exec": lambda b: b.exec("true"),
}


@pytest.fixture(params=["memory", "local", "asking"])
async def view(request, tmp_path):
    if request.param == "local":
        inner = LocalBackend(tmp_path / "scope")
        await inner.write("a", "one")
    else:
        inner = MemoryBackend({"a": "one"})
    if request.param == "asking":
        backend = inner

        class Handle(Asking):
            """As a scope: it can only be asked."""

            name = "handle"

            async def ask(self, message):
                return await backend.ask(message)

        inner = Handle()
    view = ReadOnlyBackend(inner)
    yield view
    await view.aclose()


@pytest.mark.parametrize("op", CHANGES)
async def test_what_changes_or_runs_something_is_refused_and_told_what_works(view, op):
    with pytest.raises(ReadOnly, match="for reading only") as caught:
        await CHANGES[op](view)

    assert caught.value.op == op
    assert caught.value.scope == view.name
    assert "read, ls, glob, grep" in caught.value.hint
    assert await view.read("a") == "one"


async def test_all_that_reads_works(view):
    assert await view.read("a") == "one"
    assert (await view.ls()).entries[0].name == "a"
    assert (await view.glob("*")).paths == ("a",)
    assert [each.text for each in (await view.grep("one")).matches] == ["one"]
    assert await view.exists("a")
    assert [each.content for each in await view.download(["a"])] == [b"one"]


def test_every_operation_that_is_no_observation_is_refused():
    from runner.backends.read_only import READING

    assert {*typing.get_args(m.Observation), m.ReadStream, m.CloseStream} == READING


async def test_it_may_have_permissions_on_top():
    backend = PermittedBackend(
        ReadOnlyBackend(MemoryBackend({"a": "one", ".env": "x"})), "permissive"
    )

    assert await backend.read("a") == "one"
    with pytest.raises(Denied):
        await backend.read(".env")
    with pytest.raises(ReadOnly):
        await backend.write("a", "x")


def test_what_cannot_say_where_its_links_lead_cannot_have_permissions_around_it():
    class Handle(Asking):
        name = "handle"

        async def ask(self, message):
            raise NotImplementedError

    with pytest.raises(ConfigError, match="handle cannot be used with permissions"):
        PermittedBackend(ReadOnlyBackend(Handle()), "permissive")
    assert "ReadOnlyBackend" in repr(ReadOnlyBackend(Handle()))
