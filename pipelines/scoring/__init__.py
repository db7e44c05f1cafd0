"""Scoring: the benchmark, generated images as features, image sets, scores and their noise floor, approval."""
