"""Whole experiments as one call each; written as they come, resumed where they stopped."""
