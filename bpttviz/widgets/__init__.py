"""Interactive views over results, each with a static picture for pages without a kernel."""

from bpttviz.widgets.compare_relaxations import CompareRelaxations
from bpttviz.widgets.error_plane import ErrorPlane
from bpttviz.widgets.player import Canvas

__all__ = ["Canvas", "CompareRelaxations", "ErrorPlane"]
