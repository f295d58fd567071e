"""Results to draw, made once by the real code."""

from dataclasses import replace

import pytest
import torch

import bpttviz as bv


@pytest.fixture(scope="session")
def tiny_report():
    """CHGNet against CHGNet with disturbed weights: two silicon defects, three steps."""
    references = bv.load_dataset("si-defects").everything[:2]
    # Two labelled frames are enough for a force error, and save time.
    references = bv.RelaxationSet([replace(r, frames=r.frames[::15][:2]) for r in references])
    disturbed = bv.CHGNet()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in disturbed.parameters():
            weight += 0.002 * weight.abs().mean() * torch.randn(weight.shape, generator=draw)
    return bv.evaluate(
        {"pretrained": bv.CHGNet(), "disturbed": disturbed},
        references,
        bv.GradientDescent(),
        bv.Stop(steps=3),
        bv.Rest(steps=2),
        progress=False,
    )
