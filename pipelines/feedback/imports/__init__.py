"""Feedback from files: the formats, what is read, and what is rejected."""
