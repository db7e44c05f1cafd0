"""The use cases that commands and flows share: each is one function that returns its result."""
