"""Potentials: adapters for pretrained models and small ones to test and teach with.

Each file defines one `Potential`; nothing is imported here, so that a missing extra only matters to
those who ask for it.
"""
