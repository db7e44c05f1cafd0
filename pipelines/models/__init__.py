"""Families of generative models, one file a family."""
