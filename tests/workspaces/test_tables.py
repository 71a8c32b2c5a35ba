"""Rows of a project's store: each comes back as it was, or is an error that says what is wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import (
    SnapshotExists,
    SnapshotNotFound,
    StoreDamaged,
    StoreError,
    WorkspaceExists,
    WorkspaceNotFound,
)
from runner.workspaces import audit_table, columns
from runner.workspaces.columns import Table, to_bytes
from runner.workspaces.objects import content
from runner.workspaces.records import (
    Act,
    AuditRecord,
    Base,
    CommitRecord,
    Ref,
    Remote,
    SnapshotRecord,
    WorkspaceRecord,
)
from runner.workspaces.store import Store

ODD = "odd \udcff \n\0 ünï 'quoted' \"x\" /"
ONE, TWO = content(b"one").id, content(b"two").id


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(str(tmp_path / "store.db"))
    yield store
    store.close()


def workspace(name: str, **values: Any) -> WorkspaceRecord:
    made = {"id": f"id-{name}", "name": name, "tree": "/w", "created_ns": 5}
    return WorkspaceRecord(**made | values)


def snapshot(name: str, **values: Any) -> SnapshotRecord:
    made = {"id": f"id-{name}", "workspace": "w", "name": name, "root": ONE, "created_ns": 5}
    return SnapshotRecord(**made | values)


def row(number: int, **values: Any) -> AuditRecord:
    made = {"seq": number, "time_ns": 1000 + number, "workspace": "w", "operation": "write"}
    return AuditRecord(**made | values)


# ---------------------------------------------------------------- each record


def test_a_workspace_comes_back_as_it_was(store: Store) -> None:
    plain = workspace("plain")
    odd = workspace(
        ODD,
        id="odd",
        description=ODD,
        tags=("a", ODD),
        base=Base(kind="git", path=ODD, ref="main", commit="c"),
        base_root=ONE,
        way="overlay",
        tree=f"/tree/{ODD}",
        state="ready",
        agent_id=ODD,
        read_only=True,
        root=TWO,
        changed_ns=1 << 62,
    )
    for each in (plain, odd):
        store.workspaces.add(each)

    assert (plain, odd) == (store.workspaces.get(plain.id), store.workspaces.by_name(ODD))
    assert [odd, plain] == store.workspaces.list()


def test_a_snapshot_comes_back_as_it_was(store: Store) -> None:
    odd = snapshot(
        ODD,
        id="odd",
        description=ODD,
        parent=TWO,
        kind="turn",
        session=ODD,
        turn=7,
        unstable=(ODD, "b"),
        skipped=((ODD, "a socket"), ("b", "a device")),
    )
    store.snapshots.add(snapshot("plain"))
    store.snapshots.add(odd)

    assert odd == store.snapshots.get("w", ODD)
    assert [snapshot("plain"), odd] == store.snapshots.list("w") == store.snapshots.list()
    assert [] == store.snapshots.list("other")


def test_a_commit_comes_back_as_it_was(store: Store) -> None:
    commit = CommitRecord(
        id="c", workspace="w", message=ODD, author=ODD, base_before=ONE, base_after=TWO,
        created_ns=3, git_commit="abc", paths=(ODD, "x"),
    )  # fmt: skip
    store.commits.add(commit)
    store.commits.add(commit)

    assert [commit] == store.commits.list() == store.commits.list("w")
    assert [] == store.commits.list("other")


def test_an_act_is_there_from_when_it_was_decided_until_it_is_finished(store: Store) -> None:
    act = Act(
        workspace="w", kind="batch", tree=f"/{ODD}", before=ONE, details={"n": [1, ODD, None]},
        created_ns=9,
    )  # fmt: skip
    first, second = store.begin(act), store.begin(attrs.evolve(act, workspace="v", after=TWO))
    store.advance(first, 3)

    assert [attrs.evolve(act, id=first, step=3)] == store.acts("w")
    assert [first, second] == [each.id for each in store.acts()]
    store.end(second)
    store.end(second)
    assert second < store.begin(act)
    assert [first, second + 1] == [each.id for each in store.journal.list()]


def test_refs_are_set_and_swapped_and_gone(store: Store) -> None:
    ref = Ref(name=ODD, root=ONE, details={"a": ODD}, changed_ns=1)
    other = attrs.evolve(ref, workspace="w", root=TWO)

    assert store.refs.swap(None, ref)
    assert not store.refs.swap(None, ref)
    assert not store.refs.swap(TWO, attrs.evolve(ref, root=TWO))
    store.refs.set(other)
    assert (ref, other, None) == (
        store.refs.get(ODD), store.refs.get(ODD, "w"), store.refs.get("nope")
    )  # fmt: skip
    assert store.refs.swap(ONE, attrs.evolve(ref, root=TWO))
    assert [TWO] == [each.root for each in store.refs.list()]
    store.refs.remove(ODD)
    assert ([], [other]) == (store.refs.list(), store.refs.list("w"))


def test_remotes_are_set_and_gone(store: Store) -> None:
    remote = Remote(workspace="w", name=ODD, url=f"file:///{ODD}", details={"a": 1}, created_ns=2)
    store.remotes.set(attrs.evolve(remote, url="x"))
    store.remotes.set(remote)

    assert ([remote], []) == (store.remotes.list("w"), store.remotes.list("v"))
    store.remotes.remove("w", ODD)
    assert [] == store.remotes.list("w")


def test_stats_are_kept_by_directory_until_they_are_cleared(store: Store) -> None:
    store.save_stats("w", {b"": b"1", b"a/\xff": b"2", b"gone": b"3"})
    store.save_stats("v", {b"": b"4"})
    store.save_stats("w", {b"": b"5", b"gone": None, b"never": None})

    assert {b"": b"5", b"a/\xff": b"2"} == store.load_stats("w")
    store.stats.clear("w")
    assert ({}, {b"": b"4"}) == (store.load_stats("w"), store.load_stats("v"))


def test_a_fact_is_what_it_was_set_to_last(store: Store) -> None:
    assert store.facts.get("a") is None
    store.facts.set("a", b"1")
    store.facts.set("a", b"\xff2")

    assert b"\xff2" == store.facts.get("a")


# ---------------------------------------------------------------- names


def test_a_workspace_that_is_not_there_is_said_with_those_that_may_have_been_meant(
    store: Store,
) -> None:
    for name in ("feature", "features", "other"):
        store.workspaces.add(workspace(name))

    with pytest.raises(WorkspaceNotFound, match="did you mean 'feature'") as caught:
        store.workspaces.by_name("featur")
    assert ("featur", ("feature", "features")) == (caught.value.name, caught.value.near)
    for use in (store.workspaces.get, lambda id_: store.workspaces.change(workspace("x", id=id_))):
        with pytest.raises(WorkspaceNotFound, match="'no-such-id'"):
            use("no-such-id")


def test_a_name_is_that_of_one_workspace(store: Store) -> None:
    store.workspaces.add(workspace("a"))
    store.workspaces.add(workspace("b"))

    with pytest.raises(WorkspaceExists, match="'a'"):
        store.workspaces.add(workspace("a", id="other"))
    with pytest.raises(WorkspaceExists, match="'a'"):
        store.workspaces.change(workspace("a", id="id-b"))
    store.workspaces.change(workspace("c", id="id-b", root=ONE))
    assert ["a", "c"] == [each.name for each in store.workspaces.list()]


def test_a_workspace_that_is_forgotten_leaves_its_snapshots(store: Store) -> None:
    store.workspaces.add(workspace("a"))
    store.snapshots.add(snapshot("s", workspace="id-a"))
    store.save_stats("id-a", {b"": b"x"})
    store.workspaces.remove("id-a")

    assert ([], {}) == (store.workspaces.list(), store.load_stats("id-a"))
    assert ["s"] == [each.name for each in store.snapshots.list("id-a")]


def test_a_snapshots_name_is_unique_in_its_workspace(store: Store) -> None:
    store.snapshots.add(snapshot("s"))
    store.snapshots.add(snapshot("s", id="2", workspace="v", created_ns=1))

    with pytest.raises(SnapshotExists, match="'w' has a snapshot 's'"):
        store.snapshots.add(snapshot("s", id="3"))
    assert ["w", "v"] == [each.workspace for each in store.snapshots.find("s")]
    with pytest.raises(SnapshotNotFound, match="did you mean 's'") as caught:
        store.snapshots.get("w", "s2")
    assert ("s2", "w", ("s",)) == (
        caught.value.name, caught.value.workspace, caught.value.near
    )  # fmt: skip
    store.snapshots.remove("2")
    assert ["w"] == [each.workspace for each in store.snapshots.find("s")]


def test_what_was_added_later_comes_later_though_the_clock_went_back(store: Store) -> None:
    for number, at in enumerate((30, 20, 10)):
        store.snapshots.add(snapshot(f"s{number}", id=f"{number}", created_ns=at))
        store.commits.add(
            CommitRecord(
                id=f"{number}", workspace="w", message=f"c{number}", base_before=ONE,
                base_after=ONE, created_ns=at,
            )
        )  # fmt: skip

    assert ["s0", "s1", "s2"] == [each.name for each in store.snapshots.list("w")]
    assert ["c0", "c1", "c2"] == [each.message for each in store.commits.list("w")]


# ---------------------------------------------------------------- audit


def test_rows_of_the_audit_come_back_as_they_were(store: Store) -> None:
    full = row(
        2,
        path=ODD,
        size_before=0,
        size_after=1 << 62,
        sha_before="sha256:1",
        sha_after="chunks:2",
        session=ODD,
        job=ODD,
        agent=ODD,
        ok=None,
        details={"a": [ODD, {"b": 1.5}], "c": None},
        previous="p",
        hash="h",
    )
    assert store.audit.last() is None
    assert 1 == store.audit.append(row(0, ok=False))
    assert 2 == store.audit.append(full)

    assert full == store.audit.last()
    assert [row(1, ok=False, time_ns=1000), full] == list(store.audit.rows())
    with pytest.raises(StoreError, match="cannot be written: UNIQUE"):
        store.audit.append(row(2))


def test_rows_of_the_audit_are_found_by_what_they_are(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_table, "_AT_ONCE", 4)
    for number in range(1, 21):
        values = {
            "workspace": "wv"[number % 2],
            "operation": ("write", "exec", "remove")[number % 3],
            "session": f"s{number % 2}",
            "job": f"j{number % 4}",
            "agent": f"a{number % 5}",
            "path": f"src/\udcff/{number % 6}",
        }
        store.audit.append(row(number, **values))

    def found(**which: Any) -> list[int]:
        return [each.seq for each in store.audit.rows(**which)]

    everything = list(range(1, 21))
    assert everything == found()
    assert everything[::-1] == found(newest_first=True)
    assert [4, 10, 16] == found(workspace="w", operations=["exec"])
    assert [n for n in everything if n % 3 in {1, 2}] == found(operations=["exec", "remove"])
    assert [5, 6, 7] == found(from_ns=1005, to_ns=1008)
    assert [20] == found(job="j0", agent="a0", session="s0", after=10)
    assert [6, 12, 18] == found(path="src/\udcff/0")
    assert (everything, []) == (found(below="src/\udcff/"), found(below="src/x"))
    assert [] == found(workspace="nobody's")


def test_rows_of_the_audit_are_taken_away_from_the_front(store: Store) -> None:
    for number in range(1, 6):
        store.audit.append(row(number))
        store.intents.append(row(0))

    assert 3 == store.audit.remove_up_to(3)
    store.intents.remove(4)
    assert [4, 5] == [each.seq for each in store.audit.rows()]
    assert [1, 2, 3, 5] == [each.seq for each in store.intents.rows()]


# ---------------------------------------------------------------- what is none


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=20))
def test_any_text_is_kept(store: Store, text: str) -> None:
    store.refs.set(Ref(name=text, root=ONE, details={text: text}))

    found = store.refs.get(text)
    assert found is not None
    assert {text: text} == found.details
    assert found.name.encode("utf-8", "surrogateescape") == to_bytes(text)
    store.refs.remove(text)
    assert [] == store.refs.list()


@settings(max_examples=50)
@given(st.binary(max_size=20))
def test_any_name_of_a_file_is_kept(name: bytes) -> None:
    assert name == to_bytes(name.decode("utf-8", "surrogateescape"))


def test_a_text_that_no_file_can_be_named_by_is_kept_as_well_as_can_be() -> None:
    assert b"\\ud800 half" == to_bytes("\ud800 half")


ODD_VALUES: list[tuple[Table[Any], str, object]] = [
    (columns.WORKSPACES, "id", b"bytes"),
    (columns.WORKSPACES, "name", "text"),
    (columns.WORKSPACES, "tags", '{"a": 1}'),
    (columns.WORKSPACES, "tags", "no json"),
    (columns.WORKSPACES, "tags", 7),
    (columns.WORKSPACES, "base", '{"unknown": 1}'),
    (columns.WORKSPACES, "base_root", b"short"),
    (columns.WORKSPACES, "created_ns", "soon"),
    (columns.WORKSPACES, "read_only", 5),
    (columns.WORKSPACES, "read_only", "x"),
    (columns.AUDIT, "ok", 1.5),
    (columns.SNAPSHOTS, "root", None),
    (columns.SNAPSHOTS, "root", 5),
    (columns.AUDIT, "details", "[]"),
    (columns.AUDIT, "size_before", 1.5),
]


@pytest.mark.parametrize(("table", "column", "value"), ODD_VALUES)
def test_a_value_that_is_none_of_its_column_is_damage_that_is_named(
    table: Table[Any], column: str, value: object
) -> None:
    record = {
        "workspaces": workspace("a", base_root=ONE),
        "snapshots": snapshot("a"),
        "audit": row(1),
    }[table.name]
    values = table.values(record)
    assert [record] == table.records([values])
    values[table.names.index(column)] = value

    with pytest.raises(StoreDamaged, match=f"a row of {table.name} .* its {column}"):
        table.records([values])


def test_each_column_of_the_file_is_a_field_and_each_field_a_column(store: Store) -> None:
    for table in columns.ALL:
        with contextlib.closing(sqlite3.connect(store.path)) as connection:
            rows = connection.execute(f"PRAGMA table_info({table.name})").fetchall()
        assert [each.name for each in attrs.fields(table.record)] == [*table.names]
        assert [each[1] for each in rows] == [*table.names]
