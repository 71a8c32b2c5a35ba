"""Fixtures of the backends' tests: a scope beside a secret, and a backend for each opener."""

from __future__ import annotations

import pytest

from runner.backends.local import LocalBackend


@pytest.fixture(params=["openat2", "walk"])
def opener(request):
    """Both ways of containment."""
    return request.param


@pytest.fixture
def root(tmp_path):
    """A scope's directory, empty, beside others."""
    path = tmp_path / "outer" / "scope"
    path.mkdir(parents=True)
    return path


@pytest.fixture
async def local(root, opener):
    """A local backend on `root`, for each opener."""
    backend = LocalBackend(root, opener=opener)
    yield backend
    await backend.aclose()
