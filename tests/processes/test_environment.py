"""The environment of programs: an allow-list, and what the caller adds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.processes.environment import ALLOWED, base_environment

CANARIES = {
    "AWS_SECRET_ACCESS_KEY": "canary-1",
    "ANTHROPIC_API_KEY": "canary-2",
    "GITHUB_TOKEN": "canary-3",
    "HTTPS_PROXY": "http://user:canary-4@proxy",
    "LD_PRELOAD": "canary-5",
    "PYTHONPATH": "canary-6",
    "path": "canary-7",
    "XLC_ALL": "canary-8",
}


def test_secrets_stay_here_and_the_harmless_is_passed_on() -> None:
    harmless = {"PATH": "/bin", "HOME": "/h", "LC_ALL": "C.UTF-8", "LANG": "C", "TZ": "UTC"}

    assert base_environment(harmless | CANARIES) == harmless


def test_what_the_caller_names_or_gives_is_there_and_wins() -> None:
    made = base_environment(
        {"PATH": "/bin", "GITHUB_TOKEN": "t", "HOME": "/h"},
        pass_env=("GITHUB_TOKEN", "NOT_SET"),
        extra={"HOME": "/other", "NEW": "1"},
    )

    assert made == {"PATH": "/bin", "GITHUB_TOKEN": "t", "HOME": "/other", "NEW": "1"}


def test_there_is_always_a_path() -> None:
    assert list(base_environment({})) == ["PATH"]


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=5)))
def test_nothing_comes_through_that_is_not_on_the_list(environ: dict[str, str]) -> None:
    for name in base_environment(environ):
        assert name in ALLOWED or name.startswith("LC_")
