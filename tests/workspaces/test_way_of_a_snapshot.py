"""The newcomer's test of workspaces: one snapshot from the handle to the disk and back."""

import runner
from runner.workspaces.messages import Snap, lane_of


async def test_a_snapshot_goes_from_the_handle_through_the_actor_to_the_store_and_back(tmp_path):
    base = tmp_path / "shop"
    base.mkdir()
    (base / "a.txt").write_text("one\n")

    async with runner.open_runner(state=tmp_path / "state") as r:
        # A handle: nothing has happened yet, there is no store, and no actor.
        project = r.project(base)
        assert not (tmp_path / "state/projects").exists()
        assert 0 == r.statistics().workspaces.actors

        # A workspace: a row in the store, and a directory of its own in which everything works.
        ws = await project.create("feature")
        assert ["feature"] == [each.name for each in await project.list()]
        assert ws.path.startswith(project.directory)

        # Its operations are a scope's, carried out by that scope's worker in the live tree. The
        # worker has asked the workspace's actor for the tree: that has the lock, and attached it.
        await ws.write("a.txt", "two\n")
        await ws.exec(["sh", "-c", "echo new > b.txt"])
        assert 1 == r.statistics().workspaces.actors
        assert 1 == r.statistics().workers.actors
        assert "two\n" == (await ws.read("a.txt"))
        assert "one\n" == (base / "a.txt").read_text()  # the base is not touched

        # The call becomes the message Snap(...); its lane has it wait for all that was asked for
        # before. The actor captures the tree: what is new goes into the store, each content once.
        taken = await ws.snapshots.create("first", description="as it was")
        assert "exec" == lane_of(Snap(name="first")).value
        assert [taken] == await ws.snapshots.list()
        listing = project._shared.store.listing(taken.root)
        assert [b"a.txt", b"b.txt"] == [each.name for each in listing]
        assert b"two\n" == b"".join(project._shared.store.content(listing[0].id))

        # What differs is told by comparing two roots, and never enters what is equal.
        status = await ws.status()
        assert ["M a.txt"] == [str(each) for each in status.modified]
        assert ["A b.txt"] == [str(each) for each in status.added]

        # And back: the tree is exactly that again, by an act of the journal; what was there
        # before is a snapshot as well.
        await ws.remove("a.txt")
        undo = await ws.snapshots.restore("first", force=True)
        assert "two\n" == await ws.read("a.txt")
        assert not await ws.diff("first")
        assert ["D a.txt"] == [str(each) for each in await ws.snapshots.diff("first", undo.name)]
        assert () == (await project.check()).problems

    # Leaving has freed it all, and the lock can be had. The tree stays: what root has mounted is
    # there for every program until the workspace is deleted.
    async with runner.open_runner(state=tmp_path / "state") as r:
        again = await r.project(base).get("feature")
        assert "two\n" == await again.read("a.txt")
