"""Helpers of `genloop tune`: the search space, the cross-validation, the trials, and the study that keeps them."""
