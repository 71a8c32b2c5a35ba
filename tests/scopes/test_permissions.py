"""Rulesets and verdicts; pure."""

from __future__ import annotations

import typing
from pathlib import Path

import attrs
import pytest

from runner import messages as m
from runner.backends.straight import Resolved
from runner.config import load_record
from runner.errors import ConfigError
from runner.messages import Message
from runner.scopes import permissions as p
from runner.scopes.concerns import FIELDS, MANY, SHOWS, slots_of, with_paths
from runner.scopes.judging import Bases, judge, judge_line, line_of, plain
from runner.scopes.permissions import (
    Grant,
    Permissions,
    Rule,
    Rules,
    Ruleset,
    Spot,
    UnusableRule,
    Verdict,
    judge_command,
    judge_spot,
    may_hide,
    strictest,
)
from runner.scopes.presets import (
    DEFAULT_RULESET,
    PERMISSIVE_RULESET,
    PRESETS,
    READONLY_RULESET,
    SECRETS_PATTERNS,
    STRICT_RULESET,
    create_ruleset,
    permissions_of,
)

DENY_SECRETS = Rule(pattern="**/.env", action="deny", description="keys")
RULES = Ruleset(
    default="allow",
    read=Rules(rules=(Rule(pattern="**/public.env", action="allow"), DENY_SECRETS)),
    write=Rules(
        default="deny",
        rules=(Rule(pattern="src/gen/**", action="ask"), Rule(pattern="src/**", action="allow")),
    ),
)


def spot(path, root="/w"):
    return Spot(f"{root}/{path}", path)


def judge_path(rules, kind, spots):
    return strictest([judge_spot(rules, kind, each) for each in spots])


def action(rules, kind, *paths):
    return judge_path(rules, kind, [spot(each) for each in paths]).action


def test_the_first_rule_that_matches_wins():
    assert action(RULES, "write", "src/a") == "allow"
    assert action(RULES, "write", "src/gen/a") == "ask"
    assert action(RULES, "read", "x/.env") == "deny"
    assert action(RULES, "read", "x/public.env") == "allow"


def test_without_a_rule_the_kinds_default_counts_and_then_the_rulesets():
    assert action(RULES, "write", "doc/a") == "deny"
    assert action(RULES, "edit", "doc/a") == "allow"
    assert action(RULES, "read", "doc/a") == "allow"


def test_the_strictest_of_all_names_counts():
    assert action(RULES, "write", "src/a", "src/gen/a") == "ask"
    assert action(RULES, "write", "src/a", "other") == "deny"
    assert action(RULES, "write", "src/gen/a", "other") == "deny"


def test_remove_is_as_write_unless_it_has_rules_of_its_own():
    assert action(RULES, "remove", "doc/a") == "deny"
    assert action(attrs.evolve(RULES, remove=Rules()), "remove", "doc/a") == "allow"


def test_patterns_count_from_the_directory_of_the_rules_or_from_the_root():
    rules = Ruleset(
        default="allow",
        read=Rules(
            rules=(
                Rule(pattern="a", action="deny"),
                Rule(pattern="/w/b", action="deny"),
                Rule(pattern="**/home/**", action="deny"),
            )
        ),
    )

    assert action(rules, "read", "a") == "deny"
    assert action(rules, "read", "x/a") == "allow"
    assert action(rules, "read", "b") == "deny"
    assert judge_path(rules, "read", [spot("b", "/v")]).action == "allow"
    assert judge_path(rules, "read", [spot("b", "/home/me")]).action == "deny"


def test_what_is_no_more_in_the_directory_of_the_rules_is_denied():
    assert judge_path(RULES, "read", [Spot("/elsewhere", None)]).action == "deny"


def test_a_verdict_says_why():
    denied = judge_path(RULES, "read", [spot("x/.env")])
    default = judge_path(RULES, "write", [spot("x")])
    asked = judge_path(RULES, "write", [spot("src/gen/x")])

    assert denied.reason == "read is denied for '/w/x/.env' by the rule '**/.env': keys"
    assert default.reason == "write is denied for '/w/x': no rule is about it"
    assert asked.reason == "write is to be asked about for '/w/src/gen/x' by the rule 'src/gen/**'"


def test_verdicts_and_rules_are_frozen_and_hashable():
    for value in (
        RULES,
        DENY_SECRETS,
        Permissions(rules=RULES),
        Grant(permissions=Permissions(rules=RULES)),
    ):
        assert isinstance(hash(value), int)
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            value.default = value.pattern = "x"
    assert Permissions(rules=RULES, record=[].append) != Permissions(rules=RULES)


@pytest.mark.parametrize("kind", p.KINDS)
def test_a_rule_that_cannot_be_understood_is_refused_at_once(kind):
    rules = Rules(rules=(Rule(pattern="a[", action="deny"),))

    with pytest.raises(UnusableRule, match="is never closed") as caught:
        Ruleset(**{kind: rules})
    assert isinstance(caught.value, ConfigError)


# ---------------------------------------------------------------- commands

COMMANDS = Ruleset(
    default="deny",
    execute=Rules(
        rules=(
            Rule(pattern="git push*", action="ask"),
            Rule(pattern="git *", action="allow"),
            Rule(pattern="ls", action="allow"),
            Rule(pattern="cd src && make", action="allow"),
            Rule(pattern="*forbidden*", action="deny"),
        )
    ),
    read=Rules(default="allow", rules=(DENY_SECRETS,)),
    write=Rules(default="deny", rules=(Rule(pattern="locked/**", action="deny"),)),
)


def judge_all(command, rules=COMMANDS):
    def spots_of(word):
        return None if word.startswith("/") else (spot(word),)

    return strictest(judge_line(rules, line_of(command), spots_of)).action


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("git status", "allow"),
        ("git diff a/b", "allow"),
        ("git push origin", "ask"),
        ("ls; git status", "allow"),
        ("git status; git push", "ask"),
        ("git status; rm x", "deny"),
        ("git log $(rm x)", "deny"),
        ("git status\nrm x", "deny"),
        ("A=1 git status", "deny"),
        ("cd src && make", "allow"),
        ("git forbidden", "allow"),  # the rule before it wins
        ("cat .env", "deny"),
        ("git add .env", "deny"),
        ("git add --file=.env", "deny"),
        ("git add < .env", "deny"),
        ("git log > locked/x", "deny"),
        ("git log > free/x", "allow"),
        ("> free/x", "deny"),
        ("", "deny"),
        (("git", "status"), "allow"),
        (("git", "a; rm x"), "allow"),
        (("git", ".env"), "deny"),
        ("git " + "'a'" * 100_000, "deny"),
    ],
)
def test_commands_are_judged_each_for_itself(command, expected):
    assert judge_all(command) == expected


def test_of_words_as_paths_all_names_are_judged_and_what_is_no_path_is_left_out():
    rules = Ruleset(default="allow", read=Rules(rules=(DENY_SECRETS,)))
    line = line_of("cat a /x '' real")
    seen = []

    def spots_of(word):
        seen.append(word)
        return {"a": (spot("a"),), "real": (spot("real"), spot(".env"))}.get(word)

    assert [each.target for each in judge_line(rules, line, spots_of) if each.action == "deny"] == [
        "/w/.env"
    ]
    assert seen == ["a", "/x", "real"]


def test_a_line_as_a_whole_can_be_denied():
    rules = Ruleset(default="allow", execute=Rules(rules=(Rule(pattern="*; rm *", action="deny"),)))

    assert judge_command(rules, "ls; rm x", ["ls", "rm x"]).action == "deny"
    assert judge_all("'a'" * 100_000, rules) == "deny"
    assert (
        list(judge_line(Ruleset(default="allow"), line_of("'a'" * 100_000), lambda _: None)) == []
    )


# ---------------------------------------------------------------- presets

SECRET = "conf/.env"
PRESET_TABLE = {
    #              read, of a secret, write, of a secret, execute, remove, ls, hidden secret
    "default": ("allow", "deny", "ask", "deny", "ask", "ask", "allow"),
    "permissive": ("allow", "deny", "allow", "deny", "allow", "allow", "allow"),
    "read-only": ("allow", "deny", "deny", "deny", "deny", "deny", "allow"),
    "strict": ("ask", "deny", "ask", "deny", "ask", "ask", "ask"),
}


@pytest.mark.parametrize("name", PRESETS)
def test_what_the_presets_do(name):
    rules = PRESETS[name]
    found = (
        action(rules, "read", "a"),
        action(rules, "read", SECRET),
        action(rules, "write", "a"),
        action(rules, "write", SECRET),
        judge_command(rules, "ls", ["ls"]).action,
        action(rules, "remove", "a"),
        action(rules, "ls", "a"),
    )

    assert found == PRESET_TABLE[name]
    assert p.hides(rules, "ls", [spot(SECRET)])
    assert p.hides(rules, "grep", [spot(SECRET)])
    assert not p.hides(rules, "glob", [spot("a")])


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.local",
        "a.pem",
        "x/a.key",
        "a.crt",
        "credentials.json",
        "secrets",
        "my-secret.txt",
        "password.txt",
        ".aws/x",
        ".ssh/id_rsa",
        ".gnupg/x/y",
        ".ssh",
    ],
)
def test_secrets_are_known(path):
    assert action(DEFAULT_RULESET, "read", path) == "deny"
    assert action(DEFAULT_RULESET, "read", f"deep/down/{path}") == "deny"


def test_the_system_is_not_to_be_written_by_permissive():
    assert judge_path(PERMISSIVE_RULESET, "write", [Spot("/etc/passwd", "passwd")]).action == "deny"
    assert judge_path(PERMISSIVE_RULESET, "read", [Spot("/etc/passwd", "passwd")]).action == "allow"
    for command in ("rm -rf /", "mkfs.ext4 x", ":(){:|:&};:", "chmod -R 777 /"):
        assert judge_command(PERMISSIVE_RULESET, command, [command]).action == "deny"


def test_rulesets_can_be_made_of_switches():
    rules = create_ruleset(allow_write=True, allow_execute=True, deny_secrets=False)

    assert action(rules, "write", SECRET) == "allow"
    assert action(rules, "edit", "a") == "ask"
    assert action(create_ruleset(), "read", SECRET) == "deny"
    assert not any(each.rules for each in (rules.of(kind) for kind in p.KINDS))


def test_permissions_can_be_given_by_name_as_a_ruleset_or_whole():
    whole = Permissions(rules=STRICT_RULESET, deadline=1.0)

    assert permissions_of("read-only").rules is READONLY_RULESET
    assert permissions_of(STRICT_RULESET) == Permissions(rules=STRICT_RULESET)
    assert permissions_of(whole) is whole
    with pytest.raises(ConfigError, match="default, permissive, read-only, strict"):
        permissions_of("readonly")


# ---------------------------------------------------------------- files

TOML = """
default = "deny"
[read]
default = "allow"
rules = [
  { pattern = "**/.env", action = "deny", description = "keys" },
]
[write]
rules = [
  { pattern = "src/**", action = "ask" },
]
"""


def test_a_ruleset_is_read_from_toml(tmp_path: Path):
    (tmp_path / "rules.toml").write_text(TOML)
    rules = load_record(tmp_path / "rules.toml", Ruleset)

    assert rules == Ruleset(
        default="deny",
        read=Rules(default="allow", rules=(DENY_SECRETS,)),
        write=Rules(rules=(Rule(pattern="src/**", action="ask"),)),
    )


def test_mistakes_in_a_file_are_told_with_their_place(tmp_path: Path):
    (tmp_path / "rules.toml").write_text('default = "maybe"\n[read]\nrules = [{ pattern = "a" }]\n')
    with pytest.raises(ConfigError) as caught:
        load_record(tmp_path / "rules.toml", Ruleset)

    told = [(each.line, each.key) for each in caught.value.problems]
    assert told == [(1, "default"), (3, "read.rules[1].action")]


def test_a_pattern_in_a_file_that_cannot_be_understood_is_told(tmp_path: Path):
    (tmp_path / "rules.toml").write_text('[read]\nrules = [{ pattern = "a[", action = "deny" }]\n')
    with pytest.raises(ConfigError, match="never closed"):
        load_record(tmp_path / "rules.toml", Ruleset)


# ---------------------------------------------------------------- which operation is of which kind


def test_every_operation_stands_in_the_table():
    known = {*FIELDS, *MANY, m.Batch}

    assert set(typing.get_args(m.Operation)) - known == set()
    assert set(SHOWS) <= known


def test_every_path_of_a_message_is_found_and_replaced():
    effects = (
        m.Copy(source="a", target="b"),
        m.Remove(path="c", recursive=True),
        m.Remove(path="d"),
        m.Write(path="e", content=b""),
    )
    messages: list[Message] = [
        m.Read(path="a"),
        m.Move(source="a", target="b"),
        m.Exec(command="x", cwd="a"),
        m.Download(paths=("a", "b")),
        m.Upload(files=(("a", b"1"), ("b", b"2"))),
        m.Start(command="x", cwd="a", log="b"),
        m.Start(command="x", cwd="a"),
        m.ListProcesses(),
        m.Batch(effects=effects),
    ]
    for message in messages:
        paths = tuple(each.path for each in slots_of(message))
        new = tuple(f"new/{each}" for each in paths)
        changed = with_paths(message, new)

        assert tuple(each.path for each in slots_of(changed)) == new
        assert with_paths(changed, paths) == message
    assert [each.field.whole for each in slots_of(messages[-1])] == [
        True,
        False,
        True,
        False,
        False,
    ]
    assert with_paths(m.ListKeys(prefix="a"), (".",)) == m.ListKeys(prefix="a")


def test_a_message_that_the_table_does_not_know_has_no_slots():
    class Unknown(Message[None]):
        pass

    assert slots_of(Unknown()) is None
    assert slots_of(m.Batch(effects=(Unknown(),))) is None


# ---------------------------------------------------------------- names


def test_names_are_judged_as_written_and_as_they_are_for_each_grant():
    way = Resolved(
        given=("l", "..", "a"),
        names=("d", "a"),
        directory=False,
        root="/w/in",
        real_root="/real/in",
    )
    plain_grant = Grant(permissions=Permissions(rules=RULES))
    outer = Grant(permissions=Permissions(rules=RULES), base="/w")
    moved = []

    def real(path):
        moved.append(path)
        return "/real"

    bases = Bases([plain_grant, outer], real)

    assert bases.spots(plain_grant, way) == (Spot("/w/in/a", "a"), Spot("/real/in/d/a", "d/a"))
    assert bases.spots(outer, way, ("x",)) == (
        Spot("/w/in/a/x", "in/a/x"),
        Spot("/real/in/d/a/x", "in/d/a/x"),
    )
    assert moved == ["/w"]
    bases.spots(outer, attrs.evolve(way, real_root="/other"))
    assert moved == ["/w", "/w"]
    assert bases.spots(outer, attrs.evolve(way, real_root="/other"))[1].relative is None


def test_the_directory_itself_is_a_dot_and_nothing_is_above_it():
    top = Resolved(given=(), names=("..",), directory=True, root="/", real_root="/")
    grant = Grant(permissions=Permissions(rules=RULES))

    assert Bases([], str).spots(grant, top) == (Spot("/", "."),)
    assert Bases([], str).spots(Grant(permissions=grant.permissions, base="/"), top) == (
        Spot("/", "."),
    )
    assert plain(("a", "..", "..", "b")) == ("b",)


def test_what_is_hidden_in_listings_may_not_be_looked_at_either():
    assert judge(RULES, "ls", (spot("x/.env"),)) == [
        Verdict(action="deny", kind="read", target="/w/x/.env", rule=DENY_SECRETS)
    ]
    assert [each.action for each in judge(RULES, "ls", (spot("x"), spot(".env")))] == [
        "allow",
        "deny",
    ]
    assert [each.action for each in judge(RULES, "write", (spot("src/.env"),))] == ["allow"]


def test_what_may_be_hidden_is_known_beforehand():
    listable = Ruleset(default="allow", read=Rules(default="deny"))

    assert may_hide(RULES, "ls")
    assert not may_hide(Ruleset(default="allow"), "ls")
    assert not may_hide(listable, "ls")
    assert may_hide(listable, "grep")
    assert p.hides(listable, "grep", [spot("a")])
    assert not p.hides(listable, "ls", [spot("a")])
    assert p.hides(Ruleset(default="deny"), "ls", [spot("a")])
    assert p.denies_by_rule(RULES, "ls", [spot(".env")])
    assert not p.denies_by_rule(Ruleset(default="deny"), "ls", [spot("a")])
    assert p.allowed_patterns(RULES, "write") == ("src/**",)
    assert SECRETS_PATTERNS[0] == "**/.env"
