"""Adapters that plug a scope into other frameworks, each behind an extra of its own.

Thin: what a framework asks for is put as operations on a scope, and answers and errors are put in
the framework's words. Nothing in runner imports these modules; each imports its framework.
"""
