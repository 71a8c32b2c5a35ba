"""The contract of looking at trees: drawings, keys, `.gitignore` rules."""
# ruff: noqa: D102 - the names of tests are sentences

from __future__ import annotations

import pytest

from runner import errors as e
from runner import messages as m
from runner.backends.base import Backend
from runner.testing.backend_contract.base import Contract
from runner.testing.backend_contract.tables import TREE

DRAWN = """\
.
├── README.md
├── data/
│   ├── -rf
│   ├── binary.bin
│   ├── empty.txt
│   └── latin.txt
├── docs/
│   ├── [x].txt
│   ├── a b.txt
│   └── üñî.txt
└── src/
    ├── app.py
    └── lib/
        ├── util.py
        └── util_test.py
"""

# .gitignore files, and what they leave of the files below
IGNORED: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    ({}, ("a.log", "a.py", "build/x", "src/a.log", "src/build", "src/deep/b.py", "src/deep/c.md")),
    ({"": "*.log\n"}, ("a.py", "build/x", "src/build", "src/deep/b.py", "src/deep/c.md")),
    ({"": "/*.log\n/src/deep\n"}, ("a.py", "build/x", "src/a.log", "src/build")),
    ({"": "build/\n"}, ("a.log", "a.py", "src/a.log", "src/build", "src/deep/b.py",
                        "src/deep/c.md")),
    ({"": "*.log\n", "src": "!a.log\n"}, ("a.py", "build/x", "src/a.log", "src/build",
                                          "src/deep/b.py", "src/deep/c.md")),
    ({"": "src/**/*.py\n#a.py\n\n!b.py\n"}, ("a.log", "a.py", "build/x", "src/a.log", "src/build",
                                             "src/deep/b.py", "src/deep/c.md")),
    ({"": "src\n!src/a.log\n"}, ("a.log", "a.py", "build/x")),
    ({"": "**\n!*.py\n"}, ("a.py",)),
    ({"src": "*\n!deep\n", "src/deep": "!*.md\n"}, ("a.log", "a.py", "build/x", "src/deep/c.md")),
    ({"": "[a-b].{log,py}\n{\n[\n\\"}, ("build/x", "src/build", "src/deep/c.md")),
)  # fmt: skip


class Trees(Contract):
    """What every backend does when it is asked about trees."""

    async def test_a_tree_is_drawn(self, tree: Backend) -> None:
        await tree.remove("ignored.log")
        drawing = await tree.tree()

        assert drawing.text == DRAWN
        assert drawing.omitted == 0
        sizes = {each.name: each.size for each in drawing.entries if each.type == "file"}
        assert sizes["src/lib/util.py"] == len(TREE["src/lib/util.py"])

    async def test_a_tree_is_bounded(self, tree: Backend) -> None:
        shallow = await tree.tree("src", depth=1)
        capped = await tree.tree("src", limit=2)

        assert shallow.text == "src\n├── app.py\n└── lib/\n"
        assert [each.name for each in capped.entries] == ["app.py", "lib"]
        assert capped.omitted == 2
        assert capped.text.endswith("… 2 more\n")
        assert (await tree.tree("src", limit=0)).omitted == 4
        assert (await tree.tree(depth=0)).entries == ()
        everything = await tree.tree(depth=None, hidden=True)
        assert ".config/settings.ini" in [each.name for each in everything.entries]

    async def test_keys_are_sorted_as_texts(self, backend: Backend) -> None:
        keys = ["a", "a-b/c", "a.b", "a0", "b/.c/d", "b/c", "b/cd/e", "b/d", "c d/é"]
        await backend.remove("a", missing_ok=True)
        for each in keys:
            await backend.write(each if each != "a" else "a/x", b"")
        keys = sorted(["a/x", *keys[1:]])

        assert (await backend.list_keys()).paths == tuple(keys)
        for prefix in (
            "",
            "a",
            "a/",
            "a-",
            "b/c",
            "b/cd/",
            "b/.",
            "x",
            "b/cd/e",
            "/",
            "../",
            "b//",
        ):
            found = await backend.list_keys(prefix)
            assert found.paths == tuple([each for each in keys if each.startswith(prefix)])
        assert await backend.list_keys("b", limit=1) == m.Found(paths=("b/.c/d",), omitted=3)
        with pytest.raises(e.InvalidArgument, match="0 or more"):
            await backend.list_keys(limit=-1)

    @pytest.mark.parametrize(("rules", "left"), IGNORED)
    async def test_gitignore(
        self, backend: Backend, rules: dict[str, str], left: tuple[str, ...]
    ) -> None:
        for path in IGNORED[0][1]:
            await backend.write(path, b"needle\n")
        await backend.write(".git/config", b"needle\n")
        for directory, text in rules.items():
            await backend.write(f"{directory or '.'}/.gitignore", text)
        globbed = await backend.ask(m.Glob(pattern="**/*", hidden=True, gitignore=True))
        drawn = await backend.tree(depth=None, hidden=True, gitignore=True)
        files = [each.name for each in drawn.entries if each.type == "file"]

        assert tuple(each for each in files if ".git" not in each) == left
        assert [each for each in globbed.paths if each in files] == files
        assert [each.name for each in drawn.entries] == list(globbed.paths)
        below = await backend.glob("**/*", "src", gitignore=True)
        assert [each for each in below.paths if each in files] == [
            each for each in left if each.startswith("src/")
        ]
