"""Helpers of `validate`: the expectations that data must meet, and the page that shows the data."""
