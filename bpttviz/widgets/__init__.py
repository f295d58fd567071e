"""Interactive views over results, each with a static picture for pages without a kernel.

The names of this package (listed in ``__init__.pyi``) are loaded on first use: who shows one widget
does not load the others.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
