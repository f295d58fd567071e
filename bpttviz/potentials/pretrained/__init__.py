"""Adapters for potentials that others have pretrained; nothing is imported here."""
