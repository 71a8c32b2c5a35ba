"""How the workspaces of a batch are called, and by what they are found again. Pure.

    BATCH.JOB.ATTEMPT             for people; the batch's name as a file could have it
    BATCH.JOB.ATTEMPT-MARK        if somebody else has that name

Whose a workspace is, its tags say: the mark tells one output directory from every other, wherever
it stands by now, so that a batch that goes on finds what it has left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from runner.jobs.template import slug
from runner.workspaces.names import LONGEST

BATCH, JOB, ATTEMPT, OUTPUT = "batch=", "job=", "attempt=", "output="
_LEAST = 24  # characters of a long batch's name that stay
TRIES = 9  # names with a mark, for those that cannot be removed


def names(batch: str, job: str, attempt: int, mark: str) -> Iterator[str]:
    """The names that an attempt's workspace may have, the best first."""
    yield _name(batch, job, str(attempt))
    yield _name(batch, job, f"{attempt}-{mark}")
    for number in range(2, TRIES + 1):
        yield _name(batch, job, f"{attempt}-{mark}-{number}")


def _name(batch: str, job: str, end: str) -> str:
    """The three of them, as short as a workspace's name has to be; ids of jobs are ASCII."""
    first = slug(batch) or "batch"
    room = LONGEST - len(job) - len(end) - 2
    if room < min(len(first), _LEAST):  # then the id is shortened, and stays the only one such
        digest = hashlib.sha256(job.encode()).hexdigest()[:8]
        job = f"{job[: LONGEST - _LEAST - len(end) - len(digest) - 3]}~{digest}"
        room = LONGEST - len(job) - len(end) - 2
    return f"{first[:room]}.{job}.{end}"


def tags(batch: str, job: str, attempt: int, mark: str) -> tuple[str, ...]:
    """What is written down of an attempt's workspace."""
    return (f"{BATCH}{batch}", f"{JOB}{job}", f"{ATTEMPT}{attempt}", f"{OUTPUT}{mark}")


def attempt_of(given: Iterable[str], mark: str) -> tuple[str, int] | None:
    """The job and the attempt that a workspace with these tags is of; None = of none of the mark's.

    Tags can be written by everybody.
    """
    known = set(given)
    jobs = [each.removeprefix(JOB) for each in known if each.startswith(JOB)]
    attempts = [each.removeprefix(ATTEMPT) for each in known if each.startswith(ATTEMPT)]
    if f"{OUTPUT}{mark}" not in known or len(jobs) != 1 or len(attempts) != 1:
        return None
    return (jobs[0], int(attempts[0])) if attempts[0].isdecimal() else None
