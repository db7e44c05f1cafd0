"""What the `genloop` command does, one file a command; genloop.py only translates."""
