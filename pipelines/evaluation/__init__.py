"""What the stage `evaluate` makes its page with."""
