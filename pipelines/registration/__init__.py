"""The records that `register` stores with a version: its tags, its artifacts, its model card."""
