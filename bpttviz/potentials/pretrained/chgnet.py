"""CHGNet (Deng et al., Nature Machine Intelligence 2023) with a gradient through its relaxations.

The three pretrained checkpoints ship inside the ``chgnet`` package; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import chgnet
import torch
from chgnet.model.model import CHGNet as Network
from torch import Tensor

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_device, require_dtype
from bpttviz.potentials.base import Potential
from bpttviz.potentials.pretrained.checkpoints import read_checkpoint
from bpttviz.potentials.pretrained.chgnet_graph import crystal_graphs
from bpttviz.potentials.requirements import (
    require_choice,
    require_elements,
    require_finite,
    require_periodic,
)
from bpttviz.structures import Structures

CHECKPOINTS = {
    "0.3.0": "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "0.2.0": "0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
    "r2scan": "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
}
ELEMENTS = tuple(range(1, 95))  # H to Pu


class CHGNet(Potential):
    """The pretrained CHGNet, ready to be unrolled.

    The bare network is called on a crystal graph whose fractional coordinates carry a gradient;
    `chgnet`'s own prediction and relaxation routines detach. Neighbour lists and image indices are
    integers from the current positions, rebuilt at every call. Several structures go through one
    forward pass.

    Args:
        checkpoint: "0.3.0" (MPtrj, PBE), "0.2.0" (its predecessor), or "r2scan" (r2SCAN labels:
            not comparable with PBE data without saying so).
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks.

    Raises:
        ValueError: unknown checkpoint, device or floating-point type.
        StructureError: (when called) an element beyond Pu, a cell not periodic in all directions,
            positions that are not finite, or an atom with no neighbour within the cutoff.
    """

    partial_pbc = False

    network: Any  # untyped in its package

    def __init__(
        self,
        checkpoint: str = "0.3.0",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        advice = " (files are not read here: what was fine-tuned is loaded by load_run)"
        require_choice(checkpoint, CHECKPOINTS, "CHGNet checkpoint", advice)
        device, dtype = require_device(device), require_dtype(dtype)
        self.checkpoint = checkpoint
        self.network = _load(checkpoint).to(device=device, dtype=dtype).eval()
        self._settle_composition()

    def _settle_composition(self) -> None:
        if self.network.composition_model is not None:
            # It sees the formula only, builds its input in float32 and adds no force.
            self.network.composition_model.float()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `double`, `float`, `to` and the like go through.

        Raises:
            ValueError: a floating-point type other than float32 and float64, as of `half`.
        """
        require_dtype(fn(torch.empty(0, dtype=self.dtype)).dtype)
        super()._apply(fn, recurse)
        self._settle_composition()
        return self

    def config(self) -> dict[str, Any]:
        return {"checkpoint": self.checkpoint, "dtype": str(self.dtype).removeprefix("torch.")}

    @property
    def dtype(self) -> torch.dtype:
        """What the network computes in (its composition model aside)."""
        return self.network.mlp.layers[0].weight.dtype

    @property
    def known_elements(self) -> tuple[int, ...]:
        """H to Pu."""
        return ELEMENTS

    def export(self, path: str | Path) -> None:
        """Write a checkpoint that the ``chgnet`` package reads: ``CHGNet.from_file(path)``.

        Weights are written in float32, the type in which the package rebuilds its networks.

        Raises:
            OSError: the file cannot be written.
        """
        content = self.network.as_dict()
        # Not among the arguments that the network remembers of itself.
        arguments = content["model_args"] | {"mlp_out_bias": self.checkpoint == "0.2.0"}
        weights = {
            k: v.detach().cpu().float() if v.is_floating_point() else v.cpu()
            for k, v in content["state_dict"].items()
        }
        saved = {"model": {"model_args": arguments, "state_dict": weights}}
        write_atomic(path, lambda place: torch.save(saved, place))

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        require_elements(structures, ELEMENTS, "CHGNet")
        require_finite(structures)
        require_periodic(structures, "CHGNet")
        converter = self.network.graph_converter
        graphs = crystal_graphs(
            structures, converter.atom_graph_cutoff, converter.bond_graph_cutoff, self.dtype
        )
        energy = self.network(graphs, task="e")["e"]
        if self.network.is_intensive:
            energy = energy * energy.new_tensor(structures.counts)
        return energy.to(structures.dtype)


def _load(checkpoint: str) -> Network:
    """The network from the package's own file, read as plain tensors (no code is executed)."""
    path = Path(chgnet.__file__).parent / "pretrained" / CHECKPOINTS[checkpoint]
    wanted = "the chgnet package its files back: pip install --force-reinstall chgnet"
    saved = read_checkpoint(path, wanted)["model"]
    with contextlib.redirect_stdout(io.StringIO()):  # it announces its parameter count
        network = Network(
            **saved["model_args"], mlp_out_bias=checkpoint == "0.2.0", version=checkpoint
        )
    network.load_state_dict(saved["state_dict"])
    return network
