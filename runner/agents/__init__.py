"""Agents: the sans-IO protocols of the programs that we speak to. Bytes in, events out; no trio."""
