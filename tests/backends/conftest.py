"""Fixtures of the backends' tests: a scope beside a secret, and a backend for each opener."""

from __future__ import annotations

import subprocess

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


@pytest.fixture
def small_disk(root):
    """A file system of 512 KiB within the scope."""
    path = root / "disk"
    path.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(path)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"mounting a small disk needs root: {mounted.stderr.decode()}")
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)
