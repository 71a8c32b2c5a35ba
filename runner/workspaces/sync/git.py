"""A git repository as a remote: one ref per workspace, beside whatever else is in the repository.

    refs/runner/<name> ──► commit ──► tree: version            the id of the newest version
                                            objects/ab/cdef…   objects, packed

Branches, tags and work trees have no part in it, and no clone gets these refs unasked. A push is
one more commit, swapped in by `--force-with-lease`. What is fetched is kept in a bare repository of
our own. How to reach the other one (keys, helpers, proxies) is as git is set up for its user.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress

import attrs
import trio

from runner.backends.threads import in_thread
from runner.errors import ExecFailed, RemoteDamaged, RemoteRefused, RemoteUnreachable
from runner.messages import Completed, Outcome
from runner.processes.environment import base_environment
from runner.processes.host import ProcessHost
from runner.workspaces.objects import NO_ID, Object, ObjectId
from runner.workspaces.sync.remote import PATIENCE, file_name_of, lacking, name_of
from runner.workspaces.sync.wire import pack, unpack

REFS = "refs/runner/"
_FORM = "format"
_STREAM = "stream-"  # begins the names of files in which a push is gathered
_FORMAT = b"runner remote 1\n"
_SPEC = f"+{REFS}*:{REFS}*"
_LARGE = 1 << 30  # bytes of git's output that are kept: `GROUP` objects, or the names of millions
_KEYS = ("SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "SSH_ASKPASS")
_ALONE = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_CONFIG_NOSYSTEM": "0"}
_IMPORT = 'git fast-import --quiet --done < "$1" && git rev-parse "$2"'
# What git says where trying again does not help; all else may be the network.
_FINAL = (
    *("Authentication failed", "could not read Username", "could not read Password"),
    *("Permission denied", "does not appear to be a git repository", "not found", "access denied"),
    *("The requested URL returned error: 40", "no such identity", "Host key verification failed"),
)
_LOST = ("stale info", "fetch first", "non-fast-forward", "cannot lock ref", "failed to update ref")


@attrs.define(eq=False)
class GitRemote:
    """A git repository as a remote; see `Remote`.

    Attributes:
        url: as git takes it, without `git+`.
        cache: our own bare repository, absolute, of nobody else at the same time; it may be removed
            when it is not open.
        host: runs git.
        token: for HTTP; empty = as git is set up. It is in no argument of a program.
    """

    url: str
    cache: str
    host: ProcessHost = attrs.field(repr=False)
    token: str = attrs.field(default="", repr=False)
    _put: set[ObjectId] = attrs.field(factory=set, init=False, repr=False)
    _spool: str = attrs.field(default="", init=False, repr=False)
    _known: dict[str, frozenset[str]] = attrs.field(factory=dict, init=False, repr=False)

    async def open(self) -> None:
        """Reach it, and get what it has; if our own repository is at fault, into another one."""
        await self._init()
        try:
            await self._fetch()
        except (RemoteRefused, RemoteUnreachable):
            await self._replace()
            await self._fetch()

    async def get_ref(self, name: str) -> ObjectId | None:
        """The newest version of a workspace."""
        await self._fetch()
        commit = await self._commit(name)
        return None if commit is None else await self._version(name, commit)

    async def swap_ref(self, name: str, before: ObjectId | None, after: ObjectId) -> bool:
        """Say which version is the newest now, if it was that one."""
        await self._fetch()
        commit = await self._commit(name)
        found = None if commit is None else await self._version(name, commit)
        if found != before:
            return False
        made = await self._make(commit, after)
        ref = REFS + file_name_of(name)
        lease = f"--force-with-lease={ref}:{commit or ''}"
        argv = ("push", "--porcelain", lease, self.url, f"{made}:{ref}")
        done = await self._run(argv, PATIENCE * 10)
        said = (done.out.data() + done.err.data()).decode("utf-8", "replace")
        if done.exit_code and any(each in said for each in _LOST):
            return False
        self._require(done, said)
        self._forget()
        await self._fetch()
        return True

    async def list_refs(self) -> tuple[str, ...]:
        """The workspaces that have a version."""
        await self._fetch()
        said = await self._git("for-each-ref", "--format=%(refname)", REFS)
        return tuple(sorted(name_of(each.removeprefix(REFS)) for each in said.decode().split()))

    async def missing(self, ids: Sequence[ObjectId]) -> set[ObjectId]:
        """Which of them it does not have, of what was fetched last or is to be pushed next."""
        where = await self._where()
        return {each for each in ids if each not in self._put and each.hex() not in where}

    async def put(self, objects: Sequence[Object]) -> None:
        """Keep them until the next swap of a ref, which takes them along."""

        def spool() -> None:
            if not self._spool:
                fd, self._spool = tempfile.mkstemp(dir=self.cache, prefix=_STREAM)
                os.close(fd)
            with open(self._spool, "ab") as file:
                file.writelines(_file(_path(each.id), pack(each)) for each in objects)

        await in_thread(spool)
        self._put.update(each.id for each in objects)

    async def get(self, ids: Sequence[ObjectId]) -> list[Object]:
        """Those objects."""
        where = await self._where()
        asked = [each for each in dict.fromkeys(ids) if each.hex() in where]
        lines = [f"{where[each.hex()]}:{_path(each)}\n" for each in asked]
        said = await self._git("cat-file", "--batch", given="".join(lines).encode())
        found, at = [], 0
        for each in asked:
            end = said.find(b"\n", at)
            header = said[at:end].split(b" ")
            if end < 0 or len(header) != 3 or header[1] != b"blob" or not header[2].isdigit():
                break
            at = end + 1 + int(header[2])
            found.append(unpack(each, said[end + 1 : at]))
            at += 1
        if len(found) < len({*ids}):
            raise lacking(ids, found)
        return found

    async def aclose(self) -> None:
        """Forget what was put and not taken along."""
        self._forget()
        await trio.lowlevel.checkpoint()

    async def _init(self) -> None:
        await in_thread(self._begin)
        await self._git("init", "--quiet", "--bare", self.cache)

    def _begin(self) -> None:
        self._forget()
        os.makedirs(self.cache, mode=0o700, exist_ok=True)
        for top, directories, names in os.walk(self.cache):
            directories[:] = [each for each in directories if each != "objects"]
            for name in names:
                if name.startswith(_STREAM) or name.endswith(".lock"):  # of a git that was killed
                    os.unlink(os.path.join(top, name))

    async def _replace(self) -> None:
        """Have a new repository of our own, if the other one can be reached by it.

        Raises:
            RemoteRefused, RemoteUnreachable: it cannot be; ours is the one that it was.
        """
        old = f"{self.cache}-old"

        def put_back() -> None:
            shutil.rmtree(self.cache, ignore_errors=True)
            os.rename(old, self.cache)

        await in_thread(lambda: shutil.rmtree(old, ignore_errors=True))
        os.rename(self.cache, old)
        try:
            await self._init()
            await self._git("ls-remote", self.url)
        except BaseException:
            with trio.CancelScope(shield=True):  # a rename
                await in_thread(put_back)
            raise
        await in_thread(lambda: shutil.rmtree(old, ignore_errors=True))

    def _forget(self) -> None:
        spool, self._spool = self._spool, ""
        self._put.clear()
        if spool:
            with suppress(FileNotFoundError):
                os.unlink(spool)

    async def _fetch(self) -> None:
        await self._git("fetch", "--quiet", "--no-tags", "--prune", self.url, _SPEC)

    async def _commit(self, name: str) -> str | None:
        ref = REFS + file_name_of(name)
        said = await self._git("for-each-ref", "--format=%(objectname)", ref)
        return said.decode().strip() or None

    async def _version(self, name: str, commit: str) -> ObjectId:
        said = await self._git("cat-file", "--batch", given=f"{commit}:version\n".encode())
        try:
            found = bytes.fromhex(said.split(b"\n")[1].decode("ascii"))
        except (ValueError, IndexError):
            found = b""
        if len(found) != len(NO_ID):
            raise RemoteDamaged(f"{self.url}: the ref of the workspace {name!r} leads nowhere")
        return ObjectId(found)

    async def _where(self) -> dict[str, str]:
        """Which commit has which object."""
        commits = (await self._git("for-each-ref", "--format=%(objectname)", REFS)).decode().split()
        for commit in commits:
            if commit not in self._known:
                said = await self._git("ls-tree", "-r", "--name-only", commit, "objects/")
                names = said.decode().split()
                self._known[commit] = frozenset(each[8:].replace("/", "") for each in names)
        self._known = {each: self._known[each] for each in commits}
        return {name: commit for commit, names in self._known.items() for name in names}

    async def _make(self, parent: str | None, after: ObjectId) -> str:
        """A commit in our own repository, with all that is to be put."""
        mark = uuid.uuid4().hex  # else two of the same would be one commit, and both were first
        branch = f"refs/made/{mark}"
        head = f"commit {branch}\ncommitter runner <runner@localhost> {int(time.time())} +0000\n"

        def write() -> str:
            fd, path = tempfile.mkstemp(dir=self.cache, prefix=_STREAM)
            with open(fd, "wb") as file:
                file.write(f"{head}data {len(mark)}\n{mark}\n".encode())
                if parent is not None:
                    file.write(f"from {parent}\n".encode())
                file.write(_file(_FORM, _FORMAT))
                file.write(_file("version", after.hex().encode() + b"\n"))
                if self._spool:
                    with open(self._spool, "rb") as spool:
                        shutil.copyfileobj(spool, file, 1 << 20)
                file.write(b"done\n")
            return path

        stream = await in_thread(write)
        try:
            argv = ["sh", "-c", _IMPORT, "sh", stream, branch]
            done = await self._start(argv, None, None)
        finally:
            os.unlink(stream)
        self._require(done, done.err.data().decode("utf-8", "replace"))
        await self._git("update-ref", "-d", branch)
        return done.out.data().decode().strip()

    async def _git(self, *arguments: str, given: bytes | None = None) -> bytes:
        done = await self._run(arguments, PATIENCE * 10, given)
        self._require(done, done.err.data().decode("utf-8", "replace"))
        return done.out.data()

    async def _run(
        self, arguments: Sequence[str], timeout: float, given: bytes | None = None
    ) -> Completed:
        return await self._start(["git", *arguments], timeout, given)

    async def _start(
        self, argv: Sequence[str], timeout: float | None, given: bytes | None
    ) -> Completed:
        extra = {**_ALONE, "GIT_DIR": self.cache}
        if self.token:
            said = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
            extra |= {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "http.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: Basic {said}",
            }
        if "GIT_SSH_COMMAND" not in os.environ and "GIT_SSH" not in os.environ:
            extra["GIT_SSH_COMMAND"] = "ssh -oBatchMode=yes"  # nobody is there to answer it
        env = base_environment(os.environ, pass_env=_KEYS, extra=extra)
        try:
            return await self.host.run(
                argv, cwd=self.cache, env=env, input=given, timeout=timeout, max_output=_LARGE
            )
        except ExecFailed as error:
            raise RemoteRefused(f"{self.url}: git cannot be run: {error.reason}") from error

    def _require(self, done: Completed, said: str) -> None:
        if done.outcome is not Outcome.EXITED:
            raise RemoteUnreachable(f"{self.url}: git got no answer in {done.duration:.0f} s")
        if done.exit_code:
            text = f"{self.url}: {' '.join(said.split())[:300]}"
            final = any(each in said for each in _FINAL)
            raise RemoteRefused(text) if final else RemoteUnreachable(text)


def _path(each: ObjectId) -> str:
    name = each.hex()
    return f"objects/{name[:2]}/{name[2:]}"


def _file(name: str, data: bytes) -> bytes:
    """A file of a commit, as git-fast-import(1) has it."""
    return f"M 100644 inline {name}\ndata {len(data)}\n".encode() + data + b"\n"
