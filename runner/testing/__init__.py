"""For users' tests: contract tests, scripted agents, the model server."""
