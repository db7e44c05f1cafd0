"""Guided generation: pictures that people will like, chosen among what a model generates, by what they have judged."""
