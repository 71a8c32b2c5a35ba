"""Whether a program uses the kind of credential that its agent's record asks for. Pure.

What a program does not say cannot be checked: codex does not, where its provider is the user's own.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

Billing: TypeAlias = Literal["any", "subscription", "api_key"]

# The programs' own words: codex's kinds of an account and of a login, claude's sources of a token.
_SUBSCRIPTIONS = frozenset({"chatgpt", "chatgptauthtokens", "claude.ai", "claude_code_oauth_token"})
_MENDING = {
    "subscription": "take the key out of its variables (`env`, `pass_env`), and let `seed` name a"
    " directory with a login",
    "api_key": "give it a key by `env` or `pass_env`, and no `seed` with a login",
}


def kind_of_credential(credential: str) -> Billing:
    """What is paid by a credential, from the program's own word for it."""
    word = credential.partition("/")[0].lower()
    if not word:
        return "any"
    return "subscription" if word in _SUBSCRIPTIONS or "oauth" in word else "api_key"


def mismatch(billing: Billing, credential: str) -> str:
    """The sentence that says what is wrong, and how it is mended; empty = nothing is."""
    used = kind_of_credential(credential)
    if billing == "any" or used in ("any", billing):
        return ""
    return (
        f"the program says that it uses {credential!r}, but the agent's `billing` is"
        f" {billing!r}: {_MENDING[billing]}"
    )
