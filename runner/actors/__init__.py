"""The kernel: mailboxes, actors and their supervisor. It knows nothing of files, agents or jobs."""
