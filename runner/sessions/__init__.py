"""Sessions: conversations with agent programs, over many turns."""
