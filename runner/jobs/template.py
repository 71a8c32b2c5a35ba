"""Templates in batch files: Jinja, sandboxed, with every undefined name an error.

A `Template` knows where it stands, so that a mistake in it is a `Problem` with a place. What a row
has comes before what Python's dictionaries have: `row.items` is the column. Filters beside Jinja's
own: `slug` (for ids and file names) and `quote` (for shell commands).

A batch file can run commands anyway, so the sandbox is no defence against its author; it keeps
`--select` and templates from doing more than they seem to. No I/O.
"""

from __future__ import annotations

import re
import shlex
import traceback
import unicodedata
from collections.abc import Callable, Mapping

import attrs
import jinja2
from jinja2 import meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from runner.errors import Problem
from runner.strict import did_you_mean

VARIABLES = ("row", "id", "index", "attempt", "repeat", "batch")


class TemplateFailed(Exception):  # what the callers turn into problems
    """A template, or an expression, cannot be rendered; `line` is the template's own."""

    def __init__(self, what: str, line: int) -> None:
        self.what = what
        self.line = line
        super().__init__(what)


def slug(text: object) -> str:
    """The text as a part of a file name: ASCII letters, digits, `.`, `_`; the rest is `-`."""
    plain = unicodedata.normalize("NFKD", str(text)).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9._]+", "-", plain).strip("-._")


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: object, attribute: str) -> object:
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


_environment = _Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
_environment.filters["slug"] = slug
_environment.filters["quote"] = lambda text: shlex.quote(str(text))


@attrs.frozen(kw_only=True)
class Template:
    """A compiled template and its place.

    Attributes:
        problem: makes a problem of a sentence and the template's own line.
        uses: the variables that it reads.
        unknown: names that it reads and no template has, with their lines; such a template is of no
            use, and is rendered only to find out what else is wrong with it.
    """

    source: str
    problem: Callable[[str, int], Problem]
    compiled: jinja2.Template
    uses: frozenset[str]
    unknown: Mapping[str, int]

    def render(self, variables: Mapping[str, object]) -> str:
        """The text.

        Raises:
            TemplateFailed: a name is undefined, or something else is wrong.
        """
        try:
            unknown = dict.fromkeys(self.unknown, _Reported())
            return self.compiled.render({**unknown, **variables})
        except Exception as exc:
            raise _failed(exc, variables) from exc


class _Reported(jinja2.ChainableUndefined):
    """In place of an unknown name, which is reported already: what hangs on it shall not be too."""

    def __str__(self) -> str:
        return "?"


def make_template(source: str, problem: Callable[[str, int], Problem]) -> Template:
    """Compile a template.

    Raises:
        TemplateFailed: it is no template.
    """
    try:
        tree = _environment.parse(source)
        uses = frozenset(meta.find_undeclared_variables(tree)) - _environment.globals.keys()
        compiled = _environment.from_string(source)
    except jinja2.TemplateSyntaxError as exc:
        raise TemplateFailed(f"not a template: {exc.message}", exc.lineno) from exc
    unknown = {
        name.name: name.lineno
        for name in reversed(list(tree.find_all(jinja2.nodes.Name)))
        if name.name in uses and name.name not in VARIABLES
    }
    return Template(source=source, problem=problem, compiled=compiled, uses=uses, unknown=unknown)


def make_condition(source: str) -> Callable[[Mapping[str, object]], bool]:
    """Compile an expression such as `row.lang == "py" and index < 10`.

    What comes back raises TemplateFailed when a name is undefined.

    Raises:
        TemplateFailed: it is no expression.
    """
    try:
        expression = _environment.compile_expression(source, undefined_to_none=False)
    except jinja2.TemplateSyntaxError as exc:
        raise TemplateFailed(f"not an expression: {exc.message}", exc.lineno) from exc

    def holds(variables: Mapping[str, object]) -> bool:
        try:
            return bool(expression(**variables))
        except Exception as exc:
            raise _failed(exc, variables) from exc

    return holds


def _failed(exc: Exception, variables: Mapping[str, object]) -> TemplateFailed:
    # Jinja rewrites the traceback so that the template's own lines stand in it.
    frames = traceback.extract_tb(exc.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
    line = (lines[-1] if lines else None) or 1
    if not isinstance(exc, jinja2.UndefinedError):
        return TemplateFailed(f"{type(exc).__name__}: {exc}", line)
    message = str(exc)
    if found := re.fullmatch(r"'(\w+)' is undefined", message):
        return TemplateFailed(f"{found[1]!r} is undefined{did_you_mean(found[1], variables)}", line)
    if found := re.fullmatch(r"'dict object' has no attribute '(.*)'", message):
        row = variables.get("row")
        known = [name for name in row if isinstance(name, str)] if isinstance(row, Mapping) else []
        return TemplateFailed(f"the row has no {found[1]!r}{did_you_mean(found[1], known)}", line)
    return TemplateFailed(message, line)
