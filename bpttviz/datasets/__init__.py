"""Relaxations to learn from: sets and splits, readers, the shipped data, and its generator.

Nothing is imported here: the generator runs where torch is not installed.
"""
