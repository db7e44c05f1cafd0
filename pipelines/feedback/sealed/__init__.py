"""data/feedback: the files that folds seal, the images beside them, and the manifest that lists both."""
