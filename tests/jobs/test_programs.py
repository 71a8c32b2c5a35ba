"""The attempts of a batch are carried out by one build of the agent's program, or it is said."""

from __future__ import annotations

import hashlib
import sqlite3

import pytest

from runner.errors import ConfigError

BATCH = """
name = "b"
prompt = "{{ id }}"
agent = { kind = "command", argv = ["%s"] }
limits = { concurrency = 1 }
data = { rows = [{ n = 1 }, { n = 2 }, { n = 3 }] }
id = "j{{ row.n }}"
"""
CHANGED = r"its program has changed: .* by \(sha256 \w{12}\), and it is \(sha256 \w{12}\) now"


@pytest.fixture
def agent(shop):
    path = shop.root / "agent"
    path.write_text("#!/bin/sh\nread prompt; echo one\n")
    path.chmod(0o755)
    return path


def change(agent) -> str:
    before = hashlib.sha256(agent.read_bytes()).hexdigest()
    agent.write_text("#!/bin/sh\nread prompt; echo another one\n")
    return before


async def test_a_batch_does_not_go_on_with_another_program_unless_it_may(shop, agent):
    text = BATCH % agent
    assert {"ok": 1} == (await shop.run(text, select="id == 'j1'")).counts
    before = change(agent)
    with pytest.raises(ConfigError, match=CHANGED) as caught:
        await shop.run(text)
    assert "b.toml:4: agent: " in str(caught.value)
    assert ["j1"] == [*shop.results()]
    agent.write_text("#!/bin/sh\nread prompt; echo one\n")
    assert {"ok": 2} == (await shop.run(text, select="id != 'j3'")).counts
    change(agent)

    assert {"ok": 3} == (await shop.run(text, "mixed_versions=true")).counts
    programs = {job: each["program"]["sha256"] for job, each in shop.results().items()}
    now = hashlib.sha256(agent.read_bytes()).hexdigest()
    assert {"j1": before, "j2": before, "j3": now} == programs


async def test_no_attempt_begins_with_another_program_than_those_before(shop, agent):
    text = BATCH % agent + f"verify = [\"printf '#' >> {agent}\"]\n"
    with pytest.raises(ConfigError, match=CHANGED):
        await shop.run(text)

    assert {"j1": "ok"} == {job: each["state"] for job, each in shop.results().items()}
    with sqlite3.connect(shop.out / ".runner" / "ledger.db") as ledger:
        states = ledger.execute("SELECT state FROM jobs ORDER BY number").fetchall()
    ledger.close()
    assert [("ok",), ("queued",), ("queued",)] == states
    assert {"ok": 3} == (await shop.run(text, "mixed_versions=true")).counts


async def test_a_shell_is_no_program_of_an_agents(shop):
    await shop.run('name = "b"\nprompt = "true"\nid = "j"\n')

    assert shop.results()["j"]["program"] is None
