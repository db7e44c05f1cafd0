"""What the `train` stage is made of: rows in memory, batches by step, checkpoints, what is watched while it trains."""
