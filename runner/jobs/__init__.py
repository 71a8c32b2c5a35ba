"""Jobs: batches of agent sessions, durable from the first to the last."""
