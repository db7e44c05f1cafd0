"""Feature extractors: images -> feature vectors, one file each."""
