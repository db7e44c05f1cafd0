"""Feedback of people on images: events, the store that holds them, their import from files, and the files that folds seal."""
