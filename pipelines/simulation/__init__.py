"""Simulated raters: what they like, what they say and when, and what came of it. `flows/simulation` runs the loop."""
