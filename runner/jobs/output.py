"""A batch's output directory: where everything stands in it, and whose it is.

    OUT/results.jsonl, summary.json      the results
    OUT/patches/ID.patch                 what a job changed, in `git diff` form
    OUT/transcripts/ID.jsonl             what was said, one line for each turn
    OUT/work/ID.ATTEMPT/                 workspaces
    OUT/.runner/batch.json               whose it is: the batch's identity
    OUT/.runner/ledger.db, lock          the ledger, and the lock of the process that writes it
    OUT/.runner/git/, repo.git/, tmp/    baselines of patches, the clone that jobs are cloned from

An output directory belongs to one batch for good. The identity of a batch is what its jobs are: a
digest of each job and of what they have in common, but no limits, so that a batch can be resumed
with other limits. Files are written beside their place and renamed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

import attrs

SCHEMA = "runner.batch/1"


def digest(value: object) -> str:
    """A short digest of plain values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@attrs.frozen(kw_only=True)
class Identity:
    """What makes a batch this batch.

    Attributes:
        common: digests (or plain values) of what all jobs have in common, by the key of the file.
        jobs: each job's digest, by id, in order.
    """

    name: str
    common: Mapping[str, str]
    jobs: Mapping[str, str]

    def differences(self, other: Identity) -> list[str]:
        """In what another batch differs from this one, in sentences; empty = it is the same."""
        found: list[str] = []
        if self.name != other.name:
            found.append(f"its name was {self.name!r} and is {other.name!r}")
        keys = {**self.common, **other.common}
        differs = [key for key in keys if self.common.get(key) != other.common.get(key)]
        found += [f"its {key} differ{'' if key.endswith('s') else 's'}" for key in differs]
        both = self.jobs.keys() & other.jobs.keys()
        changed = [job for job in self.jobs if job in both and self.jobs[job] != other.jobs[job]]
        for ids, what in (
            ([job for job in self.jobs if job not in both], "gone"),
            ([job for job in other.jobs if job not in both], "new"),
            (changed, "changed"),
        ):
            if ids:
                some = ", ".join(ids[:3]) + (", …" if len(ids) > 3 else "")
                found.append(f"{len(ids)} job{'s are' if len(ids) > 1 else ' is'} {what}: {some}")
        if not found and list(self.jobs) != list(other.jobs):
            found.append("its jobs are in another order")
        return found


@attrs.frozen
class Output:
    """The places in an output directory; `root` is absolute."""

    root: str

    @classmethod
    def at(cls, path: str | os.PathLike[str]) -> Output:
        """The output directory at a path, relative to the current directory."""
        return cls(os.path.abspath(path))

    @property
    def hidden(self) -> str:
        """Where what is not for users stands."""
        return os.path.join(self.root, ".runner")

    @property
    def results(self) -> str:
        """One line for each finished job, in the order of the jobs."""
        return os.path.join(self.root, "results.jsonl")

    @property
    def summary(self) -> str:
        """The counts and totals."""
        return os.path.join(self.root, "summary.json")

    @property
    def ledger(self) -> str:
        """The ledger's database."""
        return os.path.join(self.hidden, "ledger.db")

    def workspace(self, job: str, attempt: int) -> str:
        """Where an attempt works."""
        return os.path.join(self.root, "work", f"{job}.{attempt}")

    def patch(self, job: str) -> str:
        """What a job changed."""
        return os.path.join(self.root, "patches", f"{job}.patch")

    def transcript(self, job: str) -> str:
        """What was said in a job."""
        return os.path.join(self.root, "transcripts", f"{job}.jsonl")

    def relative(self, path: str) -> str:
        """A path in the output directory as the results have it."""
        return path.removeprefix(self.root).lstrip("/")

    # -------------------------------------------------------- whose it is

    def obstacle(self, identity: Identity) -> str | None:
        """Why a batch cannot use this directory; None if it can. Changes nothing."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return None
        except OSError as exc:
            return f"it cannot be used: {exc.strerror}"
        owner = self._owner()
        if isinstance(owner, Identity):
            found = owner.differences(identity)
            return f"it belongs to another batch: {'; '.join(found)}" if found else None
        if owner is None and not set(names) <= {".runner"}:  # there alone: cut while it was claimed
            return "it is not empty, and no batch's output"
        return owner

    def _owner(self) -> Identity | str | None:
        try:
            with open(os.path.join(self.hidden, "batch.json"), "rb") as file:
                record = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as exc:
            return f"its batch.json cannot be read: {exc}"
        if record.get("schema") != SCHEMA:
            return f"it is of another version of runner ({record.get('schema')})"
        return Identity(name=record["name"], common=record["common"], jobs=record["jobs"])

    def is_new(self) -> bool:
        """Whether no batch has begun here."""
        return not os.path.exists(self.ledger)

    def claim(self, identity: Identity) -> None:
        """Make the directory, if it is not there, and write down whose it is."""
        os.makedirs(self.hidden, exist_ok=True)
        if self._owner() is None:
            record = {
                "schema": SCHEMA,
                "name": identity.name,
                "common": dict(identity.common),
                "jobs": dict(identity.jobs),
            }
            write_file(os.path.join(self.hidden, "batch.json"), json.dumps(record).encode())


def write_file(path: str, content: bytes, *, durable: bool = True) -> None:
    """Write a file whole: a reader sees the old content or the new, also after a crash.

    Args:
        path: its directory is made if need be.
        content: the bytes.
        durable: also wait until the disk has it.
    """
    beside = f"{path}.part"
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    with open(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(descriptor)
    os.replace(beside, path)
