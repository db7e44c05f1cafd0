"""What scores are made of and kept in: the benchmark, generated images as features, scores, approval."""
