"""Holding programs inside: what they can see, reach and use up.

    host:   policy ──► what is in force (probe) ──► a plan for each program
    inside: clone ──► plan carried out ──► a keeper, which is pid 1 of the program's namespaces

This file loads nothing: the guardian loads `enter` and what that needs, and those are to stay
small (the standard library only).
"""
