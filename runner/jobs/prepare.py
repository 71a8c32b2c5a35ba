"""From a batch file to a plan: everything checked and rendered before anything is created.

`prepare` only reads. It looks at the whole of the file, its data, its templates for every row and
every attempt, its agent and programs, its workspace's source and the output directory, and raises
one `ConfigError` with all that is wrong. A plan that comes out can be carried out, again and again:
what a job's texts are does not depend on when it runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

import attrs

from runner.agents.driver import Agent, Driver
from runner.agents.registry import make_driver
from runner.config import Document, override, override_keys, read_document, read_text
from runner.errors import AgentUnavailable, ConfigError, Problem
from runner.holding import Holding, isolation_of, limits_of
from runner.jobs.agents import find_agent, is_path
from runner.jobs.data import load_rows
from runner.jobs.make import make_jobs, select_jobs
from runner.jobs.output import Identity, Output, digest
from runner.jobs.plan import Plan, PlannedJob, Source, Texts
from runner.jobs.salvage import salvage
from runner.jobs.sources import find_source, project_obstacles
from runner.jobs.spec import Batch
from runner.jobs.template import VARIABLES, Template, TemplateFailed, make_template
from runner.messages import Isolation
from runner.sessions.giving import make_servers
from runner.strict import did_you_mean
from runner.toml_lines import KeyPath

PartT = TypeVar("PartT")


def prepare(
    source: str | os.PathLike[str] | Batch,
    overrides: Iterable[str] = (),
    select: str | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    default_agent: str = "shell",
    projects: str | os.PathLike[str] | None = None,
) -> Plan:
    """Make a plan of a batch.

    Args:
        source: the batch's TOML file, or the record itself (its paths are then relative to the
            current directory).
        overrides: `key=value` texts laid over the file.
        select: an expression over row, id, index and repeat; only jobs for which it holds are
            carried out. The batch stays the same one.
        output: the output directory, to be checked for being usable.
        default_agent: the agent of a batch that names none.
        projects: where projects are kept, to be checked for not being in one.

    Raises:
        ConfigError: with everything that is wrong.
    """
    if isinstance(source, Batch):
        document = Document(where=f"batch {source.name!r}", data={}, lines={})
        preparation = _Preparation(source, document, os.getcwd())
    else:
        base = os.path.dirname(os.path.abspath(source))
        document = _overridden(read_document(source), list(overrides), base)
        sound = salvage(document)
        preparation = _Preparation(sound.batch, sound.document, base, sound.problems)
        if not sound.has_rows:
            preparation.has_rows = False
        if not sound.has_agent:
            default_agent = "shell"
    return preparation.plan(select, output, default_agent, projects)


def _overridden(document: Document, overrides: list[str], base: str) -> Document:
    """The document under its overrides.

    `-c agent.model=...` is for an agent that is only named, too: then its options are opened first.
    """
    whole = [text for text in overrides if override_keys([text]) == [("agent",)]]
    document = override(document, whole)
    inner = [key for key in override_keys(overrides) if len(key) > 1 and key[0] == "agent"]
    name = document.data.get("agent", "shell")
    if inner and isinstance(name, str):
        options: Mapping[str, object] = {"kind": name}
        if is_path(name):
            options = read_document(os.path.join(base, name)).data
        document = attrs.evolve(document, data={**document.data, "agent": dict(options)})
    return override(document, [text for text in overrides if text not in whole])


class _Preparation:
    """One batch on its way to a plan; every part adds what it finds wrong to `problems`."""

    def __init__(
        self, batch: Batch, document: Document, base: str, problems: Iterable[Problem] = ()
    ) -> None:
        self.batch = batch
        self.document = document
        self.base = base
        self.problems = list(problems)
        self.has_rows = True  # without rows the templates are looked at, but not rendered

    def plan(
        self,
        select: str | None,
        output: str | os.PathLike[str] | None,
        default_agent: str,
        projects: str | os.PathLike[str] | None,
    ) -> Plan:
        named, said_by = self.batch.agent, self.document
        if named is None:
            named, said_by = default_agent, Document(where="default_agent", data={}, lines={})
        agent = self._try(lambda: find_agent(named, self.base, said_by))
        driver = None
        if agent is not None:
            driver = self._try_at(("agent",), partial(make_driver, agent))
            if driver is not None and self.batch.servers:
                self._servers(agent, driver)
        source = self._source(output, projects)
        isolation = None if self.batch.isolation is None else self._isolation(self.batch.isolation)
        texts = Texts(
            prompts=self._prompts(),
            setup=self._templates("setup", self.batch.setup),
            verify=self._templates("verify", self.batch.verify),
        )
        ids = self._templates("id", () if self.batch.id is None else (self.batch.id,))
        jobs = self._jobs(ids, texts, driver)
        every = not self.problems  # else the one that is selected may be missing
        selected = self._try(lambda: select_jobs(jobs, select, self.batch.name, every=every))
        if agent is None or selected is None or self.problems:
            raise ConfigError(*sorted(self.problems, key=self._by_place))
        identity = self._identity(agent, texts, jobs)
        if output is not None:
            obstacle = Output.at(output).obstacle(identity)
            if obstacle is not None:
                raise ConfigError(Problem(os.fspath(output), None, "", obstacle))
        return Plan(
            batch=self.batch,
            document=self.document,
            base=self.base,
            agent=agent,
            source=source,
            jobs=tuple(jobs),
            selected=selected,
            texts=texts,
            identity=identity,
            isolation=isolation,
        )

    # -------------------------------------------------------- problems

    def _problem(self, path: KeyPath, what: str) -> None:
        self.problems.append(self.document.problem(path, what))

    def _by_place(self, problem: Problem) -> tuple[bool, str, float]:
        """In the order of the file, what has no line there after that; then the other files."""
        line = float("inf") if problem.line is None else problem.line
        return (problem.where != self.document.where, problem.where, line)

    def _try(self, part: Callable[[], PartT]) -> PartT | None:
        try:
            return part()
        except ConfigError as exc:
            self.problems += exc.problems
            return None

    # -------------------------------------------------------- workspace

    def _source(
        self, output: str | os.PathLike[str] | None, projects: str | os.PathLike[str] | None
    ) -> Source:
        source, found = find_source(self.batch.workspace, self.base)
        if source.has_history and not found:
            found = project_obstacles(source, output, projects)
        for key, what in found:
            self._problem(("workspace", key), what)
        return source

    # -------------------------------------------------------- servers

    def _servers(self, agent: Agent, driver: Driver) -> None:
        try:
            make_servers(agent, driver, self.batch.servers)
        except (ConfigError, AgentUnavailable) as exc:
            self._problem(("servers",), str(exc))

    # -------------------------------------------------------- isolation

    def _isolation(self, wanted: Holding) -> Isolation | None:
        self._try_at(("isolation", "limits"), lambda: limits_of(wanted.limits))
        if not isinstance(wanted.network, str):
            for number, host in enumerate(wanted.network):
                at: KeyPath = ("isolation", "network", number)
                self._try_at(at, lambda host=host: Isolation(network=(host,)))  # type: ignore[misc]
        if self.problems:
            return None
        return self._try_at(("isolation",), lambda: isolation_of(wanted, self.base))

    def _try_at(self, path: KeyPath, part: Callable[[], PartT]) -> PartT | None:
        """As `_try`, for what does not know where its values come from."""
        try:
            return part()
        except ConfigError as exc:
            for problem in exc.problems:
                self._problem(path, problem.what)
            return None

    # -------------------------------------------------------- templates

    def _prompts(self) -> tuple[Template, ...]:
        batch = self.batch
        if batch.prompt_file is None:
            key = "prompt" if batch.prompt is not None else "prompts"
            texts = (batch.prompt,) if batch.prompt is not None else batch.prompts or ()
            return self._templates(key, texts)
        path = os.path.join(self.base, batch.prompt_file)
        try:
            text = read_text(path)
        except ConfigError as exc:
            for problem in exc.problems:
                self._problem(("prompt_file",), f"{path}: {problem.what}")
            return ()
        return self._compiled(text, lambda what, line: Problem(path, line, "", what))

    def _templates(self, key: str, texts: tuple[str, ...]) -> tuple[Template, ...]:
        listed = isinstance(getattr(self.batch, key), tuple)
        found: list[Template] = []
        for number, text in enumerate(texts):
            path: KeyPath = (key, number) if listed else (key,)

            def problem(what: str, line: int, path: KeyPath = path, text: str = text) -> Problem:
                which = f"line {line} of the template: " if "\n" in text.strip() else ""
                return self.document.problem(path, which + what)

            found += self._compiled(text, problem)
        return tuple(found)

    def _compiled(self, text: str, problem: Callable[[str, int], Problem]) -> tuple[Template, ...]:
        try:
            template = make_template(text, problem)
        except TemplateFailed as exc:
            self.problems.append(problem(exc.what, exc.line))
            return ()
        for name, line in template.unknown.items():
            what = f"{name!r} is undefined{did_you_mean(name, VARIABLES)}"
            self.problems.append(problem(what, line))
        return (template,)

    # -------------------------------------------------------- jobs

    def _jobs(
        self, ids: tuple[Template, ...], texts: Texts, driver: Driver | None
    ) -> list[PlannedJob]:
        if not self.has_rows:
            return []
        rows = self._try(lambda: load_rows(self.batch.data, self.base, self.document)) or []
        jobs, problems = make_jobs(
            self.batch, rows, ids[0] if ids else None, texts, self.document, driver=driver
        )
        self.problems += problems
        return jobs

    def _identity(self, agent: Agent, texts: Texts, jobs: list[PlannedJob]) -> Identity:
        workspace = attrs.asdict(self.batch.workspace)
        del workspace["watch"]  # nothing comes out otherwise
        if workspace["isolation"] == "directory":  # as in a batch that began before there was it
            del workspace["isolation"]
        common = {
            "agent": digest(attrs.asdict(agent)),
            "workspace": digest(workspace),
            "env": digest(self.batch.env),
            "templates": digest([template.source for template in texts.all()]),
        }
        if self.batch.servers:
            common["servers"] = digest([attrs.asdict(each) for each in self.batch.servers])
        if self.batch.isolation is not None:  # but for its limits, which may differ
            held = attrs.asdict(self.batch.isolation)
            common["isolation"] = digest({**held, "limits": None})
        return Identity(
            name=self.batch.name, common=common, jobs={job.id: job.digest for job in jobs}
        )
