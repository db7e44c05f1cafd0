"""What `register` keeps of how a version came to be: its tags, its artifacts, its model card."""
