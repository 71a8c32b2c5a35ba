"""The same calls on agent-session itself and on ours: the same answers, errors and files."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import random
import re
import runpy
import uuid
from pathlib import Path

import pytest

theirs = pytest.importorskip(
    "agent_session", reason="needs agent-session: pip install -e '.[test-integrations]'"
)

from runner.compat import agent_session as ours

BOTH = (theirs, ours)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    for name, inner in (("HOME", "home"), ("XDG_STATE_HOME", "state"), ("CODEX_HOME", "codex")):
        (tmp_path / inner).mkdir()
        monkeypatch.setenv(name, str(tmp_path / inner))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    return tmp_path


def test_the_names_constants_signatures_and_fields_are_the_same():
    assert sorted(theirs.__all__) == sorted(ours.__all__)
    assert theirs.__version__ == ours.__version__
    for name in theirs.__all__:
        if not callable(getattr(theirs, name)):
            assert getattr(theirs, name) == getattr(ours, name)
    for name in ("make_session", "pick_backend"):
        found = [inspect.signature(getattr(each, name)).parameters for each in BOTH]
        assert [(p.name, p.kind, p.default) for p in found[0].values()] == [
            (p.name, p.kind, p.default) for p in found[1].values()
        ]
    names = [[f.name for f in dataclasses.fields(each.AgentResult)] for each in BOTH]
    assert names[0] == names[1]


@pytest.mark.parametrize("said", [None, "", " ", "claude", " CODEX\n", "cluade", "all"])
def test_the_same_backend_is_picked(monkeypatch, said):
    if said is not None:
        monkeypatch.setenv("PICKED", said)

    def picked(module):
        try:
            return [module.pick_backend(env_var="PICKED", rng=random.Random(n)) for n in range(20)]
        except module.AgentError as error:
            return str(error)

    assert picked(theirs) == picked(ours)


@pytest.mark.parametrize("backend", ["claude", "codex", "cluade"])
def test_the_same_errors_at_construction(place, monkeypatch, backend):
    monkeypatch.setenv("PATH", str(place))
    said = []
    for module in BOTH:
        with pytest.raises(module.AgentError) as caught:
            module.make_session(place / "work", backend=backend)
        said.append(str(caught.value))

    assert said[0] == said[1]


def test_a_session_without_a_word_about_it_is_with_one_at_random(place, monkeypatch):
    (place / "bin").mkdir()
    for name in ours.ALL_BACKENDS:
        (place / "bin" / name).write_text("#!/bin/sh\nexit 3\n")
        (place / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=":")
    monkeypatch.delenv("PICKED", raising=False)

    def picked(module):
        return [
            module.make_session(place / "work", env_var="PICKED", rng=random.Random(n)).backend
            for n in range(20)
        ]

    assert {*ours.ALL_BACKENDS} == {*picked(ours)}
    assert picked(theirs) == picked(ours)


def test_the_blocks_of_the_readme_that_it_comes_with_are_those_that_are_run():
    run = runpy.run_path(str(Path(__file__).with_name("test_agent_session.py")))
    readme = importlib.metadata.metadata("agent-session").get_payload()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)

    assert [run["FIRST"].strip(), run["SECOND"].strip()] == [each.strip() for each in blocks]


@pytest.mark.real_agents
@pytest.mark.parametrize("backend", ["claude", "codex"])
def test_the_same_turns(place, monkeypatch, request, model_server, backend):
    (place / "bin").mkdir()
    (place / "bin" / backend).symlink_to(request.getfixturevalue(f"{backend}_program"))
    monkeypatch.setenv("PATH", str(place / "bin"), prepend=":")
    for name, value in (model_server.claude_env() | model_server.codex_env()).items():
        monkeypatch.setenv(name, value)
    (place / "codex" / "config.toml").write_text(model_server.codex_config())

    def turns(module):
        session = module.make_session(
            place / module.__name__ / "work",
            backend=backend,
            sandbox=module.SANDBOX_DANGER_FULL_ACCESS,
            timeout_sec=60,
        )
        before = session.session_id, session.turn_count
        seen = []
        for prompt, timeout in (
            ("!write a.txt: one\n!run mkdir d; echo x > d/b\n!say made it", None),
            ("!run echo two >> a.txt; rm d/b; touch .hidden\n!say changed it", None),
            ("!recall 1", None),
            ("!sleep 60", 1.0),
        ):
            if timeout is not None and (module, backend) == (theirs, "codex"):
                with pytest.raises(TypeError):  # its codex cannot put its note after what is bytes
                    session.send(prompt, timeout_sec=timeout)
                continue
            r = session.send(prompt, timeout_sec=timeout)
            note = "timed out after 1." in r.stderr
            said = r.final_message.count("mkdir d"), r.final_message.count("changed it")
            if not prompt.startswith("!recall"):
                said = r.final_message
            files = sorted(map(repr, r.files_created)), sorted(map(repr, r.files_modified))
            types = type(r.cmd), type(r.raw), type(r.stdout), type(r.duration_sec)
            in_stdout = r.final_message in r.stdout if backend == "codex" else "result" in r.stdout
            told = (r.ok, r.exit_code, said, files, r.backend, note, types, in_stdout or note)
            seen.append((told, session.turn_count, r.session_id == session.session_id))
            assert uuid.UUID(session.session_id)
        if module is ours:
            session.close()
        return before, seen

    there, here = turns(theirs), turns(ours)
    if backend == "codex":
        assert (False, -1, "") == here[1].pop()[0][:3]
    assert there == here
