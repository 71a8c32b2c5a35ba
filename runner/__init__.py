"""Run many coding-agent sessions safely, fast and unattended; or embed the same in a trio app."""
