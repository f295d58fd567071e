"""Landscapes as a page can train them, by ``frontend/foggy_valley/landscapes.js``."""

from __future__ import annotations

from typing import Any

from bpttviz.potentials.landscape import Landscape, MullerBrown, NeuralLandscape, Wells


def describe_landscape(landscape: Landscape) -> dict[str, Any] | None:
    """What a page needs to train a landscape: kind, parameters (float64) and constants.

    Returns:
        None for one whose formula the page does not know (a subclass may have changed it), or of
        which not all parameters are to be trained.
    """
    described = _KINDS.get(type(landscape))
    if described is None or not all(p.requires_grad for p in landscape.parameters()):
        return None
    kind, names = described
    parameters = [value for p in landscape.parameters() for value in p.detach().flatten().tolist()]
    constants = {name: getattr(landscape, name) for name in names}
    plain = {k: v.tolist() if hasattr(v, "tolist") else v for k, v in constants.items()}
    return {"kind": kind, "parameters": parameters, "constants": plain}


_KINDS: dict[type[Landscape], tuple[str, tuple[str, ...]]] = {
    Wells: ("wells", ()),
    MullerBrown: ("muller-brown", ("scale", "centres", "xx", "xy", "yy")),
    NeuralLandscape: ("network", ("width", "bowl")),
}
