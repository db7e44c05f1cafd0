"""Scores of drawn images, one file a metric."""
