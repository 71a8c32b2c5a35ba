"""The tables of the contract: what a search answers, what a path means. Values only."""

from __future__ import annotations

from collections.abc import Mapping

TREE: Mapping[str, bytes] = {
    "README.md": b"# Shop\n\nA shop that sells things.\nTODO: prices\n",
    "src/app.py": b"import os\n\ndef main():\n    # TODO: write\n    return os.getcwd()\n",
    "src/lib/util.py": b"def add(a, b):\n    return a + b\n",
    "src/lib/util_test.py": b"from util import add\nassert add(1, 2) == 3\n",
    "src/.hidden.py": b"# TODO: hidden\n",
    ".config/settings.ini": b"[todo]\nkey = TODO\n",
    "docs/a b.txt": b"with a space: todo\r\nTODO in CRLF\r\nend",
    "docs/[x].txt": b"--todo\n-e TODO\n",
    "docs/\u00fc\u00f1\u00ee.txt": "gr\u00fc\u00df dich, TODO\n".encode(),
    "data/binary.bin": b"TODO\n" + b"x" * 100_000 + b"\0TODO\n",
    "data/latin.txt": b"caf\xe9 TODO\n",
    "data/empty.txt": b"",
    "data/-rf": b"TODO dash\n",
    "ignored.log": b"TODO log\n",
    ".gitignore": b"*.log\n",
}

# pattern, keyword arguments, the paths that match
GLOBS: tuple[tuple[str, dict[str, object], tuple[str, ...]], ...] = (
    ("*.md", {}, ("README.md",)),
    ("**/*.py", {}, ("src/app.py", "src/lib/util.py", "src/lib/util_test.py")),
    ("src/*.py", {}, ("src/app.py",)),
    ("./src//*.py", {}, ("src/app.py",)),
    ("src/**", {}, ("src/app.py", "src/lib", "src/lib/util.py", "src/lib/util_test.py")),
    ("src/**/", {}, ("src/lib",)),
    ("src/**/util*", {}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("{src,docs}/*.{py,txt}", {}, ("docs/[x].txt", "docs/a b.txt", "docs/üñî.txt", "src/app.py")),
    ("docs/?[ ]b.txt", {}, ("docs/a b.txt",)),
    ("docs/[!a]*.txt", {}, ("docs/[x].txt", "docs/üñî.txt")),
    ("docs/\\[x\\].txt", {}, ("docs/[x].txt",)),
    ("data/-*", {}, ("data/-rf",)),
    ("*/", {}, ("data", "docs", "src")),
    ("*", {}, ("README.md", "data", "docs", "ignored.log", "src")),
    (".*", {}, (".config", ".gitignore")),
    ("**/.hidden*", {}, ("src/.hidden.py",)),
    ("**/*.ini", {}, ()),
    ("**/*.ini", {"hidden": True}, (".config/settings.ini",)),
    (".config/*.ini", {}, (".config/settings.ini",)),
    ("lib/*", {"path": "src"}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("*.py", {"path": "src/lib"}, ("src/lib/util.py", "src/lib/util_test.py")),
    ("src/app.py", {}, ("src/app.py",)),
    ("nothing/*", {}, ()),
    ("*.{log,md}", {}, ("README.md", "ignored.log")),
)

# pattern, keyword arguments, (path, line) of what matches
GREPS: tuple[tuple[str, dict[str, object], tuple[tuple[str, int], ...]], ...] = (
    (
        "TODO",
        {},
        (
            ("README.md", 4),
            ("data/-rf", 1),
            ("data/latin.txt", 1),
            ("docs/[x].txt", 2),
            ("docs/a b.txt", 2),
            ("docs/üñî.txt", 1),
            ("ignored.log", 1),
            ("src/app.py", 4),
        ),
    ),
    ("todo", {}, (("docs/[x].txt", 1), ("docs/a b.txt", 1))),
    ("todo", {"ignore_case": True, "path": "docs/a b.txt"}, (
        ("docs/a b.txt", 1), ("docs/a b.txt", 2),
    )),
    ("TODO", {"glob": "*.py"}, (("src/app.py", 4),)),
    ("TODO", {"glob": "*.py", "hidden": True}, (("src/.hidden.py", 1), ("src/app.py", 4))),
    ("TODO", {"glob": "**/*.{md,log}"}, (("README.md", 4), ("ignored.log", 1))),
    ("TODO", {"glob": "src/*.py"}, (("src/app.py", 4),)),
    ("add", {"glob": "lib/*", "path": "src"}, (
        ("src/lib/util.py", 1), ("src/lib/util_test.py", 1), ("src/lib/util_test.py", 2),
    )),
    ("TODO", {"glob": "[!a-z]*"}, (
        ("README.md", 4), ("data/-rf", 1), ("docs/[x].txt", 2), ("docs/üñî.txt", 1),
    )),
    ("key|[todo]{6}", {"hidden": True, "path": ".config"}, ((".config/settings.ini", 2),)),
    ("--todo", {}, (("docs/[x].txt", 1),)),
    ("-e TODO", {}, (("docs/[x].txt", 2),)),
    ("--files", {}, ()),
    (r"^def \w+\(", {}, (("src/app.py", 3), ("src/lib/util.py", 1))),
    (r"add(1, 2)", {"literal": True}, (("src/lib/util_test.py", 2),)),
    (r"CRLF$", {}, (("docs/a b.txt", 2),)),
    (r"^end$", {}, (("docs/a b.txt", 3),)),
    (r"gr\w+ß?", {"ignore_case": True, "glob": "*.txt"}, (("docs/üñî.txt", 1),)),
    (r"(?i)SHOP|(?P<x>sells)", {}, (("README.md", 1), ("README.md", 3))),
    (r"\bos\b", {}, (("src/app.py", 1), ("src/app.py", 5))),
    (r"[(]a, b[)]", {}, (("src/lib/util.py", 1),)),
    ("TODO", {"path": "data/-rf"}, (("data/-rf", 1),)),
    ("TODO", {"path": "src/.hidden.py"}, (("src/.hidden.py", 1),)),
    ("TODO", {"path": "data/binary.bin"}, ()),
    ("", {"path": "src/lib/util.py"}, (("src/lib/util.py", 1), ("src/lib/util.py", 2))),
    ("anything", {"path": "data/empty.txt"}, ()),
    ("[todo]", {"literal": True, "hidden": True}, ((".config/settings.ini", 1),)),
)  # fmt: skip

# the same with types, `.gitignore` files and several lines
MORE_GREPS: tuple[tuple[str, dict[str, object], tuple[tuple[str, int], ...]], ...] = (
    ("TODO", {"types": ("py",)}, (("src/app.py", 4),)),
    ("TODO", {"types": ("py",), "hidden": True}, (("src/.hidden.py", 1), ("src/app.py", 4))),
    ("TODO", {"types": ("py", "md")}, (("README.md", 4), ("src/app.py", 4))),
    ("TODO", {"types": ("md",), "glob": "src/*"}, ()),
    ("TODO", {"types": ("txt",), "glob": "*ü*"}, (("docs/üñî.txt", 1),)),
    ("TODO", {"path": "src/app.py", "types": ("py",)}, (("src/app.py", 4),)),
    ("TODO", {"path": "src/app.py", "types": ("md",)}, ()),
    ("TODO", {"glob": "*.log"}, (("ignored.log", 1),)),
    ("TODO", {"glob": "*.log", "gitignore": True}, ()),
    ("TODO", {"path": "ignored.log", "gitignore": True}, (("ignored.log", 1),)),
    ("TODO", {"glob": "{R,i}*", "gitignore": True}, (("README.md", 4),)),
    ("log", {"gitignore": True, "hidden": True}, ((".gitignore", 1),)),
    (r"main\(\):$\n    #", {"multiline": True}, (("src/app.py", 3), ("src/app.py", 4))),
    (r"^def.*\n\s+return", {"multiline": True, "types": ("py",)}, (
        ("src/lib/util.py", 1), ("src/lib/util.py", 2),
    )),
    (r"(?s)todo.TODO", {"multiline": True, "path": "docs/[x].txt"}, ()),
    (r"(?s)todo.-e", {"multiline": True, "path": "docs/[x].txt"}, (
        ("docs/[x].txt", 1), ("docs/[x].txt", 2),
    )),
    (r"CRLF$", {"multiline": True}, (("docs/a b.txt", 2),)),
    (r"^end$", {"multiline": True}, (("docs/a b.txt", 3),)),
    ("", {"multiline": True, "path": "src/lib/util.py"}, (
        ("src/lib/util.py", 1), ("src/lib/util.py", 2),
    )),
)  # fmt: skip

REFUSED_PATTERNS: tuple[str, ...] = (
    "foo(", "[z-a]", "*a", "(?=look)", "(?<!behind)", r"(a)\1", "a\nb", "nul\0", "x" * 40_000,
    "lone \udcff", "(?P<x>a)(?P=x)", r"a{2,1}",
)  # fmt: skip

# how a path is written, what is meant; None = it leads out; "" = nothing can be there
PATHS: tuple[tuple[str, str | None], ...] = (
    ("dir/file", "dir/file"),
    ("./dir/./file", "dir/file"),
    ("dir//file", "dir/file"),
    ("dir/sub/../file", "dir/file"),
    ("dir/../dir/file", "dir/file"),
    ("../dir/file", None),
    ("dir/../../dir/file", None),
    ("..", None),
    ("/nowhere/dir/file", None),
    ("", ""),
    ("dir/\0file", ""),
    ("dir/" + "x" * 256, ""),
    ("dir/" + "\u00e9" * 128, ""),
    ("dir/\ud800", ""),
)
