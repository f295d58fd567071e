"""Objectives, the training loop, and runs that can be stopped, resumed and read back."""
