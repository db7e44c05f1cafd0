"""What the stage `approval` learns people's preferences with."""
