"""Workspaces: named directory trees with a history, kept in one store for each project.

    project ──► workspace (handle) ──► actor: lock, live tree, capture ──► store (SQLite)

A live tree is a real directory, always. The store has what it was: contents and listings by their
hash, and rows for workspaces, snapshots, commits, the journal and the audit.
"""
