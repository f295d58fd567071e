"""Potentials measured on reference relaxations: ends, minima, forces, and what follows."""
