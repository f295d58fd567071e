"""Gradients that come with the package, as `bpttviz gradient` left them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bpttviz._checks import text
from bpttviz.relaxation.gradient_trace import GradientTrace


def stored_gradient(name: str = "005_tet_Si") -> GradientTrace:
    """A relaxation by shipped CHGNet with the gradient on its way back; its ``made`` says how.

    "000_vac_Si": a vacancy, where the gradient shrinks on its way back. "005_tet_Si": an
    interstitial near a saddle, where it grows. Both are of the data set ``si-defects``.

    Raises:
        ValueError: there is none of that name.
    """
    shelf = Path(str(files("bpttviz") / "experiments" / "stored"))
    available = sorted(path.stem for path in shelf.glob("*.safetensors"))
    if text("name", name) not in available:
        raise ValueError(f"no stored gradient {name!r}; there are {', '.join(available)}")
    return GradientTrace.read(shelf / f"{name}.safetensors")
