"""From sealed events to changes of the data: the steps of `curate`, one a file, each of which returns what it found."""
