"""What patterns mean, against a plain reading of them; and that no text makes them slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.scopes.patterns import UnusablePattern, command_regex, is_absolute, path_regex

CASES = [
    # pattern, what it matches, what it does not
    ("a.txt", ["a.txt"], ["a_txt", "b/a.txt", "a.txt/b", "A.TXT"]),
    ("*.py", ["a.py", ".py", ".hidden.py"], ["a/b.py", "a.pyc"]),
    ("src/*", ["src/a", "src/.a"], ["src", "src/a/b"]),
    ("src/**", ["src", "src/a", "src/a/b"], ["srcs", "a/src/b"]),
    ("**", ["a", "a/b", "."], []),
    ("/**", ["/", "/a", "/a/b"], ["a"]),
    ("/", ["/"], ["/a"]),
    ("**/.env", [".env", "/.env", "a/.env", "/a/b/.env"], ["a.env", ".env/b", "x.env"]),
    ("**/.env.*", ["/a/.env.local"], ["/a/.env", "/a/.env.d/x"]),
    ("**/*secret*", ["/a/my_secret.txt", "secret"], ["/a/secret/x"]),
    ("**/.ssh/**", ["/h/.ssh", "/h/.ssh/id", ".ssh/a/b"], ["/h/x.ssh/id", "/h/.sshx"]),
    ("**/a*b/**", ["axb/c", "x/ab", "x/axbxb/c/d"], ["ax/b"]),
    ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/xb", "x/a/b"]),
    ("**/a/**/b", ["a/b", "x/a/y/a/b"], ["b/a", "x/b"]),
    ("a**b", ["ab", "a/x/b", "axb"], ["ba", "a/b/c"]),
    ("**b*c", ["b/bc", "bc", "x/bxc"], ["b/c"]),
    ("a?c", ["abc", "a.c"], ["a/c", "ac"]),
    ("?/x**", ["a/x", "b/xy/z"], ["ab/x"]),
    ("[ab]x", ["ax", "bx"], ["cx"]),
    ("[!ab]x", ["cx"], ["ax", "/x"]),
    ("[^ab]x", ["cx"], ["bx"]),
    ("[a-c]", ["b"], ["d"]),
    ("[]]", ["]"], ["["]),
    ("[[]", ["["], ["]"]),
    ("[*]", ["*"], ["a"]),
    (r"[\]", ["\\"], ["a"]),
    ("a.b+c(d)", ["a.b+c(d)"], ["aXb+c(d)"]),
    ("**/*.pem", ["a\nb.pem", "x/a\n.pem"], ["a.pem\n"]),
    ("{a,b}", ["{a,b}"], ["a"]),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), CASES, ids=[each[0] for each in CASES])
def test_what_a_path_pattern_means(pattern, yes, no):
    regex = path_regex(pattern)

    assert [each for each in yes if not regex.match(each)] == []
    assert [each for each in no if regex.match(each)] == []


COMMANDS = [
    ("git *", ["git status", "git diff a/b"], ["git", "xgit a", "legit "]),
    ("*", ["", "rm -rf /", "a\nb"], []),
    ("rm -rf /*", ["rm -rf /", "rm -rf /etc/x"], ["rm -rf a"]),
    ("dd if=*of=/dev/*", ["dd if=/dev/zero of=/dev/sda"], ["dd of=/dev/sda"]),
    ("a**/b", ["a/b", "ax/y/b"], ["ab"]),
    ("**/b", ["/b", "x/b"], ["b"]),
    ("a/**", ["a/", "a/b"], ["a"]),
    ("ls", ["ls"], ["ls -l"]),
    ("l?", ["ls", "l/"], ["l"]),
    ("[!a]", ["/", "b"], ["a"]),
    (":(){:|:&};:", [":(){:|:&};:"], [":"]),
]


@pytest.mark.parametrize(("pattern", "yes", "no"), COMMANDS, ids=[each[0] for each in COMMANDS])
def test_what_a_command_pattern_means(pattern, yes, no):
    regex = command_regex(pattern)

    assert [each for each in yes if not regex.match(each)] == []
    assert [each for each in no if regex.match(each)] == []


def plain(pattern, star, *, names):
    """The same meaning, read off the pattern naively."""
    made = ""
    while pattern:
        if names and pattern == "/**":
            made, pattern = made + r"(?:/.*)?", ""
        elif names and pattern.startswith("**/") and (not made or made.endswith("/")):
            made, pattern = made + "(?:.*/)?", pattern[3:]
        elif pattern.startswith("**"):
            made, pattern = made + ".*", pattern.lstrip("*")
        elif pattern.startswith("*"):
            made, pattern = made + star, pattern[1:]
        else:
            made, pattern = made + re.escape(pattern[0]), pattern[1:]
    return re.compile(made + r"\Z", re.DOTALL)


@given(st.text("ab/*", min_size=1, max_size=12), st.text("ab/", max_size=14))
@example("*ab/**/b*a*b", "aab/aab/bab")
@example("a**b*a/**b", "ab/aa/b")
def test_path_patterns_mean_what_a_plain_reading_says(pattern, path):
    try:
        regex = path_regex(pattern)
    except UnusablePattern:
        return
    if "//" in path or path.endswith("/"):
        return

    assert bool(regex.match(path)) == bool(plain(pattern, "[^/]*", names=True).match(path))


@given(st.text("ab*", min_size=1, max_size=12), st.text("ab/", max_size=14))
def test_command_patterns_mean_what_a_plain_reading_says(pattern, command):
    expected = plain(pattern, ".*", names=False).match(command)

    assert bool(command_regex(pattern).match(command)) == bool(expected)


@given(st.text(max_size=20))
def test_any_text_is_a_pattern_or_unusable(pattern):
    for make in (path_regex, command_regex):
        try:
            make(pattern).match(pattern)
        except UnusablePattern:
            continue


@pytest.mark.parametrize(
    "pattern",
    ["", "[", "a[b", "a\0", "x" * 5000, "[z-a]"],
    ids=["empty", "open", "open2", "nul", "long", "range"],
)
def test_what_cannot_be_understood_is_an_error_and_no_pattern_that_matches_nothing(pattern):
    with pytest.raises(UnusablePattern):
        path_regex(pattern)
    with pytest.raises(UnusablePattern):
        command_regex(pattern)


@pytest.mark.parametrize("pattern", ["a/", "./a", "../a", "a//b", "a/../b", "//a"])
def test_a_path_pattern_that_no_path_could_match_is_an_error(pattern):
    with pytest.raises(UnusablePattern, match=r"name/\*\*"):
        path_regex(pattern)


def test_which_patterns_count_from_the_root_of_the_file_system():
    assert is_absolute("/etc/**")
    assert is_absolute("**/.env")
    assert not is_absolute("src/**")
    assert not is_absolute("*.py")


HOSTILE = [
    "*a" * 200 + "b",
    "**a" * 200 + "b",
    "**/a*" * 100 + "b",
    "*" + "a*" * 200 + "/**",
    "?*" * 200 + "b",
]


@pytest.mark.parametrize("pattern", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_makes_a_pattern_slow(pattern):
    texts = ["a" * 4096, ("a" * 200 + "/") * 20 + "a", "a/" * 2000 + "a"]
    regexes = [path_regex(pattern), command_regex(pattern)]
    started = time.perf_counter()
    for regex in regexes:
        for text in texts:
            regex.match(text)

    # Backtracking would take longer than the universe has; a slow machine may take a while.
    assert time.perf_counter() - started < 2.0
