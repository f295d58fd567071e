"""The exercises of the notebooks, a module each: what is right, and which mistakes are known."""
