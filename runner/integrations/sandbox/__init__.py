"""What a sandbox of deepagents does, as coroutine functions on a scope."""
