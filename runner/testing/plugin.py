"""The pytest fixtures that runner ships to its users."""
