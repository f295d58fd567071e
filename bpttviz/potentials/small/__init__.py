"""Two small potentials of our own, to learn and teach with, and their weights."""
