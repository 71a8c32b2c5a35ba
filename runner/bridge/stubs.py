"""Writes what type checkers know of `runner.blocking` and `runner.asyncio`, from runner's sources.

    python -m runner.bridge.stubs

For asyncio the names and types are runner's own. For `blocking.pyi` signatures are copied, `async`
and its context managers and iterators taken away, and the names of classes that live in trio's
thread replaced by those of their stand-ins. A test says when a file is not what this writes.
"""

from __future__ import annotations

import ast
import inspect
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import runner
from runner.backends.base import Backend
from runner.bridge.manners import Blocking

TARGET = Path(runner.__file__).with_name("blocking.pyi")
BASE = ("runner.backends.base", "Backend")
PUBLIC = {name: getattr(runner, name) for name in runner.__all__}
STAND_INS = {
    name: each
    for name, each in PUBLIC.items()
    if isinstance(each, type) and Blocking().class_of(each) is not each
}
PLAIN = sorted(PUBLIC.keys() - STAND_INS.keys() - {"open_runner", "make_session"})
CLASSES = {  # whose objects are given as stand-ins, and how those are called in the file
    BASE: "Backend",
    ("runner.sessions.followers", "Follower"): "SessionFollower",
    ("runner.operations.changing", "Batch"): "EffectBatch",
    ("runner.scopes.pool_entry", "Lease"): "Lease",
    ("runner.workspaces.audit", "Following"): "AuditFollower",
    **{(each.__module__, each.__name__): name for name, each in STAND_INS.items()},
}
SHOWN = {**CLASSES, ("runner.operations.asking", "Asking"): "(Backend | Scope)"}
WORDS = {
    "AbstractAsyncContextManager": "AbstractContextManager",
    "AsyncIterator": "Iterator",
    "AsyncIterable": "Iterable",
}
PROTOCOLS = {
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "aclose": "close",
}
_MANAGERS = {"asynccontextmanager", "contextlib.asynccontextmanager"}
KEPT = {"__enter__", "__exit__", *PROTOCOLS}
Function = ast.FunctionDef | ast.AsyncFunctionDef
HEAD = '''"""Made by `python -m runner.bridge.stubs`; see there."""

# ruff: noqa
'''
TAIL = """
BLOCKING: Blocking

def open_runner(
    config: RunnerConfig | str | os.PathLike[str] | None = ...,
    *,
    state: str | os.PathLike[str] | None = ...,
) -> AbstractContextManager[Runner]: ...
def make_session(
    cwd: str | os.PathLike[str],
    *,
    agent: Agent | Driver | str | None = ...,
    backend: str | None = ...,
    env_var: str | None = ...,
    rng: random.Random | None = ...,
    sandbox: str | None = ...,
    model: str | None = ...,
    timeout: float | None = ...,
    extra_args: Sequence[str] = ...,
    extra_env: Mapping[str, Value] = ...,
    isolation: Isolation | None = ...,
    id: str | None = ...,
    durable: bool = ...,
    state: str | os.PathLike[str] | None = ...,
    ignore: Sequence[str] = ...,
) -> AbstractContextManager[Session]: ...
@overload
def wrap(target: _Scope) -> Scope: ...
@overload
def wrap(target: _Backend) -> Backend: ...
@overload
def wrap(target: _BackendPool[Any]) -> BackendPool[Any]: ...
@overload
def wrap(target: object) -> Any: ...
"""
ASYNCIO_TAIL = """
from typing import TypeVar
from runner.bridge.manners import Asyncio

T = TypeVar("T")

ASYNCIO: Asyncio

def wrap(target: T) -> T: ...
"""
IMPORTS = {
    "import os",
    "import random",
    "from collections.abc import Mapping, Sequence",
    "from runner.agents.driver import Driver",
    "from runner.agents.secret import Value",
    "from contextlib import AbstractContextManager",
    "from typing import Any, overload",
    "from runner.bridge.manners import Blocking",
    "from runner import Scope as _Scope",
    "from runner.backends.base import Backend as _Backend",
    "from runner import BackendPool as _BackendPool",
    *(f"from runner import {name} as {name}" for name in PLAIN),
}


class Source:
    """A module's source: its classes, and where its names come from."""

    def __init__(self, module: ModuleType) -> None:
        tree = ast.parse(inspect.getsource(module))
        self.name = module.__name__
        self.classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
        self.homes: dict[str, tuple[str, str]] = {}
        self.modules: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                for each in node.names:
                    self.homes[each.asname or each.name] = (str(node.module), each.name)
            elif isinstance(node, ast.Import):
                self.modules |= {each.name for each in node.names}

    def home(self, name: str) -> tuple[str, str] | None:
        """The module and the name there of a name used here; None for a builtin or a module."""
        if name in self.homes:
            home = self.homes[name]
            # Many names of ours are given on by their package: their own class says more.
            found = getattr(import_module(home[0]), home[1], None)
            own = (getattr(found, "__module__", ""), getattr(found, "__name__", ""))
            return own if own in SHOWN else home
        is_here = hasattr(sys.modules[self.name], name)
        return (self.name, name) if is_here and name not in self.modules else None


class Renaming(ast.NodeTransformer):
    """Annotations as the file has them; what they need is imported."""

    def __init__(self, source: Source, imports: set[str]) -> None:
        self.source = source
        self.imports = imports

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """A name: of a stand-in, of a protocol without `async`, or imported."""
        home = self.source.home(node.id)
        if home in SHOWN:
            return ast.Name(SHOWN[home])
        if node.id in self.source.modules:
            self.imports.add(f"import {node.id}")
        elif home is not None and node.id not in PLAIN:
            name = WORDS.get(home[1], home[1])
            shown = WORDS.get(node.id, node.id)
            suffix = f" as {shown}" if shown != name else ""
            self.imports.add(f"from {home[0]} import {name}{suffix}")
            return ast.Name(shown)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """A literal stays."""
        return node


def methods_of(module: str, name: str, imports: set[str]) -> dict[str, list[str]]:
    """The lines of a class, by member: of all its bases, but not what every backend has."""
    cls = getattr(import_module(module), name)
    found: dict[str, list[str]] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("runner."):
            source = Source(sys.modules[base.__module__])
            found |= members(source, source.classes[base.__name__], imports)
    follows = [b for b in cls.__mro__ if b.__name__ in {"ReceiveChannel", "AsyncResource"}]
    if follows:  # trio's own: iterated by its `receive`
        item = found["receive"][0].rpartition("->")[2].removesuffix(": ...")
        found["__iter__"] = ["def __iter__(self) -> Self: ..."]
        found["__next__"] = [f"def __next__(self) ->{item}: ..."]
        imports.add("from typing import Self")
    if issubclass(cls, Backend) and cls is not Backend:
        inherited = methods_of(*BASE, imports)
        return {name: lines for name, lines in found.items() if lines != inherited.get(name)}
    return found


def members(source: Source, cls: ast.ClassDef, imports: set[str]) -> dict[str, list[str]]:
    """The public members of one class, by name."""
    found: dict[str, list[str]] = {}
    for node in cls.body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            found |= value_of(source, node, imports)
        elif isinstance(node, Function) and node.name == "__init__":
            found |= attributes(source, node, imports)
            found["__init__"] = signature(source, node, "__init__", imports)
        elif isinstance(node, Function) and (node.name[0] != "_" or node.name in KEPT):
            name = PROTOCOLS.get(node.name, node.name)
            lines = signature(source, node, name, imports)
            is_more = bool(found.get(name, [""])[0].startswith("@overload"))
            if lines[0] == "@overload" and is_more:
                found[name] += lines
            elif not is_more:
                found[name] = lines
            if name == "close" and node.name == "aclose":
                found["aclose"] = [lines[-1].replace("def close", "def aclose")]
    return found


def value_of(
    source: Source, node: ast.AnnAssign | ast.Assign, imports: set[str]
) -> dict[str, list[str]]:
    """A public attribute of a class; one of which no type is written, as a descriptor, is any."""
    target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
    if not isinstance(target, ast.Name) or target.id.startswith("_"):
        return {}
    if isinstance(node, ast.Assign):
        return {target.id: [f"{target.id}: Any"]}
    note = Renaming(source, imports).visit(node.annotation)
    return {target.id: [f"{target.id}: {ast.unparse(note)}"]}


def attributes(source: Source, init: Function, imports: set[str]) -> dict[str, list[str]]:
    """Public attributes that a constructor sets, as far as their types are written there."""
    given = {each.arg: each.annotation for each in (*init.args.args, *init.args.kwonlyargs)}
    found: dict[str, list[str]] = {}
    for node in ast.walk(init):
        target: ast.expr | None = None
        note: ast.expr | None = None
        if isinstance(node, ast.AnnAssign):
            target, note = node.target, node.annotation
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            target, note = node.targets[0], given.get(node.value.id)
        if isinstance(target, ast.Attribute) and target.attr[0] != "_" and note is not None:
            text = ast.unparse(Renaming(source, imports).visit(note))
            found[target.attr] = [f"{target.attr}: {text}"]
    return found


def signature(source: Source, node: Function, name: str, imports: set[str]) -> list[str]:
    """A method's decorators and its first line."""
    renaming = Renaming(source, imports)
    marks = {ast.unparse(each) for each in node.decorator_list}
    args = node.args
    for each in (*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg):
        if each is not None and each.annotation is not None:
            each.annotation = renaming.visit(each.annotation)
    args.defaults = [ast.Constant(...) for _ in args.defaults]
    args.kw_defaults = [default and ast.Constant(...) for default in args.kw_defaults]
    returns: ast.expr | None = node.returns
    if isinstance(returns, ast.Subscript) and ast.unparse(returns.value) == "Coroutine":
        assert isinstance(returns.slice, ast.Tuple)
        returns = returns.slice.elts[2]
    if marks & _MANAGERS and isinstance(returns, ast.Subscript):
        inner = returns.slice.elts[0] if isinstance(returns.slice, ast.Tuple) else returns.slice
        returns = ast.Subscript(ast.Name("AbstractContextManager"), inner)
    answer = "None" if returns is None else ast.unparse(renaming.visit(returns))
    shown = [f"@{each}" for each in ("overload", "property") if each in marks or _is(each, marks)]
    return [*shown, f"def {name}({ast.unparse(args)}) -> {answer}: ..."]


def _is(mark: str, marks: set[str]) -> bool:
    return mark == "property" and bool(marks & {"functools.cached_property", "cached_property"})


def make() -> str:
    """The text of `blocking.pyi`."""
    imports = set(IMPORTS)
    bodies = [class_of(module, name, shown, imports) for (module, name), shown in CLASSES.items()]
    return "\n".join([HEAD, *sorted(imports), "", *bodies]) + "\n" + TAIL


def class_of(module: str, name: str, shown: str, imports: set[str]) -> str:
    """One class."""
    source = Source(sys.modules[module])
    bases = [
        ast.unparse(Renaming(source, imports).visit(base))
        for base in source.classes[name].bases
        if "Generic" in ast.unparse(base)
    ]
    if (module, name) != BASE and issubclass(getattr(sys.modules[module], name), Backend):
        bases.append("Backend")
    head = f"class {shown}({', '.join(bases)}):" if bases else f"class {shown}:"
    lines = [line for each in methods_of(module, name, imports).values() for line in each]
    return "\n".join([head, *(f"    {line}" for line in lines or ["..."])])


def make_asyncio() -> str:
    """The text of `asyncio.pyi`: there, the names have the types that they have in `runner`."""
    names = [f"from runner import {name} as {name}" for name in runner.__all__]
    return "\n".join([HEAD, *names, ASYNCIO_TAIL])


def main() -> None:
    """Write the files."""
    TARGET.write_text(make())
    TARGET.with_name("asyncio.pyi").write_text(make_asyncio())


if __name__ == "__main__":
    main()
