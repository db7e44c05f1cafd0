"""What simulated raters like, one file a taste."""
