"""From what people said to what changes in the data: the steps of `curate`, one a file."""
