"""From a batch file to a plan: everything checked and rendered before anything is created.

`prepare` only reads. It looks at the whole of the file, its data, its templates for every row and
every attempt, its agent and programs, its workspace's source and the output directory, and raises
one `ConfigError` with all that is wrong. A plan that comes out can be carried out, again and again:
what a job's texts are does not depend on when it runs.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar, assert_never

import attrs

from runner.agents.driver import Agent, ClaudeAgent, CodexAgent, CommandAgent, ShellAgent
from runner.config import (
    Document,
    load_record,
    override,
    override_keys,
    read_document,
    read_text,
    structure,
)
from runner.errors import ConfigError, Problem
from runner.jobs.data import Row, load_rows
from runner.jobs.make import make_jobs, select_jobs
from runner.jobs.output import Identity, Output, digest
from runner.jobs.plan import Plan, PlannedJob, Source, Texts
from runner.jobs.spec import Batch
from runner.jobs.template import VARIABLES, Template, TemplateFailed, make_template
from runner.strict import Mistakes, did_you_mean, structure_value
from runner.toml_lines import KeyPath

PartT = TypeVar("PartT")

AGENTS = ("shell", "command", "claude", "codex")


def prepare(
    source: str | os.PathLike[str] | Batch,
    overrides: Iterable[str] = (),
    select: str | None = None,
    *,
    output: str | os.PathLike[str] | None = None,
    default_agent: str = "shell",
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

    Raises:
        ConfigError: with everything that is wrong.
    """
    if isinstance(source, Batch):
        document = Document(where=f"batch {source.name!r}", data={}, lines={})
        preparation = _Preparation(source, document, os.getcwd())
    else:
        base = os.path.dirname(os.path.abspath(source))
        document = _overridden(read_document(source), list(overrides), base)
        try:
            batch = structure(document, Batch)
        except ConfigError as broken:
            problems = [*broken.problems, *_also_wrong(document, base, broken, default_agent)]
            raise ConfigError(*sorted(problems, key=_by_line)) from None
        preparation = _Preparation(batch, document, base)
    return preparation.plan(select, output, default_agent)


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
        if _is_path(name):
            options = read_document(os.path.join(base, name)).data
        document = attrs.evolve(document, data={**document.data, "agent": dict(options)})
    return override(document, [text for text in overrides if text not in whole])


def _by_line(problem: Problem) -> float:
    """In the order of the file; what has no line there comes last."""
    return float("inf") if problem.line is None else problem.line


def _also_wrong(
    document: Document, base: str, broken: ConfigError, default_agent: str
) -> Iterable[Problem]:
    """What else is wrong in the parts of a file that can be used as they are."""
    unusable = {re.split(r"[.\[]", problem.key)[0] for problem in broken.problems}
    if "data" in unusable:
        return ()  # without the rows nothing can be said of the templates
    filled = {"name": "name", "prompt": "prompt"}
    data = {key: value for key, value in document.data.items() if key not in unusable}
    for key in ("prompts", "prompt_file"):
        if key in data:
            del filled["prompt"]
            break
    sound = attrs.evolve(document, data={**filled, **data})
    try:
        _Preparation(structure(sound, Batch), sound, base).plan(None, None, default_agent)
    except ConfigError as found:
        return [problem for problem in found.problems if problem not in broken.problems]
    return ()


def _is_path(agent: str) -> bool:
    return agent not in AGENTS and (agent.endswith(".toml") or "/" in agent)


class _Preparation:
    """One batch on its way to a plan; every part adds what it finds wrong to `problems`."""

    def __init__(self, batch: Batch, document: Document, base: str) -> None:
        self.batch = batch
        self.document = document
        self.base = base
        self.problems: list[Problem] = []

    def plan(
        self, select: str | None, output: str | os.PathLike[str] | None, default_agent: str
    ) -> Plan:
        agent = self._try(lambda: self._agent(default_agent))
        source = self._source()
        texts = Texts(
            prompts=self._prompts(),
            setup=self._templates("setup", self.batch.setup),
            verify=self._templates("verify", self.batch.verify),
        )
        ids = self._templates("id", () if self.batch.id is None else (self.batch.id,))
        rows = self._try(lambda: load_rows(self.batch.data, self.base, self.document)) or []
        jobs = self._jobs(rows, ids, texts)
        selected = self._try(lambda: select_jobs(jobs, select, self.batch.name))
        if agent is None or selected is None or self.problems:
            raise ConfigError(*sorted(self.problems, key=self._by_place))
        identity = self._identity(agent, texts, jobs)
        if output is not None:
            obstacle = Output.at(output).obstacle(identity)
            if obstacle is not None:
                raise ConfigError(Problem(os.fspath(output), None, "", obstacle))
        return Plan(
            batch=self.batch,
            where=self.document.where,
            base=self.base,
            agent=agent,
            source=source,
            jobs=tuple(jobs),
            selected=selected,
            texts=texts,
            identity=identity,
        )

    # -------------------------------------------------------- problems

    def _problem(self, path: KeyPath, what: str) -> None:
        self.problems.append(self.document.problem(path, what))

    def _by_place(self, problem: Problem) -> tuple[bool, str, int]:
        return (problem.where != self.document.where, problem.where, problem.line or 0)

    def _try(self, part: Callable[[], PartT]) -> PartT | None:
        try:
            return part()
        except ConfigError as exc:
            self.problems += exc.problems
            return None

    # -------------------------------------------------------- agent

    def _agent(self, default: str) -> Agent | None:
        named = self.batch.agent if self.batch.agent is not None else default
        if not isinstance(named, str):
            agent: Agent | None = named
        elif _is_path(named):
            agent = load_record(os.path.join(self.base, named), Agent)  # type: ignore[arg-type]
        else:
            agent = self._built_in(named)
        if agent is not None:
            self._program(agent)
        return agent

    def _built_in(self, name: str) -> Agent | None:
        if name not in AGENTS:
            hint = did_you_mean(name, AGENTS)
            what = f"{name!r} is no built-in agent, nor the path of a .toml file{hint}"
            self._problem(("agent",), what)
            return None
        try:
            return structure_value({"kind": name}, Agent)  # type: ignore[arg-type]
        except Mistakes:
            what = f"{name!r} needs options: give a table with kind = {name!r}, or a .toml file"
            self._problem(("agent",), what)
            return None

    def _program(self, agent: Agent) -> None:
        match agent:
            case ShellAgent():
                program = agent.shell
            case CommandAgent():
                program = agent.argv[0] if agent.argv else ""
            case ClaudeAgent() | CodexAgent():
                program = agent.program
            case _:
                assert_never(agent)
        if not program:
            self._problem(("agent", "argv"), "must name a program")
        elif "{" not in program and (os.path.isabs(program) or "/" not in program):
            # A relative path is the workspace's own program; that cannot be known before.
            path = agent.env.get("PATH") or os.environ.get("PATH")
            if shutil.which(program, path=path) is None:
                what = f"the program {program!r} is not installed, or not in PATH"
                self._problem(("agent",), what)

    # -------------------------------------------------------- workspace

    def _source(self) -> Source:
        workspace = self.batch.workspace
        if workspace.copy is not None:
            return Source(kind="copy", path=self._directory("copy", workspace.copy))
        if workspace.in_place is not None:
            return Source(kind="in_place", path=self._directory("in_place", workspace.in_place))
        if workspace.repo is None:
            return Source(kind="empty")
        source = Source(kind="repo", path=workspace.repo, ref=workspace.ref)
        if not source.is_url:
            path = os.path.normpath(os.path.join(self.base, workspace.repo))
            source = attrs.evolve(source, path=path)
            if not _is_repository(path):
                self._problem(("workspace", "repo"), f"there is no git repository at {path!r}")
        if shutil.which("git") is None:
            self._problem(("workspace", "repo"), "the program 'git' is not installed")
        return source

    def _directory(self, key: str, path: str) -> str:
        path = os.path.normpath(os.path.join(self.base, path))
        if not os.path.isdir(path):
            self._problem(("workspace", key), f"there is no directory {path!r}")
        return path

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

    def _jobs(self, rows: list[Row], ids: tuple[Template, ...], texts: Texts) -> list[PlannedJob]:
        jobs, problems = make_jobs(self.batch, rows, ids[0] if ids else None, texts, self.document)
        self.problems += problems
        return jobs

    def _identity(self, agent: Agent, texts: Texts, jobs: list[PlannedJob]) -> Identity:
        common = {
            "agent": digest(attrs.asdict(agent)),
            "workspace": digest(attrs.asdict(self.batch.workspace)),
            "env": digest(self.batch.env),
            "templates": digest([template.source for template in texts.all()]),
        }
        return Identity(
            name=self.batch.name, common=common, jobs={job.id: job.digest for job in jobs}
        )


def _is_repository(path: str) -> bool:
    if os.path.exists(os.path.join(path, ".git")):  # a directory, or a worktree's file
        return True
    return all(os.path.exists(os.path.join(path, name)) for name in ("HEAD", "objects", "refs"))
