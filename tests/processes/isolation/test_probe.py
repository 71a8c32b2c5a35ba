"""What a trial finds, on machines that do not do what they should."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import trio

from runner.errors import ExecFailed
from runner.messages import Completed, InForce, Outcome, Output
from runner.processes.isolation import probe


def ended(code: int = 0, said: bytes = b"") -> Completed:
    return Completed(
        exit_code=code,
        outcome=Outcome.EXITED,
        out=Output(head=b""),
        err=Output(head=said),
        duration=0.0,
        isolation=InForce(mode="bwrap", layers=("a", "b")),
    )


async def tried(monkeypatch, work: Callable[[str], Completed]) -> probe.Probe:
    monkeypatch.setattr(probe, "_known", {})

    async def run(mode: str, directory: str, script: str) -> Completed:
        await trio.lowlevel.checkpoint()
        return work(directory)

    first = await probe.probe("bwrap", run, identity="me")
    assert await probe.probe("bwrap", None, identity="me") is first  # it is known by now
    return first


def fulfil(directory: str) -> Completed:
    with open(os.path.join(directory, "mine"), "w"):
        pass
    return ended()


def leak(directory: str) -> Completed:
    fulfil(directory)
    with open(os.path.join(directory, "..", probe.BESIDE), "w") as file:
        file.write("x")
    return ended()


def refuse(_: str) -> Completed:
    raise ExecFailed("exec", None, "clone: Operation not permitted")


async def test_a_trial_that_goes_well_says_what_it_was_made_of(monkeypatch) -> None:
    assert await tried(monkeypatch, fulfil) == probe.Probe(works=True, reason="a, b")


@pytest.mark.parametrize(
    ("work", "reason"),
    [
        (refuse, "clone: Operation not permitted"),
        (leak, "what stands beside the scope can be written"),
        (lambda _: ended(14), "the network can be reached"),
        (lambda _: ended(77, b"sh: what?\n"), "a trial ended with 77: sh: what?"),
        (lambda _: ended(), "the scope cannot be written"),
    ],
)
async def test_a_trial_that_does_not_says_why_and_what_helps(monkeypatch, work, reason) -> None:
    found = await tried(monkeypatch, work)

    assert not found.works
    assert found.reason == reason
    assert "user namespaces" in found.mend


async def test_a_trial_that_hangs_is_given_up(monkeypatch, autojump_clock) -> None:
    monkeypatch.setattr(probe, "_known", {})

    async def run(*_: str) -> Completed:
        await trio.sleep_forever()
        raise AssertionError

    found = await probe.probe("bwrap", run, identity="me")

    assert "did not end in 20 s" in found.reason


async def test_landlock_needs_a_kernel_that_has_it_and_no_root(monkeypatch) -> None:
    monkeypatch.setattr(probe.landlock, "abi", lambda: 0)
    assert "no Landlock" in (await _landlock(monkeypatch)).reason
    monkeypatch.setattr(probe.landlock, "abi", lambda: 7)
    monkeypatch.setattr(probe.users, "own_ids", lambda: (0, 0))
    assert "root" in (await _landlock(monkeypatch)).reason


async def _landlock(monkeypatch) -> probe.Probe:
    monkeypatch.setattr(probe, "_known", {})
    return await probe.probe("landlock", None, identity="me")


def test_what_is_known_can_be_forgotten(monkeypatch) -> None:
    monkeypatch.setattr(probe, "_known", {("bwrap", "me"): probe.Probe(works=True)})
    probe.forget()
    assert probe._known == {}
