"""Backends: where files are."""
