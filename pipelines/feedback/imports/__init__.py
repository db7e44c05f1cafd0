"""Feedback from files: a format a file, how a file's format is recognised, what is loaded, and what is rejected."""
