"""The parts of the model server: HTTP, the directives, and the two APIs as sans-IO codecs."""
