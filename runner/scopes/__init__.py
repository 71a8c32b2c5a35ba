"""Scopes: parts of a workspace in which operations are carried out one after the other."""
