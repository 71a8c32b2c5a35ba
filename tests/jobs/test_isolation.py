"""Jobs that are held in their workspaces."""

from __future__ import annotations

import json
import os
import subprocess

import attrs
import pytest

import runner
from runner.errors import ConfigError
from runner.holding import Holding, HoldingLimits
from runner.jobs.prepare import prepare
from runner.jobs.progress import BatchStarted
from runner.jobs.spec import Batch
from runner.messages import Isolation
from runner.messages import Limits as UsedUp
from runner.processes.isolation import choosing
from runner.processes.isolation.probe import Probe

PLAIN = 'name = "held"\nprompt = "true"\n'
HEAD = """
name = "held"
prompt = "{{ row.script }}"
id = "{{ row.id }}"
"""
HELD = """
[isolation]
mode = "MODE"
required = true
"""


@pytest.fixture
def walled(shop):
    """Where jobs work beside what is nobody's business."""
    shop.write({"secret": "nobody's business"})
    return shop


@pytest.fixture
def ordinary(walled, as_ordinary):
    """The same, and a directory `place` of an ordinary user, whose all programs are."""
    with as_ordinary() as uid:
        (walled.root / "place").mkdir()
        for path in (walled.root, walled.root / "place", walled.root / "secret"):
            os.chown(path, uid, uid)
        for path in (walled.root, *walled.root.parents[:-2]):
            path.chmod(path.stat().st_mode | 0o011)
        yield walled


async def run(shop, text, mode, **options):
    try:
        return await shop.run(text + HELD.replace("MODE", mode), **options)
    except ConfigError as error:
        if "cannot be had here" in str(error):
            pytest.skip(str(error))
        raise


ROW = """
[data]
rows = [{{ id = "one", script = '''{}''' }}]
"""


def wandering(shop):
    """What a job tries that is not to stay in its workspace, and what its verify commands do."""
    out = f"{shop.root}/secret"
    script = f"cat {out}; echo x > {out}; echo x > ../beside; echo mine > made"
    verify = f"verify = ['test -s made', '! cat {out}', 'touch {shop.root}/by-verify; true']\n"
    return verify + ROW.format(script)


def require_held(shop, report, mode):
    result = shop.results()["one"]
    assert report.counts == {"ok": 1}, result
    assert result["isolation"]["mode"] == mode
    assert result["isolation"]["network"] == "none"
    assert result["limit_exceeded"] is None
    assert "nobody" not in json.dumps(result["checks"]) + json.dumps(shop.transcript("one"))
    assert (shop.root / "secret").read_text() == "nobody's business"
    assert not (shop.root / "by-verify").exists()
    assert not (shop.out / "work" / "beside").exists()


async def test_a_held_job_neither_reads_nor_writes_outside_its_workspace(walled) -> None:
    report = await run(walled, HEAD + wandering(walled), "bwrap")

    require_held(walled, report, "bwrap")
    assert (walled.out / "patches" / "one.patch").read_text().count("+mine") == 1


@pytest.mark.parametrize("mode", ["bwrap", "landlock"])
async def test_jobs_of_an_ordinary_user_are_held_in_a_place_that_they_share(ordinary, mode) -> None:
    text = HEAD + "workspace = { in_place = 'place' }\n" + wandering(ordinary)

    report = await run(ordinary, text, mode)

    require_held(ordinary, report, mode)
    assert not (ordinary.root / "beside").exists()
    assert (ordinary.root / "place" / "made").read_text() == "mine\n"


async def test_a_setup_command_is_held_as_well(walled) -> None:
    text = HEAD + f"\nsetup = ['! cat {walled.root}/secret && echo s > made']\n"

    report = await run(walled, text + ROW.format("cat made"), "bwrap")

    assert report.counts == {"ok": 1}, walled.results()


async def test_a_job_in_a_clone_sees_its_history_and_nothing_else(walled) -> None:
    repository = walled.root / "repository"
    for args in (
        ("init", "-q", str(repository)),
        ("-C", str(repository), "config", "user.email", "a@b.c"),
        ("-C", str(repository), "config", "user.name", "a"),
        ("-C", str(repository), "commit", "-q", "--allow-empty", "-m", "the first"),
    ):
        subprocess.run(["git", *args], check=True, env={**os.environ, "HOME": str(walled.root)})
    text = HEAD + 'workspace = { repo = "repository" }\n' + ROW.format("git log --format=%s")

    await run(walled, text, "bwrap")

    result = walled.results()["one"]
    assert (result["state"], result["final_message"]) == ("ok", "the first"), result


@pytest.mark.parametrize("mode", ["bwrap", "none"])
async def test_a_limit_that_is_exceeded_is_said_and_is_the_agents_own_fault(walled, mode) -> None:
    limits = "\n[isolation.limits]\nwall = '200ms'\n"
    text = HEAD + ROW.format("sleep 60") + HELD.replace("MODE", mode) + limits

    try:
        report = await walled.run(text)
    except ConfigError as error:
        pytest.skip(str(error))

    result = walled.results()["one"]
    assert report.counts == {"failed": 1}
    assert report.exit_code == 3
    assert result["limit_exceeded"] == result["turns"][0]["limit_exceeded"] == "wall"
    assert result["error_text"] == "its limit on wall was exceeded"
    assert result["isolation"]["limits"] == {"wall": "watched"}
    assert result["attempts"] == 1


async def test_a_verify_command_that_exceeds_a_limit_says_so(walled) -> None:
    text = HEAD + "verify = ['exec head -c 100000 /dev/zero > big']\n" + ROW.format("true")
    limits = "limits = { file_size = 5000 }\n"

    try:
        report = await walled.run(text + HELD.replace("MODE", "bwrap") + limits)
    except ConfigError as error:
        pytest.skip(str(error))

    result = walled.results()["one"]
    assert report.counts == {"unverified": 1}
    assert result["limit_exceeded"] == result["checks"][0]["limit_exceeded"] == "file_size"
    assert result["error_text"].endswith("its limit on file_size was exceeded")


async def test_what_jobs_asked_the_proxy_for_is_in_their_results(walled) -> None:
    ask = r"""exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT x.org:443 HTTP/1.1\r\n\r\n' >&3
head -n 1 <&3"""
    walled.write({"ask": ask, "place/ask": ask})
    text = HEAD + "workspace = { copy = 'place' }\nverify = ['bash ask']\n"
    held = HELD.replace("MODE", "bwrap") + "network = ['example.org']\n"

    try:
        await walled.run(text + ROW.format("bash ask; bash ask") + held)
    except ConfigError as error:
        pytest.skip(str(error))

    result = walled.results()["one"]
    asked = {"host": "x.org", "port": 443, "allowed": False, "reason": "not on the list"}
    assert (result["isolation"]["network"], result["network"]) == ("proxy", [asked])


async def test_what_is_in_force_is_told_at_the_start(walled) -> None:
    await run(walled, HEAD + ROW.format("true"), "bwrap")

    (started,) = walled.told_of(BatchStarted)
    assert started.isolation.mode == "bwrap"


async def test_without_the_table_nothing_is_asked_for_and_nothing_said(shop) -> None:
    await shop.run(HEAD + ROW.format("true"))

    result = shop.results()["one"]
    assert result["isolation"] is result["limit_exceeded"] is None
    assert shop.told_of(BatchStarted)[0].isolation is None


async def test_isolation_that_is_required_and_cannot_be_had_begins_nothing(walled) -> None:
    async def refuse(*_, **__):
        return Probe(works=False, reason="it is forbidden", mend="allow it")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "probe", refuse)
        with pytest.raises(ConfigError, match=r"b\.toml:9: isolation: .*forbidden; allow it"):
            await walled.run(HEAD + ROW.format("true") + HELD.replace("MODE", "bwrap"))

    assert not walled.out.exists()


async def test_a_path_that_cannot_be_shown_begins_nothing(walled) -> None:
    text = HEAD + ROW.format("true") + HELD.replace("MODE", "bwrap") + "readable = ['gone']\n"

    with pytest.raises(ConfigError, match="isolation: .*(gone|cannot be had)"):
        await walled.run(text)

    assert not walled.out.exists()


def problems(shop, table):
    with pytest.raises(ConfigError) as caught:
        shop.plan(PLAIN + "[isolation]\n" + table)
    return [str(each).replace(f"{shop.root}/", "") for each in caught.value.problems]


def test_every_mistake_in_the_table_has_its_line_and_key(shop) -> None:
    found = problems(
        shop,
        'mode = "docker"\nrequired = 1\nnetwork = ["pypi.org", "http://x"]\nhiden = []\n'
        'limits = { memory = -1, wall = "long", cpus = 1 }\nprivate = 0\n',
    )

    assert [each.split(": ", 2)[:2] for each in found] == [
        ["b.toml:4", "isolation.mode"],
        ["b.toml:5", "isolation.required"],
        ["b.toml:6", "isolation.network[2]"],
        ["b.toml:7", "isolation.hiden"],
        ["b.toml:8", "isolation.limits.memory"],
        ["b.toml:8", "isolation.limits.wall"],
        ["b.toml:8", "isolation.limits.cpus"],
        ["b.toml:9", "isolation.private"],
    ]
    assert found[0].endswith("must be one of 'none', 'bwrap', 'landlock', 'auto', not 'docker'")


def test_what_only_the_meaning_shows_has_its_line_and_key_as_well(shop) -> None:
    found = problems(
        shop, 'network = ["pypi.org", "http://x"]\nlimits = { open_files = 3 }\n'
    )  # fmt: skip

    assert sorted(each.split(": ", 2)[:2] for each in found) == [
        ["b.toml:4", "isolation.network[2]"],
        ["b.toml:5", "isolation.limits"],
    ]


def test_paths_are_relative_to_the_file_and_zero_is_no_limit(shop, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    plan = shop.plan(
        PLAIN + '[isolation]\nreadable = ["tools", "~/bin"]\nhidden = ["/srv/x/.."]\n'
        'limits = { memory = 50_000_000, cpu = "2m", wall = 0 }\n'
    )

    assert plan.isolation == Isolation(
        readable=(f"{shop.root}/tools", "/home/me/bin"),
        hidden=("/srv",),
        limits=UsedUp(memory=50_000_000, cpu=120.0),
    )


def test_the_table_has_the_keys_and_defaults_of_isolation() -> None:
    assert [each.name for each in attrs.fields(Holding)] == [
        each.name for each in attrs.fields(Isolation)
    ]
    assert [each.name for each in attrs.fields(HoldingLimits)] == [
        each.name for each in attrs.fields(UsedUp)
    ]
    assert Batch(name="b", prompt="p", isolation=Isolation()).isolation == Holding()


def test_a_record_takes_an_isolation_as_it_is(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = runner.Isolation(mode="bwrap", network=("pypi.org",), limits=UsedUp(wall=3))

    plan = prepare(Batch(name="b", prompt="p", isolation=wanted))

    assert plan.isolation == wanted


def test_another_isolation_is_another_batch_but_for_its_limits(shop) -> None:
    def identity(table):
        return shop.plan(PLAIN + table).identity.common

    first = identity('[isolation]\nmode = "auto"\n')

    assert first == identity('[isolation]\nmode = "auto"\nlimits = { wall = 5 }\n')
    assert first != identity('[isolation]\nmode = "bwrap"\n')
    assert "isolation" not in identity("")
