"""Which mode is in force, and what is said when it is not the one that was asked for."""

from __future__ import annotations

import errno
import os

import pytest

from runner.errors import ExecFailed
from runner.messages import Isolation
from runner.messages.isolation import narrowed
from runner.processes.isolation import inside, landlock, probe, syscalls
from runner.processes.isolation.choosing import choose
from runner.processes.isolation.probe import Probe


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch):
    """Machines on which some modes work."""

    def know(**works: bool) -> None:
        found = {
            (mode, "me"): Probe(works=each, reason=f"{mode} is off", mend=f"switch {mode} on")
            for mode, each in works.items()
        }
        monkeypatch.setattr(probe, "_known", found)

    return know


async def nothing_runs(*_: object):
    raise AssertionError


async def chosen(**isolation: object):
    return await choose(Isolation(**isolation), nothing_runs, identity="me")


async def test_auto_takes_the_best_that_works(known) -> None:
    known(bwrap=True, landlock=True)
    assert (await chosen()).mode == "bwrap"

    known(bwrap=False, landlock=True)
    assert (await chosen()).mode == "landlock"
    assert (await chosen()).lacking == ("bwrap: bwrap is off",)

    known(bwrap=False, landlock=False)
    assert (await chosen()).mode == "none"
    assert "not held" in (await chosen()).lacking[-1]


async def test_what_is_required_and_cannot_be_had_is_an_error_that_helps(known) -> None:
    known(bwrap=False, landlock=True)

    with pytest.raises(ExecFailed, match=r"bwrap is off.*switch bwrap on"):
        await chosen(mode="bwrap", required=True)
    with pytest.raises(ExecFailed, match="hosts can be listed in mode bwrap only"):
        await chosen(required=True, network=("example.org",))
    with pytest.raises(ExecFailed, match="what stands in the scope can be seen"):
        await chosen(required=True, hidden=("/x",))
    assert (await chosen(required=True)).mode == "landlock"


async def test_without_namespaces_a_list_of_hosts_is_no_network(known) -> None:
    known(bwrap=False, landlock=True)

    choice = await chosen(network=("example.org",))

    assert choice.mode == "landlock"
    assert "there is none" in choice.lacking[-1]


async def test_none_is_not_looked_for(known) -> None:
    known()

    assert (await chosen(mode="none")).mode == "none"


async def test_a_host_fails_closed_where_it_must(room, monkeypatch) -> None:
    monkeypatch.setattr(probe, "_known", {})
    monkeypatch.setattr(syscalls, "MACHINE", "pdp11")

    with pytest.raises(ExecFailed, match=r"exec 'sh': .*not made for pdp11"):
        await room.run("true")

    done = await room.run("true", isolation=Isolation(mode="auto"))
    assert (done.exit_code, done.isolation.mode) == (0, "none")
    assert len(done.isolation.lacking) == (3 if room.uid == 0 else 4)


async def test_without_a_boundary_a_list_of_hosts_is_told_or_refused(known) -> None:
    known()

    told = await chosen(mode="none", network=("example.org",), hidden=("/x",))

    assert told.mode == "none"
    assert [each.partition(":")[0] for each in told.lacking] == ["network", "hidden"]
    with pytest.raises(ExecFailed, match="all can be reached"):
        await chosen(mode="none", network=("example.org",), required=True)
    assert (await chosen(mode="none", required=True)).lacking == ()


async def test_a_disk_that_is_full_is_told_and_leaves_nothing(room, monkeypatch) -> None:
    def fail(**_: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inside.tempfile, "mkdtemp", fail)
    where = inside.Where(scope=room.scope, directory=room.scope)

    with pytest.raises(ExecFailed, match="held inside: .*No space left"):
        inside.Inside(Isolation(mode="landlock"), "landlock", where, env={}, run_id="x")


async def test_landlock_holds_alone(room, until) -> None:
    if not landlock.abi():
        pytest.skip("the kernel has no Landlock: boot with lsm=...,landlock")
    isolation = Isolation(mode="landlock")

    line = "echo x > f; echo x > ../g; cat f; echo y > $TMPDIR/z; cat $TMPDIR/z; echo $TMPDIR"

    done = await room.run(line, isolation=isolation)

    if room.uid == 0:
        assert done.isolation.mode == "none"
        assert "root" in done.isolation.lacking[0]
    else:
        assert done.out.data().startswith(b"x\ny\n")
        private = done.out.data().split()[2]
        await until(lambda: not os.path.exists(private))
        assert not os.path.exists(os.path.join(room.base, "g"))
        assert done.isolation.network == "none"


def test_a_scope_in_a_scope_only_narrows() -> None:
    outer = Isolation(
        mode="bwrap", network=("a.org", "b.org"), readable=("/opt",), nesting=True, private=100
    )
    inner = Isolation(
        mode="none",
        required=True,
        network=("b.org", "c.org"),
        readable=("/opt/x", "/srv"),
        writable=("/srv",),
        hidden=("/opt/x/y",),
        debugging=True,
        nesting=True,
    )

    both = outer.narrowed(inner)

    assert both == Isolation(
        mode="bwrap",
        required=True,
        network=("b.org",),
        readable=("/opt/x",),
        hidden=("/opt/x/y",),
        nesting=True,
        private=100,
    )
    assert Isolation(mode="none").narrowed(inner).readable == ("/opt/x", "/srv")
    assert narrowed(None, inner) is inner
    assert narrowed(outer, None) is outer
    assert Isolation(network="full").narrowed(inner).network == ("b.org", "c.org")
    assert inner.narrowed(Isolation(network="full")).network == ("b.org", "c.org")
    assert inner.narrowed(Isolation(network="none")).network == "none"
