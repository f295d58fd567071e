"""Interactive views over results, each with a static picture for pages without a kernel."""

from bpttviz.widgets.compare_relaxations import CompareRelaxations
from bpttviz.widgets.error_plane import ErrorPlane
from bpttviz.widgets.foggy_valley import FoggyValley
from bpttviz.widgets.player import Canvas
from bpttviz.widgets.training_monitor import TrainingMonitor

__all__ = ["Canvas", "CompareRelaxations", "ErrorPlane", "FoggyValley", "TrainingMonitor"]
