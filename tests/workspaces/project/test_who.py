"""On whose behalf something is done in a workspace: said by a handle, kept by the audit."""

import pytest

from runner import ConfigError, StoreError, Who
from runner.workspaces.audit_rows import Writer


async def whose(ws, **filters):
    return [(each.session, each.job, each.agent) for each in await ws.audit.logs(**filters)]


async def test_what_is_done_by_a_handle_is_done_on_behalf_of_whom_it_was_made_for(project):
    await project.create("one", agent_id="a-7")
    ws = await project.get("one", who=Who(job="j-1"))
    await ws.write("x", "1")
    await ws.scope(".", who=Who(session="s-1")).write("x", "2")
    await ws.scope("src", who=Who(agent="a-8")).exec(["true"])

    assert [("", "j-1", "a-7"), ("s-1", "j-1", "a-7")] == await whose(ws, operation="write")
    assert [("", "j-1", "a-8")] == await whose(ws, operation="exec")
    assert ["2"] == [await ws.read("x")]
    assert 1 == len(await ws.audit.logs(session="s-1"))


async def test_a_scope_inside_is_worked_in_on_behalf_of_the_same(project):
    ws = await project.create("one", who=Who(session="s", job="j", agent="a"))
    await ws.scope("src").scope("deep").write("x", "1")

    assert [("s", "j", "a")] == await whose(ws, path="src/deep/x")


@pytest.mark.parametrize("who", ["me", Who(session=7), {"agent": "a"}])
async def test_nobody_else_can_be_given(project, who):
    with pytest.raises(ConfigError, match="give a Who"):
        await project.create("one", who=who)
    ws = await project.create("two")
    with pytest.raises(ConfigError, match="give a Who"):
        ws.scope(".", who=who)


async def test_what_is_done_to_a_workspace_as_a_whole_has_its_row_with_who(project):
    ws = await project.create("one", who=Who(session="s"))
    await ws.snapshots.create("first")
    await ws.write("x", "1")
    await ws.snapshots.restore("first", force=True)
    await ws.rename("two")
    await ws.snapshots.delete("first")
    await project.delete("two", force=True, who=Who(session="t"))
    acts = ["create", "snapshot", "restore", "rename", "snapshot_delete", "delete"]
    rows = await ws.audit.logs(operation=acts)

    assert acts == [each.operation for each in rows]
    assert [*["s"] * 5, "t"] == [each.session for each in rows]
    assert "one" == rows[3].details["before"]
    assert (await project.audit.verify()).ok


@pytest.mark.parametrize("act", ["snapshot", "restore", "rename", "snapshot_delete", "delete"])
async def test_an_act_that_cannot_be_written_down_is_not_done(project, monkeypatch, act):
    ws = await project.create("one")
    await ws.snapshots.create("first")
    await ws.write("x", "1")
    before = await project.audit.logs()

    def fail(_writer, _records):
        raise StoreError("there is no room", "store.db")

    acts = {
        "snapshot": lambda: ws.snapshots.create("second"),
        "restore": lambda: ws.snapshots.restore("first", force=True),
        "rename": lambda: ws.rename("two"),
        "snapshot_delete": lambda: ws.snapshots.delete("first"),
        "delete": lambda: project.delete("one", force=True),
    }
    with monkeypatch.context() as patched:
        patched.setattr(Writer, "append", fail)
        with pytest.raises(StoreError, match="no room"):
            await acts[act]()

    assert before == await project.audit.logs()
    assert ["first"] == [each.name for each in await ws.snapshots.list() if each.kind == "user"]
    assert ["one"] == [each.name for each in await project.list()]
    assert "1" == await ws.read("x")
