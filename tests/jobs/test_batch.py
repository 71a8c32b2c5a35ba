from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess

import pytest
import trio

from runner.agents.events import Text
from runner.config import RunnerConfig
from runner.errors import ConfigError, LedgerError
from runner.jobs import batch as batch_module
from runner.jobs.batch import run_plan
from runner.jobs.progress import (
    AgentSaid,
    AttemptEnded,
    BatchDone,
    BatchStarted,
    Control,
    JobCut,
    JobFinished,
    JobStarted,
    PhaseChanged,
    TurnEnded,
)
from runner.runtime import open_runner

needs_git = pytest.mark.skipif(
    shutil.which("git") is None, reason="needs git: install it from your distribution"
)


class ObserverFailed(Exception):
    """What an observer of these tests raises."""


def rows(*names):
    return "".join(f'[[data.rows]]\nname = "{name}"\n' for name in names)


def batch(prompt, *names, **keys):
    lines = [f"{key} = {value}" for key, value in keys.items()]
    head = ['name = "b"', f"prompt = {json.dumps(prompt)}", 'id = "{{ row.name }}"', *lines]
    return "\n".join(head) + "\n" + rows(*(names or ["one"]))


# ---------------------------------------------------------------- states


async def test_a_job_that_is_verified_is_ok(shop):
    report = await shop.run(
        batch("echo hi > a; echo done {{ id }}", verify='["grep -q hi a"]', setup='["touch s"]')
    )

    assert report.counts == {"ok": 1}
    assert report.exit_code == 0
    assert report.is_complete
    result = shop.results()["one"]
    assert result["schema"] == "runner.result/1"
    assert (result["state"], result["verdict"]) == ("ok", "verified")
    assert result["final_message"] == "done one"
    assert result["files"] == {"created": ["a"], "modified": [], "deleted": [], "renamed": []}
    assert result["checks"][0]["exit_code"] == 0
    assert (shop.out / result["patch"]).read_text().endswith("+hi\n")
    assert result["durations"].keys() >= {"workspace", "setup", "turns", "patch", "verify", "total"}
    assert shop.work() == []
    summary = json.loads((shop.out / "summary.json").read_text())
    assert (summary["schema"], summary["counts"], summary["exit"]) == (
        "runner.summary/1",
        {"ok": 1},
        0,
    )


async def test_a_job_without_verify_commands_is_ok_with_no_verdict(shop):
    await shop.run(batch("true"))

    assert (shop.results()["one"]["state"], shop.results()["one"]["verdict"]) == ("ok", "none")


async def test_an_agent_that_fails_is_failed_and_not_verified(shop):
    report = await shop.run(batch("echo partly > a; exit 3", verify='["touch verified"]'))

    result = shop.results()["one"]
    assert (result["state"], result["verdict"], result["error"]) == ("failed", "none", "failed")
    assert (report.exit_code, report.counts) == (1, {"failed": 1})
    assert os.listdir(shop.out / result["workspace"]) == ["a"]
    assert "+partly" in (shop.out / result["patch"]).read_text()


async def test_a_verify_command_that_fails_is_unverified_and_ends_the_verification(shop):
    report = await shop.run(batch("true", verify='["echo why; exit 7", "touch not-reached"]'))

    result = shop.results()["one"]
    assert (result["state"], result["verdict"]) == ("unverified", "unverified")
    assert result["error_text"] == "echo why; exit 7: exit code 7"
    assert [check["output"] for check in result["checks"]] == ["why\n"]
    assert report.exit_code == 9


async def test_a_setup_command_that_fails_is_infra_and_tried_again(shop):
    keys = {"setup": '["exit 1"]', "retry": "{infra = 1, backoff = 0}"}
    report = await shop.run(batch("true", **keys))

    result = shop.results()["one"]
    assert (result["state"], result["error"], result["attempts"]) == ("infra", "setup", 2)
    assert result["turns"] == []
    assert report.exit_code == 8
    assert shop.told_of(AttemptEnded)[0].state == "infra"


async def test_a_flaky_job_is_ok_at_its_second_attempt_in_a_fresh_workspace(shop):
    prompt = "test -e left && exit 1; touch left; echo attempt {{ attempt }} > a"
    keys = {"verify": "[\"grep 'attempt 2' a\"]", "retry": "{verify = 1}"}
    report = await shop.run(batch(prompt, **keys))

    result = shop.results()["one"]
    assert (result["state"], result["attempts"]) == ("ok", 2)
    assert result["attempt_states"] == ["unverified", "ok"]
    assert report.counts == {"ok": 1}
    assert [line["attempt"] for line in shop.transcript("one")] == [1, 2]
    assert "+attempt 2" in (shop.out / "patches" / "one.patch").read_text()
    assert shop.work() == []


async def test_agent_failures_are_tried_again_when_asked_for(shop):
    await shop.run(batch("exit $(( {{ attempt }} < 3 ))", retry="{agent = 2}"))

    assert shop.results()["one"]["attempt_states"] == ["failed", "failed", "ok"]


async def test_a_patch_of_an_earlier_attempt_does_not_stay(shop):
    prompt = "{% if attempt == 1 %}touch a; exit 1{% else %}true{% endif %}"
    await shop.run(batch(prompt, retry="{agent = 1}"))

    assert shop.results()["one"]["patch"] is None
    assert os.listdir(shop.out / "patches") == []


async def test_several_prompts_are_turns_of_one_session(shop):
    text = 'name = "b"\nprompts = ["echo 1 > a; echo first", "mv a c; echo second", "exit 1", "x"]'
    await shop.run(text)

    result = shop.results()["b"]
    assert [turn["ok"] for turn in result["turns"]] == [True, True, False]
    assert result["files"]["created"] == ["c"]
    lines = shop.transcript("b")
    assert [line["turn"]["final_message"] for line in lines] == ["first", "second", ""]
    assert lines[1]["prompt"] == "mv a c; echo second"
    assert {line["turn"]["session_id"] for line in lines} == {result["session_id"]}
    connection = sqlite3.connect(shop.out / ".runner" / "ledger.db")
    [(session,)] = connection.execute("SELECT session FROM attempts").fetchall()
    connection.close()
    assert session == result["session_id"]


async def test_a_program_that_vanishes_is_failed_for_good(shop):
    program = shop.root / "agent"
    shop.write({"agent": "#!/bin/sh\ntrue\n"})
    program.chmod(0o755)
    agent = f'{{kind = "command", argv = ["{program}"]}}'
    plan = shop.plan(batch("hi", agent=agent, retry="{agent = 3}"))
    program.unlink()
    async with open_runner(state=shop.root / "state") as runner:
        report = await run_plan(plan, runner, shop.out)

    assert report.counts == {"failed": 1}
    assert (shop.results()["one"]["error"], shop.results()["one"]["attempts"]) == ("unavailable", 1)


@pytest.mark.parametrize(
    ("limits", "prompt", "error"),
    [
        ("{turn_timeout = 0.3}", "sleep 60", "timeout"),
        ("{job_timeout = 0.5}", "sleep 60", "job_timeout"),
        ("{command_timeout = 0.3}", "true", "verify"),
    ],
)
async def test_timeouts(shop, limits, prompt, error):
    verify = '["sleep 60"]' if error == "verify" else "[]"
    report = await shop.run(batch(prompt, limits=limits, verify=verify))

    assert shop.results()["one"]["error"] == error
    assert report.exit_code == (9 if error == "verify" else 3)
    assert report.duration < 20


async def test_an_agent_of_which_nothing_is_heard_is_trouble_that_is_not_its_own(shop):
    report = await shop.run(batch("sleep 60", limits="{silence = 0.2}", retry="{infra = 0}"))

    assert "stalled" == shop.results()["one"]["error"]
    assert {"infra": 1} == report.counts


async def test_files_that_are_ignored_are_in_no_result_and_in_no_patch_but_stay_there(shop):
    prompt = "mkdir -p build sub; touch a.log build/b sub/c.log sub/d; echo e > e"
    keys = {"workspace": '{empty = true, ignore = ["*.log", "build/"]}', "keep": '"always"'}
    await shop.run(batch(prompt, "one", verify='["test -f a.log -a -f build/b"]', **keys))

    result = shop.results()["one"]
    assert ("ok", ["e", "sub/d"]) == (result["state"], result["files"]["created"])
    assert "a.log" not in (shop.out / result["patch"]).read_text()


async def test_what_is_ignored_by_default_is_what_git_keeps_for_itself(shop):
    await shop.run(batch("mkdir .git sub; touch .git/a sub/b.log"))

    assert ["sub/b.log"] == shop.results()["one"]["files"]["created"]


async def test_a_workspace_that_is_not_to_be_watched_has_the_same_results(shop):
    keys = {"workspace": "{empty = true, watch = false}"}
    await shop.run(batch("touch a", "one", "two", **keys))

    assert [["a"], ["a"]] == [each["files"]["created"] for each in shop.results().values()]


async def test_whether_it_is_watched_makes_no_other_batch_of_it(shop):
    await shop.run(batch("touch a", workspace="{empty = true}"))
    report = await shop.run(batch("touch a", workspace="{empty = true, watch = false}"))

    assert {"ok": 1} == report.counts


async def test_an_error_of_ours_in_one_job_does_not_end_the_others(shop):
    prompt = "{% if row.name == 'bad' %}rm -rf ../bad.1{% endif %} true"
    report = await shop.run(
        batch(prompt, "bad", "good", verify='["true"]', retry="{infra = 0}", keep='"never"')
    )

    assert shop.results()["good"]["state"] == "ok"
    assert sum(report.counts.values()) == 2


# ---------------------------------------------------------------- workspaces


async def test_a_copy_keeps_links_modes_and_times_and_leaves_the_source_alone(shop):
    shop.write({"src/run.sh": "#!/bin/sh\necho old\n", "src/sub/data": b"\0\xff"})
    (shop.root / "src" / "run.sh").chmod(0o755)
    os.symlink("run.sh", shop.root / "src" / "link")
    os.symlink("/nowhere", shop.root / "src" / "dangling")
    os.mkfifo(shop.root / "src" / "pipe")
    prompt = "./link && test -x run.sh && test -L dangling && ! test -e pipe && echo new > sub/data"
    await shop.run(batch(prompt, workspace='{copy = "src"}', keep='"always"'))

    result = shop.results()["one"]
    assert result["state"] == "ok"
    assert result["files"]["modified"] == ["sub/data"]
    assert (shop.root / "src" / "sub" / "data").read_bytes() == b"\0\xff"
    made = (shop.out / result["workspace"] / "run.sh").stat()
    assert made.st_mtime == (shop.root / "src" / "run.sh").stat().st_mtime


async def test_an_output_directory_inside_the_copied_one_is_not_copied(shop):
    await shop.run(batch("test -e b.toml && ! test -e out", workspace='{copy = "."}'))

    assert shop.results()["one"]["state"] == "ok"


async def test_jobs_in_place_share_the_directory_and_have_no_patch(shop):
    shop.write({"src/count": ""})
    prompt = "echo {{ row.name }} >> count"
    keys = {"workspace": '{in_place = "src"}', "verify": '["test -s count"]'}
    await shop.run(batch(prompt, "a", "b", **keys))

    assert sorted((shop.root / "src" / "count").read_text().split()) == ["a", "b"]
    assert [each["patch"] for each in shop.results().values()] == [None, None]
    assert [each["workspace"] for each in shop.results().values()] == [None, None]
    assert not (shop.out / "patches").exists()


@pytest.fixture
def repository(shop):
    if shutil.which("git") is None:
        pytest.skip("needs git: install it from your distribution")

    def git(*args):
        env = {"GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"]}
        identity = ["-c", "user.name=n", "-c", "user.email=e@e"]
        argv = ["git", "-C", shop.root / "repo", *identity, *args]
        return subprocess.run(argv, env=env, check=True, capture_output=True, text=True).stdout

    (shop.root / "repo").mkdir()
    git("init", "-q", "-b", "main")
    shop.write({"repo/a.txt": "one\n", "repo/.gitignore": "*.log\n"})
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "-a", "v1", "-m", "v1")
    shop.write({"repo/a.txt": "two\n"})
    git("commit", "-qam", "second")
    return git


@pytest.mark.parametrize(
    ("ref", "content"), [("HEAD", "two"), ("v1", "one"), ("main", "two"), ("HEAD~1", "one")]
)
async def test_a_repository_is_checked_out_at_its_ref(shop, repository, ref, content):
    prompt = (
        f'grep {content} a.txt && git status --porcelain && test -z "$(git status --porcelain)" '
        '&& test -z "$(git remote)" && echo three > a.txt && touch x.log'
    )
    keys = {"workspace": f'{{repo = "repo", ref = "{ref}"}}'}
    await shop.run(batch(prompt, "a", "b", **keys))

    for result in shop.results().values():
        assert result["state"] == "ok"
        patch = (shop.out / result["patch"]).read_text()
        assert f"-{content}\n+three" in patch
        assert "x.log" not in patch
    assert repository("status", "--porcelain") == ""


async def test_a_repository_by_url(shop, repository):
    url = f"file://{shop.root}/repo"
    keys = {"workspace": f'{{repo = "{url}", ref = "v1"}}'}
    await shop.run(batch("grep one a.txt", **keys))
    assert shop.results()["one"]["state"] == "ok"

    commit = repository("rev-parse", "HEAD").strip()
    shutil.rmtree(shop.out)
    await shop.run(batch("grep two a.txt", workspace=f'{{repo = "{url}", ref = "{commit}"}}'))
    assert shop.results()["one"]["state"] == "ok"


@pytest.mark.parametrize("prefix", ["", "file://{root}/"])
async def test_a_ref_that_is_not_there_is_one_message_and_nothing_is_created(
    shop, repository, prefix
):
    repo = prefix.format(root=shop.root) + "repo"
    with pytest.raises(ConfigError, match=r"workspace\.ref: git finds no 'nope' in"):
        await shop.run(batch("true", workspace=f'{{repo = "{repo}", ref = "nope"}}'))

    assert not shop.out.exists()


async def test_a_resumed_batch_stays_at_the_commit_it_began_at(shop, repository):
    keys = {"workspace": '{repo = "repo"}'}
    text = batch("grep two a.txt", "a", "b", **keys)
    await shop.run(text, select='id == "a"')
    shop.write({"repo/a.txt": "three\n"})
    repository("commit", "-qam", "third")
    report = await shop.run(text)

    assert report.counts == {"ok": 2}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("always", ["bad", "good", "idle"]),
        ("changed", ["good"]),
        ("failed", ["bad"]),
        ("never", []),
    ],
)
async def test_workspaces_are_kept_by_rule(shop, keep, kept):
    prompt = "{% if row.name == 'bad' %}exit 1{% elif row.name == 'good' %}touch a{% else %}true{% endif %}"
    await shop.run(batch(prompt, "good", "bad", "idle", keep=f'"{keep}"'))

    assert shop.work() == [f"{job}.1" for job in kept]
    found = {job: result["workspace"] for job, result in shop.results().items()}
    assert found == {
        job: f"work/{job}.1" if job in kept else None for job in ("good", "bad", "idle")
    }


async def test_a_directory_that_nobody_may_write_is_removed_too(shop):
    await shop.run(batch("mkdir -p a/b; touch a/b/c; chmod 500 a/b a"))

    assert shop.work() == []


async def test_many_small_jobs_reuse_their_empty_workspaces(shop):
    names = [f"j{n}" for n in range(40)]
    prompt = 'test -z "$(ls -A)" || exit 1; {% if index % 7 == 0 %}touch x; chmod 700 .{% endif %}'
    report = await shop.run(batch(prompt, *names))

    assert report.counts == {"ok": 40}
    assert shop.work() == []
    left = [name for name in os.listdir(shop.out / ".runner") if name.startswith("spare")]
    assert left == []


async def test_env_reaches_setup_agent_and_verify(shop):
    check = 'test "$COLOUR" = green'
    keys = {
        "setup": json.dumps([check]), "verify": json.dumps([check]), "env": '{COLOUR = "green"}',
    }  # fmt: skip
    await shop.run(batch(check, **keys))

    assert shop.results()["one"]["state"] == "ok"


# ---------------------------------------------------------------- order, progress, resuming


async def test_what_is_told_is_in_order_and_durable(shop):
    def check(told):
        if isinstance(told, JobFinished):
            connection = sqlite3.connect(shop.out / ".runner" / "ledger.db")
            sql = "SELECT state FROM jobs WHERE id = ?"
            assert connection.execute(sql, (told.id,)).fetchone() == (told.state,)
            connection.close()

    await shop.run(batch("true", setup='["true"]', verify='["true"]'), observer=check)

    kinds = [type(each) for each in shop.told]
    assert kinds == [
        BatchStarted,
        JobStarted,
        PhaseChanged,
        PhaseChanged,
        PhaseChanged,
        TurnEnded,
        PhaseChanged,
        JobFinished,
        BatchDone,
    ]
    phases = [each.phase for each in shop.told_of(PhaseChanged)]
    assert phases == ["workspace", "setup", "turns", "verify"]
    assert shop.told[-1].report.finished == 1


async def test_agents_events_are_told_to_those_who_ask(shop):
    await shop.run(batch("echo hello; sleep 0.1"), follow=True)

    assert any(isinstance(each.event, Text) for each in shop.told_of(AgentSaid))


async def test_results_are_in_the_order_of_the_jobs(shop):
    names = ["slow", "a", "b", "c"]
    prompt = "{% if row.name == 'slow' %}sleep 0.5{% endif %}"
    await shop.run(batch("true; " + prompt, *names, limits="{concurrency = 4}"))

    assert list(shop.results()) == names
    assert shop.told_of(JobFinished)[-1].id == "slow"


async def test_no_more_jobs_run_than_the_limit_allows(shop):
    names = [f"j{n}" for n in range(6)]
    await shop.run(batch("sleep 0.05", *names, limits="{concurrency = 2}"))

    running = most = 0
    for told in shop.told:
        running += isinstance(told, JobStarted) - isinstance(told, JobFinished)
        most = max(most, running)
    starts = [each.id for each in shop.told_of(JobStarted)]
    assert starts == names
    assert most <= 4  # two run, and two are about to be durable


async def test_the_same_command_again_finishes_nothing_twice(shop):
    text = batch("echo x >> ../../../ran", "a", "b")
    first = await shop.run(text)
    before = (shop.out / "results.jsonl").read_text()
    second = await shop.run(text)

    assert (first.finished, second.finished) == (2, 0)
    assert second.counts == {"ok": 2}
    assert (shop.root / "ran").read_text() == "x\nx\n"
    assert (shop.out / "results.jsonl").read_text() == before
    assert shop.told_of(BatchStarted)[1].finished == 2


async def test_a_selection_is_a_part_of_the_same_batch(shop):
    text = batch("true", "a", "b", "c")
    first = await shop.run(text, select='id == "b"')
    assert (first.counts, first.jobs) == ({"ok": 1}, 1)
    assert list(shop.results()) == ["b"]

    second = await shop.run(text)
    assert (second.counts, second.finished) == ({"ok": 3}, 2)


async def test_another_batch_in_the_same_directory_is_refused(shop):
    await shop.run(batch("true"))
    with pytest.raises(ConfigError, match="it belongs to another batch: its templates differ"):
        await shop.run(batch("false"))


async def test_an_output_directory_that_cannot_be_made_is_one_message(shop):
    shop.out = "/proc/nothing/out"
    with pytest.raises(ConfigError, match="it cannot be made: "):
        await shop.run(batch("true"))


async def test_two_runs_at_once_are_refused(shop):
    async with trio.open_nursery() as nursery:
        began = trio.Event()

        def see(told):
            if isinstance(told, JobStarted):
                began.set()

        async def run():
            await shop.run(batch("while ! test -e ../../../go; do sleep 0.02; done"), observer=see)

        nursery.start_soon(run)
        await began.wait()
        with pytest.raises(LedgerError, match="is at work in"):
            await shop.run(batch("while ! test -e ../../../go; do sleep 0.02; done"))
        (shop.root / "go").touch()


async def test_few_attempts_are_claimed_ahead_of_jobs_that_take_their_time(shop):
    claimed = []

    def tell(told):
        if isinstance(told, JobFinished):
            with contextlib.closing(sqlite3.connect(shop.out / ".runner" / "ledger.db")) as ledger:
                claimed.extend(ledger.execute("SELECT count(*) FROM attempts").fetchone())

    names = [f"j{n:02}" for n in range(20)]
    await shop.run(batch("sleep 0.1", *names, limits="{concurrency = 2}"), observer=tell)

    assert claimed[0] <= 8
    assert claimed[-1] == 20


async def test_results_are_refreshed_while_the_batch_runs(shop, monkeypatch):
    monkeypatch.setattr(batch_module, "REFRESH", 0.01)
    waits = "{% if row.name == 'last' %}while ! test -e ../../../go; do sleep 0.02; done{% endif %}"
    async with trio.open_nursery() as nursery:

        async def run():
            await shop.run(batch("true; " + waits, "a", "last"))

        nursery.start_soon(run)
        with trio.fail_after(20):
            while not (shop.out / "results.jsonl").exists() or not shop.results():
                await trio.sleep(0.01)
        assert list(shop.results()) == ["a"]
        (shop.root / "go").touch()


# ---------------------------------------------------------------- ending early

WAITS = "touch ../../../began-{{ row.name }}; while ! test -e ../../../go; do sleep 0.02; done"


async def started(shop, count):
    with trio.fail_after(20):
        while len([name for name in os.listdir(shop.root) if name.startswith("began")]) < count:
            await trio.sleep(0.01)


async def ended_early(shop, verb, **keys):
    """Run three jobs two at a time, and end the batch by a verb when two run."""
    control = Control()
    reports = []

    async def run():
        text = batch(WAITS, "a", "b", "c", limits="{concurrency = 2}", **keys)
        reports.append(await shop.run(text, control=control))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await started(shop, 2)
        getattr(control, verb)()
        if verb == "drain":
            await trio.sleep(0.05)
            assert not reports
            (shop.root / "go").touch()
    return reports[0]


async def finish(shop):
    (shop.root / "go").touch()
    return await shop.run(batch(WAITS, "a", "b", "c", limits="{concurrency = 2}"))


async def test_drain_lets_what_runs_come_to_its_end(shop):
    report = await ended_early(shop, "drain")

    assert report.counts == {"ok": 2, "queued": 1}
    assert report.exit_code == 130
    assert not report.is_complete
    assert (await finish(shop)).counts == {"ok": 3}


@pytest.mark.parametrize("verb", ["interrupt", "kill"])
async def test_interrupt_and_kill_put_jobs_back(shop, verb):
    report = await ended_early(shop, verb)

    assert report.counts == {"cancelled": 2, "queued": 1}
    assert report.exit_code == 130
    assert {each.id for each in shop.told_of(JobCut)} == {"a", "b"}
    assert shop.results() == {}
    assert shop.work() == []
    again = await finish(shop)
    assert again.counts == {"ok": 3}
    assert {result["attempts"] for result in shop.results().values()} == {1}


@pytest.mark.parametrize("verb", ["interrupt", "kill"])
@pytest.mark.parametrize("phase", ["setup", "verify"])
async def test_commands_are_ended_by_an_interrupt(shop, phase, verb):
    control = Control()
    command = "touch ../../../began-x; sleep 60"

    async def run():
        report = await shop.run(batch("true", **{phase: json.dumps([command])}), control=control)
        assert report.counts == {"cancelled": 1}

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            await started(shop, 1)
            getattr(control, verb)()


async def test_an_interrupt_between_two_turns(shop):
    control = Control()

    def see(told):
        if isinstance(told, TurnEnded):
            control.interrupt()

    text = 'name = "b"\nprompts = ["true", "sleep 60"]'
    report = await shop.run(text, control=control, observer=see)

    assert report.counts == {"cancelled": 1}


async def test_a_verb_is_never_taken_back_by_a_weaker_one():
    control = Control()
    calls = []
    control.listen(lambda: calls.append(1))
    control.kill()
    control.drain()
    control.interrupt()

    assert (control.is_draining, control.is_interrupting, control.is_killing) == (True, True, True)
    assert calls == [1]


async def test_a_cancelled_caller_leaves_a_ledger_that_goes_on(shop):
    with trio.CancelScope() as cancel_scope:
        async with trio.open_nursery() as nursery:

            async def run():
                await shop.run(batch(WAITS, "a", "b", "c", limits="{concurrency = 2}"))

            nursery.start_soon(run)
            await started(shop, 2)
            cancel_scope.cancel()

    assert shop.results() == {}
    connection = sqlite3.connect(shop.out / ".runner" / "ledger.db")
    assert connection.execute("SELECT state FROM jobs").fetchall() == [("queued",)] * 3
    connection.close()
    assert (await finish(shop)).counts == {"ok": 3}


async def test_leaving_the_runner_cuts_what_runs(shop):
    plan = shop.plan(batch(WAITS, "a", "b", "c", limits="{concurrency = 2}"))
    reports = []

    async def run(runner):
        reports.append(await run_plan(plan, runner, shop.out))

    config = RunnerConfig(grace=0.2)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with open_runner(config, state=shop.root / "state") as runner:
                nursery.start_soon(run, runner)
                await started(shop, 2)

    assert sum(reports[0].counts.values()) == 3
    assert "ok" not in reports[0].counts
    assert (await finish(shop)).counts == {"ok": 3}


async def test_an_observer_that_fails_ends_the_batch_with_its_error(shop):
    def fail(told):
        if isinstance(told, PhaseChanged):
            raise ObserverFailed("observer")

    with pytest.raises(ObserverFailed):
        await shop.run(batch("true", "a", "b"), observer=fail)
    assert (await shop.run(batch("true", "a", "b"))).counts == {"ok": 2}


async def test_a_ledger_that_cannot_be_written_ends_the_batch_with_its_error(shop):
    def spoil(told):
        if isinstance(told, JobStarted):
            connection = sqlite3.connect(shop.out / ".runner" / "ledger.db")
            connection.execute("DROP TABLE IF EXISTS turns")
            connection.close()

    with pytest.raises(LedgerError, match="cannot be written: no such table: turns"):
        await shop.run(batch("true", "a", "b"), observer=spoil)


async def test_what_a_killed_run_could_not_remove_is_removed_by_the_next(shop):
    await shop.run(batch("touch x", "a", "b"), select='id == "a"')
    shop.write({"out/work/a.1/left": "", "out/work/b.1/left": "", "out/work/b.1.part/left": ""})
    report = await shop.run(batch("touch x", "a", "b"))

    assert report.counts == {"ok": 2}
    assert shop.work() == []


async def test_an_earlier_attempt_stays_where_all_are_kept(shop):
    keys = {"retry": "{agent = 1}", "keep": '"always"'}
    prompt = "touch {{ attempt }}; {% if attempt == 1 %}exit 1{% endif %}"
    control = Control()
    await shop.run(batch(prompt, **keys), control=control, observer=_draining_after_one(control))
    assert shop.work() == ["one.1"]
    report = await shop.run(batch(prompt, **keys))

    assert report.counts == {"ok": 1}
    assert shop.work() == ["one.1", "one.2"]


def _draining_after_one(control):
    def see(told):
        if isinstance(told, AttemptEnded):
            control.drain()

    return see


async def test_names_that_are_no_utf8_reach_results_and_patches(shop):
    await shop.run(batch("printf x > \"$(printf 'a\\377')\""))

    assert shop.results()["one"]["files"]["created"] == ["a\\udcff"]
    assert b'b/"a\\377"' in (shop.out / "patches" / "one.patch").read_bytes().replace(
        b'"b/a', b'b/"a'
    )
