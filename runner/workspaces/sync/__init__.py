"""Sync: the same workspace in several places, by way of a remote that all of them reach."""
