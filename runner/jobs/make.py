"""Jobs of rows: ids, repetitions, rendered texts, selection; and all that can be wrong with them.

A mistake that many rows share is told once, with the first row and the number of the others.
No I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from runner.agents.driver import Driver
from runner.config import Document
from runner.errors import ConfigError, Problem
from runner.jobs.data import Row
from runner.jobs.output import digest
from runner.jobs.plan import ID, PlannedJob, Rendered, Texts, template_variables
from runner.jobs.spec import Batch
from runner.jobs.template import Template, TemplateFailed, make_condition, slug

SELECT = "--select"


def make_jobs(
    batch: Batch,
    rows: Iterable[Row],
    ids: Template | None,
    texts: Texts,
    document: Document,
    *,
    driver: Driver | None,
) -> tuple[list[PlannedJob], list[Problem]]:
    """The jobs in their order, and what is wrong with them, also for their agent if it is known."""
    making = _Making(batch, ids, texts, document, driver)
    for row in rows:
        for repeat in range(1, batch.repeat + 1):
            making.add(row, repeat)
    return making.jobs, list(making.problems())


def select_jobs(
    jobs: Sequence[PlannedJob], select: str | None, batch: str, *, every: bool = True
) -> frozenset[str]:
    """The ids of the jobs for which the expression holds.

    Args:
        jobs: to choose from.
        select: the expression; None = all.
        batch: the batch's name.
        every: whether these are all jobs there are, so that it must hold for one of them.

    Raises:
        ConfigError: it is no expression, uses an undefined name, or holds for no job.
    """
    if select is None:
        return frozenset(job.id for job in jobs)
    chosen: set[str] = set()
    try:
        holds = make_condition(select)
        for job in jobs:
            variables = {"row": job.row, "id": job.id, "index": job.index, "repeat": job.repeat}
            if holds({**variables, "batch": batch}):
                chosen.add(job.id)
    except TemplateFailed as exc:
        raise ConfigError(Problem(SELECT, None, "", exc.what)) from None
    if jobs and every and not chosen:
        raise ConfigError(Problem(SELECT, None, "", f"no job matches {select!r}"))
    return frozenset(chosen)


class _Making:
    """The jobs so far; `_found` has, by problem, the first row's place and how many more."""

    def __init__(
        self,
        batch: Batch,
        ids: Template | None,
        texts: Texts,
        document: Document,
        driver: Driver | None,
    ) -> None:
        self._batch = batch
        self._template = ids
        self._texts = texts
        self._document = document
        self._driver = driver
        self._ids: dict[str, str] = {}
        self._found: dict[Problem, tuple[str, int]] = {}
        attempts = batch.max_attempts if _uses_attempt(texts) else 1
        self._attempts = range(1, attempts + 1)
        self.jobs: list[PlannedJob] = []

    def problems(self) -> Iterator[Problem]:
        for problem, (place, more) in self._found.items():
            rows = f" ({place}{f' and {more} more' if more else ''})"
            yield Problem(problem.where, problem.line, problem.key, problem.what + rows)

    def _report(self, problem: Problem, row: Row) -> None:
        place, more = self._found.get(problem, (row.place, -1))
        self._found[problem] = (place, more + 1)

    def add(self, row: Row, repeat: int) -> None:
        variables = template_variables(
            batch=self._batch.name,
            row=row.values,
            index=row.index,
            repeat=repeat,
            job="",
            attempt=1,
        )
        job = self._make_id(row, repeat, variables)
        if job is None:
            return
        variables["id"] = job
        rendered = self._render(row, variables)
        if rendered is None:
            return
        texts = [rendered.prompts, rendered.setup, rendered.verify]
        planned = PlannedJob(
            number=len(self.jobs) + 1,
            id=job,
            index=row.index,
            repeat=repeat,
            row=row.values,
            first=rendered,
            digest=digest(texts),
        )
        self.jobs.append(planned)

    def _make_id(self, row: Row, repeat: int, variables: Mapping[str, object]) -> str | None:
        suffix = f"-r{repeat}" if self._batch.repeat > 1 else ""
        if self._template is None:
            job = _default_id(self._batch.name, row) + suffix
        else:
            try:
                job = self._template.render(
                    {k: v for k, v in variables.items() if k != "id"}
                ).strip()
            except TemplateFailed as exc:
                self._report(self._template.problem(exc.what, exc.line), row)
                return None
            job += "" if "repeat" in self._template.uses else suffix
        if not ID.fullmatch(job):
            what = (
                f"the id {job!r} cannot name a file: use letters, digits, '.', '_', '-', "
                "120 at most, such as {{ row.name | slug }} gives"
            )
            self._report(self._document.problem(("id",), what), row)
            return None
        if job in self._ids:
            what = f"the id {job!r} is there twice, first for {self._ids[job]}"
            self._report(self._document.problem(("id",), what), row)
            return None
        self._ids[job] = row.place
        return job

    def _render(self, row: Row, variables: dict[str, object]) -> Rendered | None:
        """The first attempt's texts, after all the later ones' have been tried."""
        groups = (self._texts.prompts, self._texts.setup, self._texts.verify)
        rendered: list[tuple[str, ...]] = []
        wrong = False
        for attempt in reversed(self._attempts):
            variables["attempt"] = attempt
            rendered = []
            for templates in groups:
                texts = [self._text(template, row, variables) for template in templates]
                rendered.append(tuple(text for text in texts if text is not None))
                wrong = wrong or None in texts
        prompts, setup, verify = rendered
        return None if wrong else Rendered(prompts=prompts, setup=setup, verify=verify)

    def _text(self, template: Template, row: Row, variables: Mapping[str, object]) -> str | None:
        try:
            text = template.render(variables)
        except TemplateFailed as exc:
            self._report(template.problem(exc.what, exc.line), row)
            return None
        if not text.strip():
            self._report(template.problem("it comes out empty", 1), row)
            return None
        most = len(text)
        if self._driver is not None and template in self._texts.prompts:
            most = self._driver.max_prompt
        if len(text) > most:
            what = f"it comes out longer than the {most} characters that the agent takes"
            self._report(template.problem(what, 1), row)
            return None
        return text


def _uses_attempt(texts: Texts) -> bool:
    return any("attempt" in template.uses for template in texts.all())


def _default_id(name: str, row: Row) -> str:
    """`0003-src-app-py`: the number, and the first text of the row; without data the name."""
    if not row.values:
        return slug(name)[:80] or "job"
    words = (value for value in row.values.values() if isinstance(value, str))
    word = slug(next(words, ""))[:60].strip("-._")
    return f"{row.index:04d}-{word}" if word else f"{row.index:04d}"
