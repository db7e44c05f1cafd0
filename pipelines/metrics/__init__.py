"""Scores of generated images, one file a metric."""
