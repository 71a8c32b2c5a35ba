"""Processes: the only room that starts programs, and that ends them."""
