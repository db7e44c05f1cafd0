"""Helpers of the stage `evaluate`: its page, with plots and a summary."""
