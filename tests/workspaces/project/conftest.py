from __future__ import annotations

import pytest

import runner


@pytest.fixture
def base(tmp_path):
    """A project's directory with a few files."""
    path = tmp_path / "app"
    (path / "src").mkdir(parents=True)
    (path / "src/a.py").write_text("one\n")
    (path / "b.txt").write_text("b\n")
    return path


@pytest.fixture
async def r(tmp_path):
    async with runner.open_runner(state=tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def project(r, base):
    return r.project(base)


@pytest.fixture(params=["overlay", "copy"])
def way(request):
    return request.param


def texts(changes):
    return [str(each) for each in changes]


@pytest.fixture
def said():
    return texts
