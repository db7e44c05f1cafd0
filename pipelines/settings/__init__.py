"""params.yaml: its schema, how it is read and changed, and its faults in words."""
