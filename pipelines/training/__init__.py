"""Helpers of the stage `train`: the rows, batches, checkpoints, previews, and the monitor of a training."""
