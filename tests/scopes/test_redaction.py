"""Secrets are taken out of texts, in linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.scopes.redaction import Redactor, secret_values, sounds_secret

LOOKS = [
    ("curl -H 'Authorization: Bearer abcdef.123456' x", "abcdef"),
    ("OPENAI_API_KEY=sk-abcdefghijklmnopqrstuvwx run", "sk-abc"),
    ("echo sk-ant-api03-abcdefghijklmnop", "api03"),
    ("git push https://user:hunter2@example.org/x.git", "hunter2"),
    ("git clone https://ghp_abcdefghijklmnopqrstuvwxyz0123456789@github.com/x", "ghp_abc"),
    ("export DB_PASSWORD='with a space'; run", "with a space"),
    ('mysql --password "hunter2" -u root', "hunter2"),
    ("login --token=hunter2", "hunter2"),
    ("login --api-key hunter2", "hunter2"),
    ('{"client_secret": "hunter2"}', "hunter2"),
    ("password: hunter2", "hunter2"),
    ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
    ("xoxb-123456789012-abcdef", "xoxb"),
    ("glpat-abcdefghijklmnopqrst", "glpat"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "eyJ"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nrest", "MIIE"),
    ("-----BEGIN PRIVATE KEY-----\ncut off MIIE", "MIIE"),
    ("AWS_SECRET_ACCESS_KEY=abc/def+ghi", "abc/def"),
]
HARMLESS = [
    "git commit -m 'Add a token to the parser'",
    "python -m pytest tests/test_tokens.py -k passes",
    "src/password/reset.py",
    "ls -la /tmp; echo key",
    "sort -k 2 keys.txt",
    "cat author=me",
    "make KEYBOARD=us monkey=1",
    "sk-short",
    "see https://example.org/a@b",
]


@pytest.mark.parametrize(("text", "secret"), LOOKS)
def test_what_looks_like_a_secret_is_taken_out(text, secret):
    clean = Redactor().redact(text)

    assert secret not in clean
    assert "[redacted]" in clean
    assert clean.split()[0][:4] == text.split()[0][:4] or clean.startswith("[redacted]")


@pytest.mark.parametrize("text", HARMLESS)
def test_what_does_not_look_like_one_stays(text):
    assert Redactor().redact(text) == text


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("API_KEY", True), ("ANTHROPIC_API_KEY", True), ("GITHUB_TOKEN", True), ("PASSWORD", True),
        ("DB_PASSWD", True), ("client-secret", True), ("AWS_SECRET_ACCESS_KEY", True),
        ("SSH_PRIVATE_KEY", True), ("AUTH", True), ("SENTRY_DSN", True), ("COOKIE", True),
        ("PATH", False), ("HOME", False), ("AUTHOR", False), ("KEYBOARD", False), ("LANG", False),
        ("COMPASS", False), ("PYTHONPATH", False),
    ],
)  # fmt: skip
def test_which_names_sound_like_secrets(name, secret):
    assert sounds_secret(name) is secret


def test_values_of_such_variables_are_taken_out_wherever_they_stand():
    env = {"MY_TOKEN": "tok123456", "PASS": "abc", "NAME": "shop", "EMPTY_KEY": "", "A_PWD": "tok"}
    redactor = Redactor(secret_values(env))

    assert redactor.redact("x=tok123456 shop") == "x=[redacted] shop"
    assert redactor.redact("abc abcd tokens tok") == "[redacted] abcd tokens [redacted]"


@settings(max_examples=300)
@given(st.text(), st.lists(st.text(min_size=6), max_size=3), st.text())
def test_no_given_value_is_left(before, values, after):
    values = [each for each in values if each.strip()]
    text = before + "".join(values) + after
    clean = Redactor(values).redact(text)

    assert not [each for each in values for piece in clean.split("[redacted]") if each in piece]


@pytest.mark.parametrize(
    "piece",
    [
        "a", "sk-", "eyJ", "eyJaaaaaaaa.", "://", "://a:b", "-----BEGIN PRIVATE KEY-----", "key=",
        "token ", "'", "password='", "Bearer ", "A", "-", "_", "token_", "--token", "ghp_", "a=", "=",
        "secret: ", "AKIA", "xoxb-", " ", "\n", "@", "hunter", "key", "apikey", "-----BEGIN ",
    ],
)  # fmt: skip
def test_hostile_texts_take_no_more_than_linear_time(piece):
    redactor = Redactor(["hunter2", "hunterhunterhunterx", "aaaaaaaaab"])
    text = piece * (1_000_000 // len(piece))
    begun = time.process_time()
    redactor.redact(text)
    redactor.redact(text + "\0")

    assert time.process_time() - begun < 4
