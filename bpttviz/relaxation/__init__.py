"""The iterated map: rules, the loop that applies them, and how a gradient goes back through it."""
