"""Watching: which files a directory has, and which of them have changed."""
