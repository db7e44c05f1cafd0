"""What `validate` checks and how it shows it."""
