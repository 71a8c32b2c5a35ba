"""Batches whose attempts work in workspaces of the project on their source."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess

import pytest
import trio

from runner.config import RunnerConfig, WorkspaceConfig
from runner.errors import ConfigError, WorkspaceBusy, WorkspaceNotFound
from runner.jobs.batch import run_plan
from runner.jobs.progress import AttemptEnded, Control, JobCut, TurnEnded
from runner.runtime import open_runner
from runner.workspaces.mounts import mount, mounted_in, unmount

ROWS = '[[data.rows]]\nname = "{}"\n'
HEAD = """\
name = "Fix it"
id = "{{ row.name }}"
[workspace]
copy = "src"
isolation = "workspace"
"""
CHANGES = """\
prompts = [
    "echo {{ id }} > a.txt; printf 'x\\\\0y' > blob; echo x > note.log; mkdir -p build/deep empty",
    "touch build/deep/y kept.log; mv lib/b.txt 'lib/ä c'; chmod +x run.sh; rm gone; ln -s a.txt to",
]
setup = ["echo setup > prepared", "echo more >> lib/b.txt"]
verify = ["echo v > verified; grep -q {{ id }} a.txt"]
"""


@pytest.fixture
def src(shop):
    shop.write({
        "src/a.txt": "one\n",
        "src/lib/b.txt": "two\n",
        "src/gone": "",
        "src/run.sh": "true\n",
        "src/kept.log": "known\n",
        "src/.gitignore": "*.log\n/build/\n",
    })  # fmt: skip
    return shop.root / "src"


def batch(*names, head=HEAD, **keys):
    keys.setdefault("prompt", '"echo {{ id }} > new"')
    if keys["prompt"] is None:
        del keys["prompt"]
    lines = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return lines + head + "".join(ROWS.format(name) for name in names or ("one",))


async def look(shop, work):
    """Carry something out on the project when the batch is over."""
    with trio.fail_after(30):
        async with open_runner(state=shop.root / "state") as runner:
            return await work(runner.project(shop.root / "src"))


async def records(shop):
    return await look(shop, lambda project: project.list())


async def names(shop):
    return [each.name for each in await records(shop)]


async def snapshots(shop):
    return await look(shop, lambda project: project.snapshots())


def mounts(shop):
    return mounted_in(str(shop.root))


# ---------------------------------------------------------------- what it comes to


async def test_a_batch_in_workspaces_has_the_results_of_one_in_directories(shop, src):
    found = {}
    for isolation in ("directory", "workspace"):
        shop.out = shop.root / isolation
        text = CHANGES + batch("one", prompt=None, keep='"never"')
        await shop.run(text, f"workspace.isolation='{isolation}'")
        result = shop.results()["one"]
        tree = shop.root / f"applied-{isolation}"
        shutil.copytree(src, tree)
        (tree / "lib/b.txt").write_text("two\nmore\n")
        subprocess.run(["git", "apply", shop.out / result["patch"]], cwd=tree, check=True)
        found[isolation] = (
            [result[key] for key in ("state", "verdict", "files", "patch", "workspace", "checks")],
            {
                str(each.relative_to(tree)): (each.stat().st_mode, each.read_bytes())
                for each in tree.rglob("*")
                if each.is_file()
            },
        )
        for check in result["checks"]:
            del check["duration"]

    assert found["directory"] == found["workspace"]
    assert "lib/ä c" in found["workspace"][1]
    assert "note.log" not in found["workspace"][1]
    assert (await names(shop), await snapshots(shop), mounts(shop)) == ([], [], [])


async def test_what_is_kept_is_a_workspace_that_its_result_names(shop, src):
    await shop.run(batch("good", "bad", verify='["test {{ id }} = good"]', keep='"changed"'))

    result = shop.results()["bad"]
    assert result["workspace_name"] == "Fix-it.bad.1"
    assert result["project"] == str(src)
    assert result["turns"][0]["snapshot"] == f"turn-1-{result['session_id']}"
    assert ["Fix-it.bad.1", "Fix-it.good.1"] == await names(shop)
    assert mounts(shop) == []

    async def work(project):
        ws = await project.get("Fix-it.bad.1")
        assert result["workspace"] == ws.path
        assert [str(each) for each in (await ws.status()).changes] == ["A new"]
        assert await ws.read("new") == "bad\n"
        rows = await ws.audit.logs()
        assert {(each.job, each.agent) for each in rows} == {("bad", "shell")}
        assert 2 == len([each for each in rows if each.session and each.operation == "snapshot"])
        await ws.commit("take it")

    await look(shop, work)
    assert (src / "new").read_text() == "bad\n"


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("always", ["bad.1", "bad.2", "good.1", "idle.1"]),
        ("changed", ["good.1"]),
        ("failed", ["bad.2"]),
        ("never", []),
    ],
)
async def test_workspaces_are_kept_by_rule_and_no_mount_stays(shop, src, keep, kept):
    prompt = "{% if id == 'bad' %}exit 1{% elif id == 'good' %}touch a{% else %}true{% endif %}"
    keys = {"prompt": json.dumps(prompt), "keep": f'"{keep}"', "retry": "{agent = 1}"}
    await shop.run(batch("good", "bad", "idle", **keys))

    assert [f"Fix-it.{each}" for each in kept] == await names(shop)
    ids = {each.id for each in await records(shop)}
    assert ids == {each.workspace for each in await snapshots(shop)}
    assert mounts(shop) == []


async def test_many_attempts_have_no_more_mounts_than_run_at_a_time(shop, src):
    most = []

    def see(told):
        if isinstance(told, TurnEnded):
            most.append(len(mounts(shop)))

    every = [f"j{number}" for number in range(20)]
    keys = {"keep": '"always"', "limits": "{concurrency = 10}"}
    report = await shop.run(batch(*every, **keys), observer=see)

    assert report.counts == {"ok": 20}
    assert max(most) <= 11  # one is let go while the next is made
    assert mounts(shop) == []
    assert len(await names(shop)) == 20


async def test_another_attempt_may_begin_while_the_one_before_is_taken_away(shop, src):
    every = [f"j{number}" for number in range(12)]
    keys = {"retry": "{agent = 2}", "limits": "{concurrency = 6}", "keep": '"never"'}
    prompt = '"test {{ attempt }} = 3"'
    report = await shop.run(batch(*every, prompt=prompt, **keys))

    assert report.counts == {"ok": 12}
    assert await names(shop) == []


async def test_two_batches_of_one_name_have_workspaces_of_their_own_at_once(shop, src):
    every = [f"j{number}" for number in range(5)]
    async with trio.open_nursery() as nursery:
        for out in ("one", "two"):
            plan = shop.plan(batch(*every, keep='"always"'))

            async def run(plan=plan, out=shop.root / out):
                async with open_runner(state=shop.root / "state") as runner:
                    await run_plan(plan, runner, out)

            nursery.start_soon(run)

    found = set()
    for out in ("one", "two"):
        shop.out = shop.root / out
        found |= {each["workspace_name"] for each in shop.results().values()}
    assert len(found) == 10
    assert sorted(found) == await names(shop)
    assert {f"Fix-it.{each}.1" for each in every} < found


async def test_a_git_ref_is_what_a_workspace_begins_with_and_stays_so(shop, src):
    def git(*args):
        subprocess.run(["git", "-C", src, *args], check=True, capture_output=True)

    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git("init", "-qb", "main")
    git("add", "-fA")
    git(*identity, "commit", "-qm", "first")
    head = HEAD.replace('copy = "src"', 'repo = "src"\nref = "main"')
    text = batch(
        "a", "b", head=head, prompt='"grep one a.txt; echo {{ id }} >> a.txt"', keep='"always"'
    )
    await shop.run(text, select='id == "a"')
    (src / "a.txt").write_text("three\n")
    git(*identity, "commit", "-qam", "second")
    report = await shop.run(text)

    assert report.counts == {"ok": 2}
    assert "+b" in (shop.out / shop.results()["b"]["patch"]).read_text()
    kept = await records(shop)
    assert {each.base.kind for each in kept} == {"git"}

    async def work(project):
        ws = await project.get("Fix-it.b.1")
        assert await ws.exists(".git") is False
        return await ws.commit("from b", branch="from-b", author="a <a@example.org>")

    for key in ("name", "email"):
        git("config", f"user.{key}", "a@example.org")
    assert (await look(shop, work)).branch == "from-b"


async def test_a_patch_that_cannot_be_made_is_said_and_the_workspace_stays(shop, src):
    async def spoil(project):
        @project.hooks.before_snapshot
        def refuse(workspace, name):
            return name.startswith("turn-0")

    plan = shop.plan(batch("one", keep='"never"'))
    async with open_runner(state=shop.root / "state") as runner:
        await spoil(runner.project(src))
        report = await run_plan(plan, runner, shop.out)

    result = shop.results()["one"]
    assert report.counts == {"ok": 1}
    assert result["patch"] is None
    assert result["patch_error"].startswith("WorkspaceError: there is no snapshot of the last turn")
    assert [result["workspace_name"]] == await names(shop)


async def test_isolated_programs_work_in_workspaces_too(shop, src, bwrap):
    keys = {
        "setup": '["echo {{ id }} > prepared"]',
        "verify": '["test -s new && ! touch /usr/no"]',
        "isolation": '{mode = "bwrap", required = true}',
        "keep": '"always"',
    }
    report = await shop.run(batch("one", **keys))

    result = shop.results()["one"]
    assert report.counts == {"ok": 1}, result
    assert result["isolation"]["mode"] == "bwrap"
    assert "prepared" not in (shop.out / result["patch"]).read_text()


async def test_a_workspace_that_cannot_be_made_is_infra_and_nothing_is_kept(shop, src):
    refused = []
    plan = shop.plan(batch("a", "b", keep='"failed"', retry="{infra = 1, backoff = 0}"))
    async with open_runner(state=shop.root / "state") as runner:

        @runner.project(src).hooks.before_workspace_create
        def refuse(name):
            refused.append(name)
            return "a" not in name.split(".")

        report = await run_plan(plan, runner, shop.out)

    result = shop.results()["a"]
    assert report.counts == {"ok": 1, "infra": 1}
    assert (result["error"], result["attempts"], result["workspace"]) == ("workspace", 2, None)
    assert sorted(refused) == ["Fix-it.a.1", "Fix-it.a.2", "Fix-it.b.1"]
    assert (await names(shop), mounts(shop)) == ([], [])


@pytest.fixture
def bwrap():
    if shutil.which("bwrap") is None:
        pytest.skip("needs bwrap: apt-get install bubblewrap")


# ---------------------------------------------------------------- what cuts it


async def test_a_cut_attempt_leaves_no_workspace_and_the_batch_goes_on(shop, src):
    control = Control()

    def see(told):
        if isinstance(told, TurnEnded):
            control.interrupt()

    text = batch("a", "b", prompt=None, prompts='["touch x", "test -e gate || sleep 60"]')
    report = await shop.run(text, "limits.concurrency=1", control=control, observer=see)

    assert report.counts == {"cancelled": 1, "queued": 1}
    assert shop.told_of(JobCut)
    assert (await names(shop), await snapshots(shop), mounts(shop)) == ([], [], [])
    (src / "gate").touch()
    assert (await shop.run(text)).counts == {"ok": 2}


async def test_a_cancelled_batch_leaves_none_when_it_goes_on(shop, src):
    text = batch("a", "b", prompt='"touch x; test -e gate || sleep 60"', keep='"always"')
    async with trio.open_nursery() as nursery:
        nursery.start_soon(shop.run, text)
        with trio.fail_after(30):
            while len(list_trees(shop)) < 2:
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()

    (src / "gate").touch()
    assert (await shop.run(text)).counts == {"ok": 2}
    assert await names(shop) == ["Fix-it.a.1", "Fix-it.b.1"]


def list_trees(shop):
    """The live trees in which an attempt is at work."""
    return list((shop.root / "state").glob("projects/*/workspaces/*/*/x"))


async def test_a_workspace_that_somebody_uses_is_in_nobodys_way(shop, src):
    control = Control()
    text = batch("a", prompt='"touch x; test {{ attempt }} = 2"', retry="{agent = 1}")
    held = trio.Event()

    async def hold(task_status):
        async with open_runner(state=shop.root / "state") as runner:
            await runner.project(src).create("Fix-it.a.1")
            task_status.started()
            await held.wait()

    async with trio.open_nursery() as nursery:
        await nursery.start(hold)
        report = await shop.run(text, control=control)
        held.set()

    assert report.counts == {"ok": 1}
    assert await names(shop) == ["Fix-it.a.1"]  # that is another's


async def test_what_is_dropped_is_nobody_elses_and_goes_also_without_its_base(shop, src):
    async with open_runner(state=shop.root / "state") as one:
        ws = await one.project(src).create("mine")
        await ws.snapshots.create("of-mine")
        async with open_runner(state=shop.root / "state") as other:
            with pytest.raises(WorkspaceBusy):
                await other.project(src).drop(ws.record)
            assert [each.name for each in await ws.snapshots.list()] == ["of-mine"]
        await one.project(src).put_away(ws.record)
    src.rename(shop.root / "moved")
    async with open_runner(state=shop.root / "state") as runner:
        project = runner.project(src)
        await project.drop(ws.record)
        assert (await project.list(), await project.snapshots()) == ([], [])
        with pytest.raises(WorkspaceNotFound):
            await project.drop(ws.record)


# ---------------------------------------------------------------- what cannot be


def problem(shop, text, **options):
    with pytest.raises(ConfigError) as caught:
        shop.plan(text, **options)
    return [str(each).replace(f"{shop.root}/", "") for each in caught.value.problems]


def test_what_no_workspaces_can_be_made_of_is_said_with_its_line(shop, src):
    def source(words):
        return batch(head=HEAD.replace('copy = "src"', words))

    where = "b.toml:4: workspace"
    assert problem(shop, source("empty = true")) == [
        f'{where}: isolation = "workspace" needs copy or repo: what workspaces are of'
    ]
    assert problem(shop, source('in_place = "src"'))[0].startswith(f"{where}: isolation = ")
    assert problem(shop, source('copy = "none"')) == [
        "b.toml:5: workspace.copy: there is no directory 'none'"
    ]
    assert problem(shop, source('repo = "https://example.org/a.git"')) == [
        "b.toml:5: workspace.repo: a workspace is of a repository on this machine, not of a URL:"
        ' clone it first, or leave isolation = "workspace" away'
    ]
    assert problem(shop, batch(), output=src / "out")[0].startswith(
        "b.toml:5: workspace.copy: the output directory 'src/out' would lie in what"
    )
    assert problem(shop, batch(), projects=src / "state")[0].startswith(
        "b.toml:5: workspace.copy: workspaces would be kept in what they are made of, in 'src/"
    )
    assert problem(shop, batch(isolation='"workspace"'))[0].endswith(
        "isolation: must be a table, not 'workspace'; how the files of attempts are kept apart is"
        " said by workspace.isolation"
    )


async def test_what_only_the_machine_knows_is_said_before_anything_is_made(shop, src):
    text = batch()
    config = RunnerConfig(workspace=WorkspaceConfig(way="reflink"))
    plan = shop.plan(text)
    async with open_runner(config, state=shop.root / "state") as runner:
        with pytest.raises(ConfigError, match=r"b.toml:5: workspace\.copy: .* reflink"):
            await run_plan(plan, runner, shop.out)
    async with open_runner(state=src / "state") as runner:
        with pytest.raises(ConfigError, match=r"b.toml:5: workspace\.copy: .* inside itself"):
            await run_plan(plan, runner, shop.out)
    [store] = (shop.root / "state/projects").glob("*/store.db")
    store.write_bytes(b"no database" * 1000)
    async with open_runner(state=shop.root / "state") as runner:
        with pytest.raises(ConfigError, match=r"b.toml:5: workspace\.copy: .*store\.db"):
            await run_plan(plan, runner, shop.out)
    assert not shop.out.exists()
    shutil.rmtree(store.parent)
    (shop.root / "gone").mkdir()
    src.rename(shop.root / "gone/src")
    async with open_runner(state=shop.root / "state") as runner:
        with pytest.raises(ConfigError, match="there is no such directory"):
            await run_plan(plan, runner, shop.out)


async def test_a_full_disk_is_said_before_anything_is_made_and_ends_no_batch_later(shop, src):
    place = shop.root / "small"
    place.mkdir()
    mount("runner-test", str(place), "tmpfs", "size=3m")
    try:
        config = RunnerConfig(workspace=WorkspaceConfig(place=str(place)))
        async with open_runner(config, state=shop.root / "state") as runner:
            await runner.project(src).list()  # there is a store already
            (place / "filler").write_bytes(b"")
            fill(place / "filler")
            with pytest.raises(ConfigError, match=r"b.toml:5: workspace\.copy: .*No space left"):
                await run_plan(shop.plan(batch()), runner, shop.out)
            assert not shop.out.exists()
            (place / "filler").unlink()

            def see(told):
                if isinstance(told, TurnEnded) and told.id == "a":
                    fill(place / "filler")
                elif isinstance(told, AttemptEnded):
                    (place / "filler").unlink(missing_ok=True)

            retry = "{infra = 9, agent = 9, backoff = 0.1, max_backoff = 0.1}"
            keys = {"limits": "{concurrency = 1}", "retry": retry, "keep": '"never"'}
            plan = shop.plan(batch("a", "b", "c", **keys))
            report = await run_plan(plan, runner, shop.out, observer=see)
            again = await run_plan(plan, runner, shop.out)
            left = {each.name for each in await runner.project(src).list()}
    finally:
        unmount(str(place))

    results = shop.results().values()
    assert (report.counts, again.finished) == ({"ok": 3}, 0)
    assert any(set(each["attempt_states"]) - {"ok"} for each in results) or left
    # Also what could not be removed then is gone, but for what there could be no patch of.
    assert left == {each["workspace_name"] for each in results if each["patch_error"]}


def fill(path):
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


async def test_a_name_of_any_length_is_one_that_a_workspace_can_have(shop, src):
    name, job = "é/ " + "n" * 300, "j" * 117
    text = batch(job, keep='"always"').replace('"Fix it"', json.dumps(name))
    await shop.run(text)

    [found] = await names(shop)
    assert found.startswith("e-nnn")
    assert found.endswith(".1")
    assert len(found) <= 128
    assert (await records(shop))[0].tags[:2] == (f"batch={name}", f"job={job}")


async def test_an_output_directory_of_before_stays_the_same_batch(shop, src):
    head = HEAD.replace('isolation = "workspace"\n', "")
    await shop.run(batch("a", head=head))
    report = await shop.run(batch("a", head=head + 'isolation = "directory"\n'))

    assert report.finished == 0
    with pytest.raises(ConfigError, match="its workspace differs"):
        shop.plan(batch("a"), output=shop.out)
    with pytest.raises(WorkspaceNotFound):
        await look(shop, lambda project: project.get("Fix-it.a.1"))
    assert os.path.isdir(shop.out)
