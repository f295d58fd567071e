"""Figures of results: each function takes results and returns a figure with alternative text.

Only matplotlib's object interface is used: no pyplot, no global state, safe in any thread.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
