"""Simulated raters and the figures of each turn of the loop. `operations/simulate.py` runs the loop."""
