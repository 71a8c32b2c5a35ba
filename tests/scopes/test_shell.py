"""The shell lexer: what the simple commands of a line are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.scopes.shell import Budget, Script, TooIntricate, read_script


def read(text, **budget):
    script = Script()
    read_script(text, script, Budget(**budget))
    return script


CASES = [
    ("ls -la", ["ls -la"]),
    ("", []),
    ("a; b && c || d & e\nf", ["a", "b", "c", "d", "e", "f"]),
    ("a|b|&c", ["a", "b", "c"]),
    ("a # b; c\nd", ["a", "d"]),
    ("a b#c", ["a b#c"]),
    ("echo 'a;b' \"c|d\" e\\;f", ["echo a;b c|d e;f"]),
    ("r''m \"\"x", ["rm x"]),
    ("echo \\\nfoo b\\\nar", ["echo foo bar"]),
    ('echo "a\\"b\\c"', ['echo a"b\\c']),
    ("echo $'a\\'b' $\"c\"", ["echo a\\'b c"]),
    ("echo $(a; b) c", ["a", "b", "echo $(…) c"]),
    ('echo "x $(a "b c") y"', ["a b c", "echo x $(…) y"]),
    ("echo `a \\`b`", ["a `b", "echo $(…)"]),
    ('echo "`a`"', ["a", "echo $(…)"]),
    ("echo `a (b`", ["b", "a", "echo $(…)"]),
    ("echo ${x:-$(a)} ${y#\"}\"} ${z%'}'} ${w\\}}", ["a", "echo ${x:-$(…)} ${y#}} ${z%}} ${w}}"]),
    ("echo $((1<<2)) $(( (1) + $(a) )) $((1)", ["a", "echo $((…))1<<2 $((…)) 1 + $(…)  $((…))1"]),
    ("diff <(a) >(b)", ["a", "b", "diff $(…) $(…)"]),
    ("(a; b) | c", ["a", "b", "c"]),
    ("{ a; }; ! b", ["a", "b"]),
    ("if a; then b; else c; fi", ["a", "b", "c", ""]),
    ("for x in a b; do c $x; done", ["for x in a b", "c $x", ""]),
    ("case x in y) a;; esac", ["case x in y", "a", "esac"]),
    ("A=1 B+=2 a C=3", ["a C=3"]),
    ("a=(x y)", ["x y", ""]),
    ("f() { a; }", ["a", ""]),
    ("a 2>&1 >b <c 10>d &>e", ["a"]),
    (">b", [""]),
    ("a <<E\nx; y\nE\nb", ["a", "b"]),
    ("a <<-'E' | c\n\tx\n\tE\nb", ["a", "c", "b"]),
    ("a <<E; b <<F\n$(c)\nE\n`d`\nF\ne", ["a", "b", "e", "d", "c"]),
    ("a <<'E'\n$(c)\nE", ["a"]),
    ("a <<E\nno end $(b)", ["a", "b"]),
    ("a <<< 'b c' <<E\n\\$(x) $y \"q\"`z`\nE\n", ["a", "z"]),
    (") a", ["a"]),
    ("echo 'open", ["echo open"]),
    ('echo "open $(a', ["a", "echo open $(…)"]),
    ("echo \\", ["echo "]),
    ("a &;;& b ;& c", ["a", "b", "c"]),
    ("[[ a =~ (b|c) ]]", ["b", "c", "[[ a =~ ]]"]),
]


@pytest.mark.parametrize(("line", "commands"), CASES, ids=range(len(CASES)))
def test_the_commands_of_a_line(line, commands):
    found = [each.text for each in read(line).commands]

    assert [each for each in found if each] == [each for each in commands if each]


def test_what_is_piped_and_which_commands_are_one_pipeline():
    a, b, c, d = read("a | b | c; d").commands

    assert [each.piped for each in (a, b, c, d)] == [False, True, True, False]
    assert a.pipeline == b.pipeline == c.pipeline != d.pipeline


def test_redirections_assignments_and_bodies_are_put_aside():
    [each] = read("A=1 cat x 2>err >>out <<E <<<y\nbody\nE\n").commands

    assert each.name == "cat"
    assert [(op, word.text) for op, word in each.redirects] == [(">", "err"), (">>", "out")]
    assert [each.text for each in each.assignments] == ["A=1"]
    assert each.bodies == ["y", "body\n"]


def test_a_name_has_no_directory_and_assignments_alone_have_none():
    assert [each.name for each in read("/bin/rm x; A=1").commands] == ["rm", ""]


def test_what_quotes_take_the_meaning_from():
    [each] = read("a *'*'\"*?~$x\"\\*~ '$x'").commands

    assert each.words[1].text == "***?~$x*~"
    assert each.words[1].shape == "*____$x_~"
    assert each.words[2].shape == "_x"
    assert each.words[1].joined
    assert not each.words[0].joined


def test_functions_are_known_by_name():
    assert read(":(){ :|:& };:").functions == {":"}
    assert read("f () { a; }; function g() { b; }").functions == {"f", "g"}
    assert read("()").functions == set()


@given(st.text(alphabet="ab'\"\\$`;&|()<>{}# \n=!~*/", max_size=60))
def test_no_text_makes_it_fail(text):
    for each in read(text).commands:
        assert isinstance(each.text, str)


@given(st.text(max_size=40))
def test_no_unicode_makes_it_fail(text):
    read(text)


@given(st.text(alphabet="a'\"$(`;|<){} \n", min_size=1, max_size=200))
def test_steps_grow_with_the_text_and_no_faster(text):
    budget = Budget(steps=10**6, characters=10**9)
    read_script(text, Script(), budget)

    assert 10**6 - budget.steps <= 4 * len(text) + 4


def test_a_budget_bounds_steps_and_characters():
    with pytest.raises(TooIntricate):
        read("a;" * 100, steps=100)
    with pytest.raises(TooIntricate):
        read("a" * 100, characters=99)
