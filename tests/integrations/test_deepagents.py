"""A scope as a sandbox of deepagents: LangChain's standard tests, and ours."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections.abc import Iterator
from functools import partial

import pytest
import trio

import runner

HOW = "pip install 'trio-runner[deepagents]' langchain-tests"
pytest.importorskip("deepagents", reason=f"needs deepagents: {HOW}")
pytest.importorskip("langchain_tests", reason=f"needs the standard tests: {HOW}")

from deepagents import create_deep_agent
from deepagents.backends import CompositeBackend
from deepagents.backends.protocol import (
    FileDownloadResponse,
    FileUploadResponse,
    SandboxBackendProtocol,
    _method_accepts_max_count,
    _supports_delete,
    execute_accepts_timeout,
)
from deepagents.backends.utils import EMPTY_CONTENT_WARNING
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_tests.integration_tests import SandboxIntegrationTests

import runner.asyncio
from runner import blocking
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


# ---------------------------------------------------------------- ours: both kinds of paths


class Placed:
    """A sandbox, and how its paths are written."""

    def __init__(self, scope, *, virtual: bool) -> None:
        self.directory = scope.directory
        self.top = "" if virtual else scope.directory
        self.box = ScopeSandbox(scope, virtual=virtual, timeout=20)

    def at(self, path: str) -> str:
        return f"{self.top}/{path}"

    def found(self, matches) -> list[str]:
        return [each["path"].removeprefix(self.top) for each in matches]


@pytest.fixture
def scope(tmp_path):
    with blocking.open_runner(state=tmp_path / "state") as r:
        yield r.scope(tmp_path / "work")


@pytest.fixture(params=[False, True], ids=["real", "virtual"])
def placed(request, scope) -> Placed:
    return Placed(scope, virtual=request.param)


def test_it_is_what_deepagents_looks_for(placed) -> None:
    box = placed.box

    assert execute_accepts_timeout(type(box))
    assert all(_method_accepts_max_count(type(box), each) for each in ("grep", "agrep"))
    assert _supports_delete(box)
    assert len({box, box}) == 1
    assert box.id == f"runner:{placed.directory}"
    with pytest.raises(ValueError, match="positive"):
        ScopeSandbox(None, timeout=0)


def test_errors_are_texts_in_its_own_words(placed) -> None:
    box, at = placed.box, placed.at
    box.write(at("f"), "one two one")
    box.execute("mkdir d && ln -s /etc out && mkfifo fifo")

    assert box.read(at("no")).error == f"File '{at('no')}' not found"
    assert box.read(at("d")).error == f"File '{at('d')}': not_a_file"
    assert box.read(at("fifo")).error == f"File '{at('fifo')}': not_a_file"
    assert box.read(at("f"), offset=3).error == "Line offset 3 exceeds file length (1 lines)"
    assert box.read(at("out/passwd")).error == f"File '{at('out/passwd')}': permission_denied"
    assert box.ls(at("no")).error == f"Path '{at('no')}': path_not_found"
    assert box.ls(at("f")).error == f"Path '{at('f')}': not_a_directory"
    assert box.ls(at("out")).error == f"Path '{at('out')}': permission_denied"
    assert box.write(at("f/x"), "").error.startswith(f"Error writing file '{at('f/x')}': ")
    assert box.edit(at("no"), "a", "b").error == f"Error: File '{at('no')}' not found"
    assert box.edit(at("d"), "a", "b").error.startswith(f"Error editing file '{at('d')}': ")
    assert box.edit(at("f"), "", "b").error.startswith("Error: old_string cannot be empty.")
    assert box.edit(at("f"), "x", "y").error == "Error: String not found in file: 'x'"
    assert "appears multiple times (2)" in box.edit(at("f"), "one", "1").error
    assert "ends with a newline, but" in box.edit(at("f"), "two one\n", "").error
    assert box.delete(at("no")).error == f"Error: '{at('no')}' not found"
    assert box.delete(at("")).error.startswith("Error deleting")
    assert box.delete(at("out/passwd")).error.startswith("Error deleting")
    assert box.glob("../x").error == "Path traversal not allowed in glob pattern '../x'"
    assert box.glob("{a,b}" * 12).error.startswith("Invalid glob pattern")
    assert box.grep("x", glob="{a,b}" * 12).error.startswith("Invalid pattern")
    assert box.grep("x", at("no")).matches == box.glob("x", at("no")).matches == []
    assert box.grep("x", at("out")).error.startswith("Error searching path")
    assert box.glob("x", at("out")).error.startswith("Error globbing path")
    assert box.read(at("f")).file_data["content"] == "one two one"


def test_files_are_written_edited_listed_and_deleted(placed) -> None:
    box, at = placed.box, placed.at
    assert box.write(at("d/f"), "one\n").path == at("d/f")
    assert box.edit(at("d/f"), "one", "two").occurrences == 1
    box.execute("ln -s d link; ln -s f d/also; ln -s nowhere dangling")
    listed = box.ls(at("")).entries
    assert box.delete(at("d")).path == at("d")

    assert [(each["path"], each["is_dir"], each["size"]) for each in listed] == [
        (at("d"), True, 0),
        (at("link"), True, 0),
    ]
    assert all(each["modified_at"].endswith("+00:00") for each in listed)
    assert box.ls(at("d")).error is not None


def test_an_edit_goes_by_the_line_ends_of_the_file(placed) -> None:
    box, at = placed.box, placed.at
    box.upload_files([(at("crlf"), b"a\r\nb\r\nc\r\n"), (at("lf"), b"a\nb\n")])

    assert box.read(at("crlf")).file_data["content"] == "a\nb\nc"
    assert box.edit(at("crlf"), "a\nb\n", "x\ny\nz\n").occurrences == 1
    assert box.edit(at("lf"), "a\r\nb", "1\r\n2").occurrences == 1
    assert [each.content for each in box.download_files([at("crlf"), at("lf")])] == [
        b"x\r\ny\r\nz\r\nc\r\n",
        b"1\n2\n",
    ]


# ---------------------------------------------------------------- pages


def test_pages_say_where_the_next_begins(placed) -> None:
    box, at = placed.box, placed.at
    box.write(at("f"), "".join(f"{number}\n" for number in range(10)))
    windows = [(0, 4), (4, 4), (8, 4), (-3, 1), (6, 4)]
    pages = [box.read(at("f"), *window) for window in windows]

    assert [(p.start_line, p.end_line, p.next_offset, p.total_lines) for p in pages] == [
        (1, 4, 4, 10),
        (5, 8, 8, 10),
        (9, 10, None, 10),
        (1, 1, 1, 10),
        (7, 10, None, 10),
    ]
    assert pages[2].file_data["content"] == "8\n9"
    none = box.read(at("f"), limit=0)
    assert (none.no_lines_requested, none.file_data["content"]) == (True, "")
    box.write(at("empty"), "")
    assert box.read(at("empty")).file_data["content"] == EMPTY_CONTENT_WARNING


def test_pages_of_large_files_are_cut_at_whole_lines(placed) -> None:
    box, at = placed.box, placed.at
    lines = [f"{number:04}" + "x" * 9996 for number in range(300)]
    box.write(at("f"), "\n".join(lines))
    pieces, offset = [], 0
    while offset is not None:
        page = box.read(at("f"), offset, 10**9)
        pieces += page.file_data["content"].partition("\n\n[Output was truncated")[0].split("\n")
        offset = page.next_offset

    assert pieces == lines
    assert box.read(at("f"), 290, 5).total_lines is None
    assert box.read(at("f"), 290, 50).total_lines == 300


def test_a_line_longer_than_a_page_is_cut_and_passed(placed) -> None:
    box, at = placed.box, placed.at
    box.write(at("f"), "é" * 600_000 + "\nnext")
    page = box.read(at("f"))

    assert (page.start_line, page.end_line, page.next_offset) == (1, 1, 1)
    assert page.file_data["content"].startswith("é" * 250_000)
    assert "[Output was truncated" in page.file_data["content"]
    assert box.read(at("f"), 1).file_data["content"] == "next"


def test_what_is_not_text_is_binary_by_its_beginning(placed) -> None:
    box, at = placed.box, placed.at
    late = b"ok\n" * 4000 + b"\xff\n"
    box.upload_files([(at("b"), b"\xff\x00"), (at("late"), late), (at("big"), b"\xff" * 600_000)])

    assert box.read(at("b")).file_data == {"content": "/wA=", "encoding": "base64"}
    assert box.read(at("late"), 4000).file_data["content"] == "\ufffd"
    assert "maximum preview size of 512000 bytes" in box.read(at("big")).error


# ---------------------------------------------------------------- searches

TREE = (
    ".env",
    ".git/config.py",
    ".github/ci.yml",
    "a.py",
    "src/b.py",
    "src/deep/c.py",
    "src/d.yml",
)


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("*.py", ["/.git/config.py", "/a.py", "/src/b.py", "/src/deep/c.py"]),
        ("*.yml", ["/.github/ci.yml", "/src/d.yml"]),
        ("**/*.yml", ["/src/d.yml"]),
        ("/*.py", ["/a.py"]),
        ("src/**/*.py", ["/src/b.py", "/src/deep/c.py"]),
        ("src/*.{py,yml}", ["/src/b.py", "/src/d.yml"]),
        (".env", ["/.env"]),
        ("*", ["/.git/config.py", "/.github/ci.yml", *(f"/{each}" for each in TREE[3:])]),
        (".github/*", ["/.github/ci.yml"]),
        ("[ab].py", ["/a.py", "/src/b.py"]),
        ("src", []),
    ],
)
def test_glob_finds_files_by_deepagents_rules(placed, pattern, paths) -> None:
    placed.box.upload_files([(placed.at(each), b"") for each in TREE])
    result = placed.box.glob(pattern)

    assert sorted(placed.found(result.matches)) == sorted(paths)
    assert (result.error, result.truncated) == (None, False)


def test_glob_below_a_directory_and_past_its_cap(placed) -> None:
    placed.box.upload_files([(placed.at(each), b"") for each in TREE])
    placed.box.execute("mkdir many && cd many && seq 10001 | xargs touch")

    assert placed.found(placed.box.glob("*.py", placed.at("src")).matches) == [
        "/src/b.py",
        "/src/deep/c.py",
    ]
    capped = placed.box.glob("*", placed.at("many"))
    assert (len(capped.matches), capped.truncated) == (10_000, True)
    assert capped.truncation_reason == "budget"


def test_grep_is_literal_and_counts_to_its_cap(placed) -> None:
    box, at = placed.box, placed.at
    box.upload_files([(at(f".git/{n}"), b"a.b\n" * 50) for n in range(30)])
    box.upload_files([(at("f.txt"), b"a.b\naxb\na.b\n"), (at(".hidden"), b"x\na.b")])
    whole, exact, capped = (box.grep("a.b", max_count=count) for count in (None, 3, 2))

    assert [(each["path"], each["line"]) for each in whole.matches] == [
        (at(".hidden"), 2),
        (at("f.txt"), 1),
        (at("f.txt"), 3),
    ]
    assert (exact.matches, exact.truncated) == (whole.matches, False)
    assert (capped.matches, capped.truncated) == (whole.matches[:2], True)
    assert [each["path"] for each in box.grep("a.b", glob="*.txt").matches] == [at("f.txt")] * 2


# ---------------------------------------------------------------- many files, commands


def test_many_files_are_answered_one_by_one(placed) -> None:
    box, at = placed.box, placed.at
    box.execute("mkdir d && ln -s /etc out")
    stored = box.upload_files(
        [(at("a"), b"1"), ("rel", b""), (at("d"), b""), (at("a/b"), b""), (at("out/x"), b"")]
    )
    got = box.download_files([at("no"), at("a"), at("d"), at("a/b"), at("out/passwd"), "rel"])

    assert [each.error for each in stored][:3] == [None, "invalid_path", "is_directory"]
    assert stored[3] == FileUploadResponse(at("a/b"), "invalid_path")
    assert stored[4] == FileUploadResponse(at("out/x"), "permission_denied")
    assert got[1] == FileDownloadResponse(at("a"), b"1")
    assert [each.error for each in got] == [
        "file_not_found",
        None,
        "is_directory",
        "invalid_path",
        "permission_denied",
        "invalid_path",
    ]
    assert box.upload_files([]) == box.download_files([]) == []


def test_output_is_put_together_for_a_model(placed) -> None:
    box = placed.box
    failed = box.execute("echo out; printf 'a\\nb\\n' >&2; exit 3")
    cut = box.execute("head -c 3000000 /dev/zero | tr '\\0' x")

    assert (failed.output, failed.exit_code) == ("out\n\n[stderr] a\n[stderr] b\n\nExit code: 3", 3)
    assert box.execute("true").output == "<no output>"
    assert box.execute("").output == "Error: Command must be a non-empty string."
    assert (cut.truncated, "were left out" in cut.output) == (True, True)
    late = box.execute("sleep 100", timeout=1)
    assert (late.exit_code, late.output.startswith("Error: Command timed out after 1 s")) == (
        124,
        True,
    )
    assert "(custom timeout)" in late.output
    with pytest.raises(ValueError, match="positive"):
        box.execute("true", timeout=0)


def test_the_timeout_of_all_commands_says_how_to_get_more(scope) -> None:
    late = ScopeSandbox(scope, timeout=0.2).execute("sleep 100")

    assert late.exit_code == 124
    assert late.output.endswith("re-run using the timeout parameter.")


def test_a_command_without_a_place_is_an_error_text(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with blocking.open_runner(state=tmp_path / "state") as r:
        done = ScopeSandbox(r.scope(tmp_path / "file")).execute("true")

    assert done.exit_code == 1
    assert done.output.startswith("Error executing command (")


# ---------------------------------------------------------------- routes, loops, threads


def test_virtual_paths_are_routed_by_a_composite(scope) -> None:
    one, two = (ScopeSandbox(scope.scope(each), virtual=True) for each in ("one", "two"))
    composite = CompositeBackend(default=one, routes={"/two/": two})
    composite.upload_files([("/f", b"1"), ("/two/f", b"2")])
    composite.write("/two/sub/g", "needle")

    assert scope.read("two/f") == "2"
    assert [each["path"] for each in composite.ls("/").entries] == ["/f", "/two/"]
    assert [each["path"] for each in composite.glob("g", "/").matches] == ["/two/sub/g"]
    assert [each["path"] for each in composite.grep("needle").matches] == ["/two/sub/g"]
    assert composite.execute("cat f").output == "1"


def test_it_works_on_asyncio_and_a_cancelled_command_is_gone(tmp_path) -> None:
    async def main() -> None:
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            box = ScopeSandbox(r.scope(tmp_path / "work"), virtual=True)
            await box.awrite("/f", "text")
            task = asyncio.create_task(box.aexecute("echo $$ > pid; exec sleep 1000"))
            while not (await box.adownload_files(["/pid"]))[0].content:
                await asyncio.sleep(0.01)
            pid = (await box.aread("/pid")).file_data["content"]
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await box.aexecute(f"kill -0 {pid}")).exit_code != 0
            assert (await box.aedit("/f", "text", "more")).occurrences == 1
            assert (await box.als("/")).entries[0]["path"] == "/f"
            assert (await box.agrep("more")).matches[0]["line"] == 1
            assert (await box.aglob("f")).matches[0]["size"] == 4
            assert (await box.adelete("/f")).path == "/f"
            assert (await box.aupload_files([("/g", b"")]))[0].error is None

    asyncio.run(main())


async def test_it_works_in_the_scopes_own_trio_and_in_its_threads(tmp_path) -> None:
    async with runner.open_runner(state=tmp_path / "state") as r:
        box = ScopeSandbox(r.scope(tmp_path / "work"), virtual=True)
        await box.awrite("/f", "text")
        page = await trio.to_thread.run_sync(partial(box.read, "/f"))

    assert page.file_data["content"] == "text"


async def test_a_bridged_scope_works_in_another_trio(scope) -> None:
    box = ScopeSandbox(scope, virtual=True)

    assert (await box.awrite("/f", "text")).error is None
    assert box.read("/f").file_data["content"] == "text"


# ---------------------------------------------------------------- an agent that works there


class Scripted(GenericFakeChatModel):
    """A model that says what it was given to say."""

    def bind_tools(self, tools, **options):
        return self


def an_agent(scope):
    calls = [
        ("write_file", {"file_path": "/a.txt", "content": "one\ntwo\n"}),
        ("read_file", {"file_path": "/a.txt"}),
        ("edit_file", {"file_path": "/a.txt", "old_string": "two", "new_string": "three"}),
        ("execute", {"command": "cat a.txt"}),
        ("grep", {"pattern": "three"}),
    ]
    said = [
        AIMessage(content="", tool_calls=[{"id": str(number), "name": name, "args": args}])
        for number, (name, args) in enumerate(calls)
    ]
    model = Scripted(messages=iter([*said, AIMessage(content="done")]))
    return create_deep_agent(model=model, backend=ScopeSandbox(scope, virtual=True))


def told(outcome) -> list[str]:
    return [each.content for each in outcome["messages"] if isinstance(each, ToolMessage)]


def test_an_agents_tools_work_in_the_scope(scope) -> None:
    outcome = told(an_agent(scope).invoke({"messages": [("user", "go")]}))

    assert "one\ntwo" in outcome[1]
    assert "one\nthree" in outcome[3]
    assert "/a.txt" in outcome[4]
    assert scope.read("a.txt") == "one\nthree\n"


def test_an_agents_tools_work_in_the_scope_on_asyncio(tmp_path) -> None:
    async def main() -> list[str]:
        async with runner.asyncio.open_runner(state=tmp_path / "state") as r:
            agent = an_agent(r.scope(tmp_path / "work"))
            return told(await agent.ainvoke({"messages": [("user", "go")]}))

    assert "one\nthree" in asyncio.run(main())[3]


def test_it_has_all_of_the_protocol_with_its_parameters_and_defaults():
    for name, theirs in inspect.getmembers_static(SandboxBackendProtocol):
        if name.startswith("_"):
            continue
        ours = vars(ScopeSandbox)[name]  # none of it is only inherited: those raise or use threads
        assert type(ours) is type(theirs)
        if inspect.isfunction(theirs):
            assert parameters(ours) == parameters(theirs), name
            assert inspect.iscoroutinefunction(ours) is inspect.iscoroutinefunction(theirs)


def parameters(function):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]
