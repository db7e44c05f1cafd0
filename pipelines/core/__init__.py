"""Params, paths, rows and shards, images, reports, tracking, errors: what every stage stands on."""
