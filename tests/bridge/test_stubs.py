"""What type checkers know of blocking calls is what there is."""

from __future__ import annotations

import ast
import importlib

import pytest

from runner import blocking
from runner.bridge import stubs


@pytest.mark.parametrize(
    ("name", "make"), [("blocking.pyi", stubs.make), ("asyncio.pyi", stubs.make_asyncio)]
)
def test_the_stub_files_are_what_is_made_from_the_sources(name, make):
    written, made = ast.parse(stubs.TARGET.with_name(name).read_text()), ast.parse(make())

    assert ast.unparse(written) == ast.unparse(made), "run: python -m runner.bridge.stubs"


@pytest.mark.parametrize(("home", "name"), stubs.CLASSES.items())
def test_what_the_stub_file_names_is_there_at_run_time(home, name):
    module, cls = home
    made = blocking.BLOCKING._make_class(getattr(importlib.import_module(module), cls))
    (node,) = [
        each
        for each in ast.parse(stubs.TARGET.read_text()).body
        if isinstance(each, ast.ClassDef) and each.name == name
    ]
    functions = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    properties = {
        each.name
        for each in node.body
        if isinstance(each, ast.FunctionDef)
        and any(ast.unparse(mark) == "property" for mark in each.decorator_list)
    }

    assert functions - properties <= set(dir(made))


def test_they_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(stubs, "TARGET", tmp_path / "blocking.pyi")

    stubs.main()

    assert (tmp_path / "blocking.pyi").read_text() == stubs.make()
    assert (tmp_path / "asyncio.pyi").read_text() == stubs.make_asyncio()
