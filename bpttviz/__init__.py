"""Fine-tune machine-learned interatomic potentials through whole structural relaxations.

The names of this package (listed with their types in ``__init__.pyi``) are loaded on first use, so
``import bpttviz`` is quick and needs neither torch nor matplotlib.
"""

try:
    import lazy_loader
except ModuleNotFoundError:  # the Python that has GPAW, where the data generator alone is used
    pass
else:
    __getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
