"""params.yaml: its schema, how it is read and changed, and what is said where it is wrong."""
