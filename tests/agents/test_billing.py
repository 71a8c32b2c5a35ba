"""Which kind of credential a program's own word for it is, and whether it is the right one."""

from __future__ import annotations

import pytest

from runner.agents.billing import kind_of_credential, mismatch
from runner.agents.secret import Secret


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("ANTHROPIC_API_KEY", "api_key"),
        ("ANTHROPIC_AUTH_TOKEN", "api_key"),
        ("apiKeyHelper", "api_key"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "subscription"),
        ("claude.ai", "subscription"),
        ("apiKey", "api_key"),
        ("chatgpt/plus", "subscription"),
        ("", "any"),
    ],
)
def test_the_programs_words_are_of_a_kind(word, kind):
    assert kind == kind_of_credential(word)


@pytest.mark.parametrize(
    ("billing", "word", "wrong"),
    [
        ("any", "apiKey", False),
        ("api_key", "apiKey", False),
        ("api_key", "chatgpt/pro", True),
        ("subscription", "ANTHROPIC_API_KEY", True),
        ("subscription", "claude.ai", False),
        ("subscription", "", False),
    ],
)
def test_another_kind_is_said_and_how_to_mend_it(billing, word, wrong):
    sentence = mismatch(billing, word)

    assert wrong == bool(sentence)
    assert not wrong or (word in sentence and billing in sentence and "`seed`" in sentence)


@pytest.mark.parametrize("given", [{}, {"env": "A", "file": "b"}, {"file": "b", "command": ("c",)}])
def test_a_reference_is_to_one_thing(given):
    with pytest.raises(ValueError, match="either env, file or command"):
        Secret(**given)
