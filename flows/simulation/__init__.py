"""The loop with simulated raters, in a copy of the project."""
