"""On whose behalf something is done in a workspace: said by a handle, kept by the audit."""

import pytest

from runner import ConfigError, Who


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
