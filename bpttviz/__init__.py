"""Fine-tune machine-learned interatomic potentials through whole structural relaxations.

The names below are loaded on first use, so ``import bpttviz`` is quick and needs neither torch nor
matplotlib; the data generator relies on that where torch is not installed.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

# public name -> module that defines it
_HOME = {
    "Structures": "structures",
    "StructureError": "structures",
    "Calculator": "calculator",
    "Potential": "potentials.base",
    "Prediction": "potentials.base",
    "ScaledForces": "potentials.scaled",
    "Springs": "potentials.springs",
    "CHGNet": "potentials.chgnet",
    "MACE": "potentials.mace",
    "SevenNet": "potentials.sevennet",
    "PaiNN": "potentials.painn",
    "CoordinateTransformer": "potentials.transformer",
    "EnergyFunction": "potentials.own",
    "ForceFunction": "potentials.own",
    "check_potential": "check",
    "Landscape": "potentials.landscape",
    "Wells": "potentials.landscape",
    "MullerBrown": "potentials.landscape",
    "NeuralLandscape": "potentials.landscape",
    "GradientDescent": "rules",
    "HeavyBall": "rules",
    "FIRE": "rules",
    "Stop": "iterate",
    "Full": "adjoints",
    "Checkpointed": "adjoints",
    "Truncated": "adjoints",
    "Implicit": "adjoints",
    "Guided": "adjoints",
    "ImplicitError": "adjoints",
    "ImplicitWarning": "adjoints",
    "ConjugateGradient": "linear",
    "GMRES": "linear",
    "diagnose_gradient": "diagnose",
    "GradientDiagnosis": "diagnose",
    "Meter": "meters",
    "relax": "relax",
    "Relaxation": "relax",
    "DivergenceWarning": "relax",
    "delta_q": "losses",
    "rmsd": "losses",
    "force_error": "losses",
    "RelaxationSet": "datasets.relaxation_set",
    "Dataset": "datasets.relaxation_set",
    "Reference": "datasets.relaxation_set",
    "load_dataset": "datasets.shipped",
    "read_relaxations": "datasets.read",
    "read_pairs": "datasets.read",
    "DataError": "datasets.read",
    "Objective": "objectives",
    "Endpoint": "objectives",
    "Forces": "objectives",
    "count_evaluations": "objectives",
    "finetune": "finetune",
    "Run": "runs",
    "load_run": "runs",
    "RunError": "runs",
    "evaluate": "evaluate",
    "Rest": "evaluate",
    "Report": "report",
    "reproduce": "reproduce",
    "compare_methods": "compare",
    "read_outcomes": "outcomes",
    "plots": "plots",
    "landscape_plots": "landscape_plots",
    "atom_plots": "atom_plots",
    "data_plots": "data_plots",
    "CompareRelaxations": "widgets",
    "ErrorPlane": "widgets",
    "FoggyValley": "widgets",
    "TrainingMonitor": "widgets",
    "Valley": "valleys",
    "valleys": "valleys",
    "open_lesson": "lesson",
}
_MODULES = {"plots", "landscape_plots", "atom_plots", "data_plots", "reproduce"}

__all__ = ["__version__", *_HOME]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'bpttviz' has no attribute {name!r}")
    module = import_module(f"bpttviz.{_HOME[name]}")
    value = module if name in _MODULES else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps ``bpttviz.relax`` the function: importing the file relax.py would bind the module."""

    def __setattr__(self, name, value):
        shadows = isinstance(value, ModuleType) and name in _HOME and name not in _MODULES
        if not shadows:
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
