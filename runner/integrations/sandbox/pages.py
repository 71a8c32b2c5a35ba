"""Pages of files, as deepagents reads them: raw lines, or a small binary file in base64.

Rules, as of deepagents' sandboxes: a file is binary if its name says so or its first 8 KiB are not
UTF-8; a page has at most 500 KiB, in whole lines, and says so if it was cut; its lines are joined
by LF and none follows the last. Bytes further on that are not UTF-8 are shown as U+FFFD. Lines are
counted to the end of files up to 1 MiB; in larger ones, only as far as the page needs.
"""

from __future__ import annotations

import base64
import codecs

import attrs
from deepagents.backends.protocol import FileData, ReadResult
from deepagents.backends.utils import EMPTY_CONTENT_WARNING
from deepagents.backends.utils import (
    _get_backend_read_file_type as file_type_of,  # the one place that knows the names of images
)

from runner import errors as e
from runner.integrations.sandbox.paths import Paths, code_of
from runner.scopes.scope import Scope

MAX_BINARY = 500 * 1024
MAX_PAGE = 500 * 1024
COUNTED = 1 << 20
HEAD = 8192
STEP = 2000  # lines that are read at once
LONGEST = 8192  # bytes of a line that are read with the others; longer ones are read alone
CUT = (
    "\n\n[Output was truncated due to size limits. "
    "This paginated read result exceeded the sandbox stdout limit. "
    "Continue reading with a larger offset or smaller limit to inspect the rest of the file.]"
)


async def read(  # noqa: PLR0911 - one for each kind of file
    paths: Paths, file_path: str, offset: int, limit: int
) -> ReadResult:
    """A page of a file."""
    path, scope = paths.inner(file_path), paths.scope
    try:
        status = await scope.stat(path)
        if status.type != "file":
            return ReadResult(error=f"File '{file_path}': not_a_file")
        if status.size == 0:
            return _text(EMPTY_CONTENT_WARNING)
        if file_type_of(file_path) != "text" or not await _is_text(scope, path):
            return await _binary(scope, path, file_path, status.size)
        if limit <= 0:
            return ReadResult(file_data=_data(""), no_lines_requested=True)
        page = _Page(first=max(int(offset), 0), limit=int(limit))
        return await page.read(scope, path, counted=status.size <= COUNTED)
    except e.NotFound:
        return ReadResult(error=f"File '{file_path}' not found")
    except e.OperationError as error:
        why = code_of(type(error).__name__) or error.reason
        return ReadResult(error=f"File '{file_path}': {why}")


async def _is_text(scope: Scope, path: str) -> bool:
    head = await scope.read(path, encoding=None, limit=HEAD)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


async def _binary(scope: Scope, path: str, file_path: str, size: int) -> ReadResult:
    if size > MAX_BINARY:
        limit = f"Binary file exceeds maximum preview size of {MAX_BINARY} bytes"
        return ReadResult(error=f"File '{file_path}': {limit}")
    content = await scope.read(path, encoding=None, limit=MAX_BINARY)
    encoded = base64.standard_b64encode(content).decode("ascii")
    return ReadResult(file_data=FileData(content=encoded, encoding="base64"))


@attrs.define
class _Page:
    """Lines from `first` on (from 0), until there are `limit`, or too many bytes, or no more."""

    first: int
    limit: int
    lines: list[str] = attrs.field(factory=list)
    size: int = 0
    cut: bool = False
    total: int | None = None

    async def read(self, scope: Scope, path: str, *, counted: bool) -> ReadResult:
        while not self._is_full:
            wanted = min(STEP, self.limit - len(self.lines)) + 1
            at = self.first + len(self.lines)
            found = await scope.read_lines(
                path, offset=at, limit=wanted, longest=LONGEST, total=counted
            )
            if counted or len(found.lines) < wanted:
                self.total = found.total
            for number, line in enumerate(found.lines[: wanted - 1]):
                whole = line
                if found.first + number in found.cut:
                    alone = await scope.read_lines(
                        path, offset=at + number, limit=1, longest=MAX_PAGE + 1, total=False
                    )
                    whole = "".join(alone.lines)
                self._add(whole)
                if self.cut:
                    break
            if len(found.lines) < wanted:
                if self.total is None:
                    self.total = at + len(found.lines)
                break
        return self._result()

    @property
    def _is_full(self) -> bool:
        return self.cut or len(self.lines) >= self.limit

    def _add(self, line: str) -> None:
        raw = line.removesuffix("\r").encode("utf-8", "surrogateescape")
        room = MAX_PAGE - len(CUT) - self.size
        self.cut = len(raw) + 1 > room
        if self.cut and self.lines:
            return  # whole lines only: the next page begins with this one
        shown = raw[: max(room, 0)] if self.cut else raw
        self.lines.append(shown.decode("utf-8", "ignore" if self.cut else "replace"))
        self.size += len(shown) + 1

    def _result(self) -> ReadResult:
        if not self.lines:
            total = self.total or 0
            return ReadResult(error=f"Line offset {self.first} exceeds file length ({total} lines)")
        end = self.first + len(self.lines)
        return ReadResult(
            file_data=_data("\n".join(self.lines) + (CUT if self.cut else "")),
            total_lines=self.total,
            start_line=self.first + 1,
            end_line=end,
            next_offset=end if self.total is None or end < self.total else None,
        )


def _data(content: str) -> FileData:
    return FileData(content=content, encoding="utf-8")


def _text(content: str) -> ReadResult:
    return ReadResult(file_data=_data(content))
