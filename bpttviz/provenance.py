"""What a result depends on: a part's description, and a fingerprint of its weights."""

from __future__ import annotations

import hashlib

from torch import nn


def specification(part: nn.Module) -> dict:
    """Class and constructor arguments; None for the latter where ``part`` does not give any."""
    try:
        config = part.config()
    except (AttributeError, TypeError):
        config = None
    return {"class": type(part).__name__, "config": config}


def fingerprint(module: nn.Module) -> str:
    """A short hash of all weights: two modules with the same one compute the same."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
