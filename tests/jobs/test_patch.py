from __future__ import annotations

import os
import shutil
import subprocess

import pytest

if shutil.which("git") is None:
    pytest.skip("needs git: install it from your distribution", allow_module_level=True)

# Everything that git could get wrong: each script is a job's prompt in a copy of `src`.
SCRIPTS = {
    "binary": "head -c 3000 /dev/zero | tr '\\0' '\\377' > image; printf '\\0\\1' >> data",
    "text": "sed -i 's/50/fifty/' numbers; printf 'no end' > noend",
    "mode": "chmod +x numbers; chmod -x tool",
    "link": "ln -sf numbers link; ln -s /nowhere dangling; rm tool; ln -s data tool",
    "rename": "mkdir sub; mv numbers sub/n; mv tool 'a b'",
    "dos": "printf 'a\\r\\nb\\n' > dos; printf 'x\\r\\n' >> crlf.txt",
    "names": "touch 'tab\there' 'quote\"s' 'new\nline' \"$(printf 'byte\\377')\" ' lead' '*' ':x' ./-n",
    "deep": "mkdir -p a/b/c; echo x > a/b/c/d; rm -r dir; echo file > dir",
    "dir": "rm data; mkdir data; echo x > data/y",
    "empty": ": > nothing; : > numbers",
    "odd": "mkfifo pipe; mkdir hollow; mkdir n; git init -q n/ested; echo x > n/ested/y; echo z > n/z",
    "ignored": "echo x > x.log; mkdir build; echo y > build/y; echo z > kept.log; echo more >> kept",
    "attributes": "printf '*.txt text eol=crlf\\n*.up filter=up ident\\n' > .gitattributes; "
    "printf 'a\\n' > a.txt; printf '$Id$\\n' > b.up",
}


@pytest.fixture
def source(shop):
    numbers = "".join(f"{n}\n" for n in range(100))
    shop.write(
        {
            "src/numbers": numbers,
            "src/data": bytes(range(256)),
            "src/tool": "#!/bin/sh\n",
            "src/crlf.txt": "one\r\ntwo\r\n",
            "src/dir/inner": "inner\n",
            "src/kept": "kept\n",
            "src/.gitignore": "*.log\nbuild/\n",
            "src/.gitattributes": "* text=auto eol=lf\n",
            "src/already.log": "ignored before\n",
        }
    )
    (shop.root / "src" / "tool").chmod(0o755)
    (shop.root / "src" / "link").symlink_to("data")
    return shop.root / "src"


def tree(root):
    """Every file and link below a directory: its mode, and its content or target."""
    found = {}
    for at, directories, names in os.walk(os.fsencode(root)):
        directories[:] = [name for name in directories if name != b".git"]
        for name in [*names, *directories]:
            path = os.path.join(at, name)
            key = os.path.relpath(path, os.fsencode(root))
            if os.path.islink(path):
                found[key] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                with open(path, "rb") as file:
                    found[key] = (bool(os.stat(path).st_mode & 0o100), file.read())
    return found


def is_out(path):
    """What a patch does not hold: files that the project's .gitignore names, and no files."""
    return path.endswith(b".log") or path.startswith(b"build/")


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("setup", [False, True])
async def test_a_patch_applied_to_the_source_gives_the_workspace(shop, source, name, setup):
    plain = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    plain |= {"GIT_CONFIG_GLOBAL": "/dev/null"}
    prepare = (
        'setup = ["echo prepared > prepared; echo 100 >> numbers; touch by.log"]' if setup else ""
    )
    text = (
        f'name = "b"\nprompt = {quoted(SCRIPTS[name])}\nkeep = "always"\n'
        f'workspace.copy = "src"\n{prepare}\n'
    )
    await shop.run(text)

    result = shop.results()["b"]
    assert (result["state"], result["patch_error"]) == ("ok", "")
    if setup:  # a patch holds what the agent changed, not what setup did
        shop.write({"src/prepared": "prepared\n"})
        with open(source / "numbers", "a") as file:
            file.write("100\n")
    shutil.rmtree(source / "already.log", ignore_errors=True)
    patch = shop.out / result["patch"]
    subprocess.run(
        ["git", "apply", "--whitespace=nowarn", patch], cwd=source, check=True, env=plain
    )
    made = tree(shop.out / result["workspace"])
    expected = {path: what for path, what in made.items() if not is_out(path)}
    actual = {path: what for path, what in tree(source).items() if not is_out(path)}
    assert expected == actual


def quoted(script):
    escaped = (
        script.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
    return f'"{escaped}"'


async def test_the_users_git_configuration_changes_nothing(shop, source, monkeypatch):
    config = shop.root / "gitconfig"
    config.write_text(
        "[core]\nautocrlf = true\nexcludesFile = /tmp/none\n[diff]\nnoprefix = true\n"
        "external = false\nmnemonicPrefix = true\n[color]\nui = always\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("HOME", str(shop.root))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    (shop.root / ".gitconfig").write_text(config.read_text())
    await shop.run('name = "b"\nprompt = "echo x >> kept"\nworkspace.copy = "src"')

    patch = (shop.out / "patches" / "b.patch").read_text()
    assert patch.startswith("diff --git a/kept b/kept\n")
    assert patch.endswith(" kept\n+x\n")


async def test_what_cannot_be_put_into_a_patch_is_said_and_the_workspace_kept(shop):
    await shop.run('name = "b"\nprompt = "echo x > secret; rm -rf ../../.runner/git/objects"\n')
    result = shop.results()["b"]
    assert result["patch"] is not None  # ours is made when it is first needed

    shutil.rmtree(shop.out)
    prompts = 'prompts = ["echo x > a", "rm -rf ../../.runner/git; touch ../../.runner/git"]'
    await shop.run(f'name = "b"\n{prompts}\n')
    result = shop.results()["b"]
    assert (result["state"], result["patch"]) == ("ok", None)
    assert result["patch_error"]
    assert result["workspace"] == "work/b.1"


async def test_when_no_file_was_touched_git_is_not_run(shop):
    await shop.run('name = "b"\nprompt = "true"\n')

    assert not (shop.out / ".runner" / "git").exists()
