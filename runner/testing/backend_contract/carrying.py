"""The contract of how operations are carried out."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

from typing import cast

import pytest
import trio

from runner import errors as e
from runner import messages as m
from runner.backends.base import LATER, Backend
from runner.testing.backend_contract.base import Contract, ask
from runner.testing.backend_contract.tables import TREE


class Carrying(Contract):
    """What every backend does: how operations are carried out."""

    async def test_every_operation_has_a_checkpoint(self, tree: Backend) -> None:
        """Cancelled before it began: it leaves, and nothing has changed."""
        operations: tuple[m.Operation, ...] = (
            m.Read(path="README.md"),
            m.Stat(path="README.md"),
            m.Exists(path="README.md"),
            m.Ls(),
            m.Glob(pattern="*"),
            m.Grep(pattern="x"),
            m.Write(path="new", content=b""),
            m.Append(path="new", content=b""),
            m.Edit(path="README.md", replacements=(m.Replacement(old=b"TODO", new=b"DONE"),)),
            m.EditLines(path="README.md", changes=()),
            m.Touch(path="new"),
            m.Chmod(path="README.md", mode=0o600),
            m.Upload(files=(("new", b""),)),
            m.Batch(effects=(m.Touch(path="new"),)),
            m.Mkdir(path="new"),
            m.Copy(source="src", target="new"),
            m.Move(source="src", target="new"),
            m.Remove(path="src", recursive=True),
            m.Exec(command="touch new"),
        )
        for operation in operations:
            with trio.CancelScope() as cancel_scope:
                cancel_scope.cancel()
                await ask(tree, operation)
            assert cancel_scope.cancelled_caught

        assert not await tree.exists("new")
        assert await tree.read("README.md", encoding=None) == TREE["README.md"]
        assert await tree.exists("src/app.py")

    async def test_it_can_be_used_after_it_was_closed(self, backend: Backend) -> None:
        await backend.write("f", b"x")
        await backend.aclose()
        await backend.aclose()

        assert await backend.read("f", encoding=None) == b"x"
        await backend.aclose()

    async def test_what_is_answered_at_once_is_answered_alike(self, backend: Backend) -> None:
        """`answer_now` answers as `carry_out` does, or LATER; it never answers differently."""
        await backend.write("dir/f", b"content")
        await backend.write("large", b"x" * (1 << 20))
        operations: tuple[m.Operation, ...] = (
            m.Read(path="dir/f"),
            m.Read(path="dir/f", offset=2, limit=3),
            m.Read(path="large"),
            m.Read(path="missing"),
            m.Exists(path="dir/f"),
            m.Exists(path="missing"),
            m.Exists(path="../out"),
            m.Stat(path="dir/f"),
            m.Stat(path="dir/f/g"),
            m.Write(path="new/f", content=b"1"),
            m.Write(path="new/f", content=b"2", durable=True),
            m.Write(path="new/large", content=b"x" * (1 << 20)),
            m.Write(path="dir", content=b""),
            m.Ls(),
        )
        for operation in operations:
            now: object = None
            error: e.OperationError | None = None
            try:
                now = backend.answer_now(cast("m.Message[object]", operation))
            except e.OperationError as caught:
                error = caught
            if error is not None:
                with pytest.raises(type(error)) as again:
                    await ask(backend, operation)
                assert str(again.value) == str(error)
            elif now is not LATER:
                assert await ask(backend, operation) == now
