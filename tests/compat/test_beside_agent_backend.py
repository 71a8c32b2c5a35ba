"""The same calls on agent-backend itself and on ours: the same answers, errors and files.

Where the peer lets an OSError, ValueError or the like out, ours answers or raises a BackendError.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import inspect
import itertools
import os

import pytest

theirs = pytest.importorskip(
    "agent_backend", reason="needs agent-backend: pip install -e '.[test-integrations]'"
)

from runner.compat import agent_backend as ours

BOTH = (theirs, ours)
UNSEEN = {"timestamp", "duration_ms", "modified", "user_id", "policy", "operations_logger"}


def plain(value, *roots):
    if dataclasses.is_dataclass(value):
        found = {k: plain(v) for k, v in dataclasses.asdict(value).items() if k not in UNSEEN}
        if found.get("is_directory"):
            found["size"] = 0
        return found
    if isinstance(value, list | tuple):
        return [plain(each, *roots) for each in value]
    if isinstance(value, str):
        for root in roots:
            value = value.replace(root, "ROOT")
    return value.replace(b"\n", b"") if isinstance(value, bytes) else value


async def called(function, *roots):
    """What comes of a call: an answer, or an error with its code; other errors are not promised."""
    try:
        answer = function()
        return plain(await answer if inspect.isawaitable(answer) else answer, *roots)
    except (theirs.BackendError, ours.BackendError) as error:
        return type(error).__name__, plain(str(error), *roots), str(error.code)
    except Exception as error:  # noqa: BLE001 - the peer lets it out
        return error


def make_tree(root):
    for name, content in {
        "a.txt": b"one\ntwo\n", "bin": b"\0\xff", "dir/c": b"x", "dir/sub/d": b"y",
    }.items():  # fmt: skip
        os.makedirs(os.path.dirname(f"{root}/{name}"), exist_ok=True)
        with open(f"{root}/{name}", "wb") as file:
            file.write(content)
    os.mkdir(f"{root}/empty")
    for name, target in {"link": "a.txt", "dlink": "dir", "abs": f"{root}/a.txt"}.items():
        os.symlink(target, f"{root}/{name}")


def files_of(root):
    return sorted(
        os.path.join(top, each).removeprefix(root)
        for top, dirs, files in os.walk(root)
        for each in dirs + files
    )


PATHS = [
    "a.txt", "./a.txt", "/a.txt", "dir", "dir/", "no", "no/x", "../x", "..", "a/../../x", "", ".",
    "/", "link", "dlink/c", "abs", "bin", "/etc/passwd", "a\0b", "n" * 300, "\udcff",
    "ROOT/a.txt", "ROOT", "empty", "dir/../a.txt", " ", "new", "new/deep",
]  # fmt: skip
TOPS = {"", ".", "/", "ROOT"}
CALLS = {
    "read": lambda b, p: b.read(p),
    "write": lambda b, p: b.write(p, "new"),
    "readdir": lambda b, p: b.readdir(p),
    "exists": lambda b, p: b.exists(p),
    "stat": lambda b, p: b.stat(p),
    "touch": lambda b, p: b.touch(p),
    "mkdir": lambda b, p: b.mkdir(p),
    "rm": lambda b, p: b.rm(p),
    "rm -f": lambda b, p: b.rm(p, force=True),
    "rm -r": lambda b, p: b.rm(p, recursive=True),
    "rm -rf": lambda b, p: b.rm(p, recursive=True, force=True),
    "rename to": lambda b, p: b.rename("a.txt", p),
    "rename from": lambda b, p: b.rename(p, "new/place"),
}
COMMANDS = [
    "true", "false", "exit 5", "echo '  hi  '", "echo e >&2; exit 3", "echo o; exit 3", "", "  ",
    "cat", "printf 'a\\r\\nb'", "rm -rf /", "cd /etc; pwd", "echo $(echo x)", "curl x | sh", "a\0b",
    ":(){ :|:& };:", "dd if=/dev/zero of=/dev/sda", "echo é", "echo $HOME", "pwd", "ls | bash",
    "head -c 300 /dev/zero | tr '\\0' x",
]  # fmt: skip


def make(module, root, **options):
    if module is ours:
        options["policy"] = "footgun"
    mode = module.IsolationMode.NONE
    config = module.LocalFilesystemBackendConfig(root_dir=root, isolation=mode, **options)
    return module.LocalFilesystemBackend(config)


@pytest.mark.parametrize("depth", ["", "s", "s/c"])
@pytest.mark.parametrize("call", CALLS)
def test_files(tmp_path, call, depth):
    async def main():
        found = {}
        for number, path in enumerate(PATHS):
            if path in TOPS and call in {"rm -r", "rm -rf"}:
                continue  # the peer removes its own root
            outcomes = []
            for module in BOTH:
                root = f"{tmp_path}/{number}{module.__name__[:6]}"
                base = f"{root}/{depth}".rstrip("/")
                make_tree(base)
                backend = made = make(module, root)
                for each in depth.split("/") if depth else []:
                    made = made.scope(each)
                asked = path.replace("ROOT", base)
                outcome = await called(lambda m=made, p=asked: CALLS[call](m, p), base)
                await backend.destroy()
                outcomes.append((outcome, files_of(base)))
            (their, their_files), (our, our_files) = outcomes
            if isinstance(their, tuple) and depth:  # there, a scope's paths are its parent's
                their = (their[0], their[1].replace(f"{depth}/", ""), their[2])
                if isinstance(our, tuple) and (their[0], their[2]) == (our[0], our[2]):
                    their = our
            is_said = isinstance(their, Exception) and not isinstance(our, Exception)
            if not is_said and (their, their_files) != (our, our_files):
                found[path] = (their, our, set(their_files) ^ set(our_files))
        return found

    assert asyncio.run(main()) == {}


def test_commands(tmp_path):
    roots = {module: str(tmp_path / module.__name__) for module in BOTH}

    async def main():
        found = {}
        for options, depth in itertools.product(({}, {"max_output_length": 100}), ("", "s")):
            outcomes = {}
            for module in BOTH:
                backend = make(module, roots[module], **options)
                made = (
                    backend.scope(depth, module.ScopeConfig(env={"A": "b"})) if depth else backend
                )
                for command, encoding in itertools.product(COMMANDS, ("utf8", "buffer")):
                    told = module.ExecOptions(encoding=encoding, env={"C": "d"})
                    outcome = await called(
                        lambda m=made, c=command, o=told: m.exec(c, o), roots[module]
                    )
                    if isinstance(outcome, bytes):
                        outcome = outcome.replace(roots[module].encode(), b"ROOT")
                    outcomes.setdefault((command, encoding, depth), []).append(outcome)
                await backend.destroy()
            found |= {
                case: each
                for case, each in outcomes.items()
                if each[0] != each[1] and not isinstance(each[0], Exception)
            }
        return found

    assert asyncio.run(main()) == {}


@pytest.mark.parametrize("is_scoped", [False, True])
def test_memory(is_scoped):
    keys = {"a": "1", "a/b": "2", "a/c/d": b"\xff", "s/a": "sa", "s/a/b": "sb", "sx": "3"}
    calls = {
        **CALLS,
        "rename to": lambda b, p: b.rename("a", f"{p}2"),
        "rename from": lambda b, p: b.rename(p, "z"),
        "list_keys": lambda b, p: b.list_keys(p),
        "delete": lambda b, p: b.delete(p),
        "clear": lambda b, _p: b.clear(),
        "exec": lambda b, _p: b.exec("ls"),
    }

    async def main():
        found = {}
        for name, path in itertools.product(calls, ["a", "a/b", "no", "é", "a/c"]):
            outcomes = []
            for module in BOTH:
                backend = module.MemoryBackend(module.MemoryBackendConfig(initial_data=dict(keys)))
                made = backend.scope("s") if is_scoped else backend
                outcome = await called(lambda m=made, n=name, p=path: calls[n](m, p))
                if isinstance(outcome, tuple) and is_scoped:
                    outcome = (outcome[0], outcome[1].replace(" s/", " "), outcome[2])
                outcomes.append((outcome, await backend.list_keys()))
            if outcomes[0] != outcomes[1] and not isinstance(outcomes[0][0], Exception):
                found[name, path] = outcomes
        return found

    assert asyncio.run(main()) == {}


def test_names_values_and_defaults():
    missing = {"ReconnectionConfig", "RemoteFilesystemBackend", "RemoteFilesystemBackendConfig"}
    assert set(theirs.__all__) - set(ours.__all__) == missing | {"__version__"}
    for name in set(theirs.__all__) & set(ours.__all__):
        their, our = getattr(theirs, name), getattr(ours, name)
        if isinstance(their, type) and issubclass(their, enum.Enum):
            members = {each.name: each.value for each in our}
            assert {each.name: each.value for each in their}.items() <= members.items(), name
        elif dataclasses.is_dataclass(their):
            fields = [
                [(f.name, str(f.default)) for f in dataclasses.fields(each)]
                for each in (their, our)
            ]
            assert fields[0] == fields[1][: len(fields[0])], name
        elif isinstance(their, type):
            assert {n for n in dir(their) if not n.startswith("_")} <= set(dir(our)), name


@pytest.mark.parametrize("command", COMMANDS)
def test_the_filter_of_0_15(command):
    config = ours.SafetyConfig(policy="footgun")

    assert ours.is_dangerous(command, config) == theirs.is_dangerous(command)
    assert ours.is_command_safe(command, config).safe == theirs.is_command_safe(command).safe
