from .compare_relaxations import CompareRelaxations as CompareRelaxations
from .error_plane import ErrorPlane as ErrorPlane
from .foggy_valley import FoggyValley as FoggyValley
from .ngl import NGLPanes as NGLPanes
from .player import Canvas as Canvas
from .playground import Playground as Playground
from .training_monitor import TrainingMonitor as TrainingMonitor
