"""The peers' own names on top of ours, so that switching is one import line. Thin.

    from agent_backend import …          ──►  from runner.compat.agent_backend import …
    from pydantic_ai_backends import …   ──►  from runner.compat.pydantic_ai_backends import …

What callers can see is as there: names, defaults, error classes and texts. What is below is ours:
contained paths, atomic writes, programs that leave nothing behind. Nothing in runner imports these.
"""
