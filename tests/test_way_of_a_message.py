"""The newcomer's first test: one message from the caller's handle to the disk and back."""

import runner
from runner.messages import Write
from runner.scopes.worker import lane_of


async def test_a_message_goes_from_the_handle_through_the_mailbox_to_the_disk_and_back(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as r:
        # A handle: nothing has happened yet, not even the directory is there.
        scope = r.scope(tmp_path / "shop")
        assert not (tmp_path / "shop").exists()
        assert 0 == r.statistics().workers.actors

        # The call becomes the message Write(path="a/b.txt", content=b"hi\n"); its lane says how it
        # takes part in the order; the worker is started for it; its backend writes.
        await scope.write("a/b.txt", "hi\n")
        assert "effect" == lane_of(Write(path="a/b.txt", content=b"hi\n")).value
        assert b"hi\n" == (tmp_path / "shop/a/b.txt").read_bytes()
        assert 1 == r.statistics().workers.actors

        # And back: bytes from the disk, text for the caller.
        assert "hi\n" == await scope.read("a/b.txt")

    # Leaving has drained and ended everything; the run has taken its marker along.
    assert [] == list((tmp_path / "state/runs").iterdir())
