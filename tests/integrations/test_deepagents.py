"""A scope as a sandbox of deepagents: LangChain's standard tests, and ours."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest

HOW = "pip install 'trio-runner[deepagents]' langchain-tests"
pytest.importorskip("deepagents", reason=f"needs deepagents: {HOW}")
pytest.importorskip("langchain_tests", reason=f"needs the standard tests: {HOW}")

from deepagents.backends.protocol import SandboxBackendProtocol
from langchain_tests.integration_tests import SandboxIntegrationTests

from runner.bridge import blocking
from runner.integrations.deepagents import ScopeSandbox

OVERWRITES = "deepagents 0.7: write() overwrites what is there; the suite still wants an error"
ABSOLUTE = "deepagents 0.7: the paths of glob() are absolute; the suite still wants relative ones"
FILES_ONLY = "deepagents 0.7: glob() finds files only; the suite still wants directories"


def contradicts(reason: str):
    """A standard test that the protocol of 0.7 contradicts: it must fail."""
    return pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError)


# pytest's deprecation of what the suite's own fixtures are, not ours.
@pytest.mark.filterwarnings("ignore:Class-scoped fixtures defined as instance methods")
@pytest.mark.anyio
class TestStandard(SandboxIntegrationTests):
    """LangChain's tests for sandboxes, with real paths: synchronous, and on asyncio."""

    root = ""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @property
    def sandbox_root_dir(self) -> str:
        return f"{type(self).root}/test_sandbox_ops/"

    @pytest.fixture(scope="class")
    @classmethod
    def sandbox(cls) -> Iterator[SandboxBackendProtocol]:
        with tempfile.TemporaryDirectory() as place:
            cls.root = f"{place}/work"
            with blocking.open_runner(state=f"{place}/state") as r:
                yield ScopeSandbox(r.scope(cls.root))

    @contradicts(OVERWRITES)
    def test_write_existing_file_fails(self, sandbox_backend, sandbox_test_root):
        super().test_write_existing_file_fails(sandbox_backend, sandbox_test_root)

    @contradicts(ABSOLUTE)
    def test_glob(self, sandbox_backend, sandbox_test_root):
        super().test_glob(sandbox_backend, sandbox_test_root)

    @contradicts(ABSOLUTE)
    def test_glob_basic_pattern(self, sandbox_backend, sandbox_test_root):
        super().test_glob_basic_pattern(sandbox_backend, sandbox_test_root)

    @contradicts(ABSOLUTE)
    def test_glob_hidden_files_explicitly(self, sandbox_backend, sandbox_test_root):
        super().test_glob_hidden_files_explicitly(sandbox_backend, sandbox_test_root)

    @contradicts(ABSOLUTE)
    def test_glob_with_character_class(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_character_class(sandbox_backend, sandbox_test_root)

    @contradicts(ABSOLUTE)
    def test_glob_with_question_mark(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_question_mark(sandbox_backend, sandbox_test_root)

    @contradicts(FILES_ONLY)
    def test_glob_with_directories(self, sandbox_backend, sandbox_test_root):
        super().test_glob_with_directories(sandbox_backend, sandbox_test_root)
