"""CHGNet (Deng et al., Nature Machine Intelligence 2023) with a gradient through its relaxations.

The three pretrained checkpoints ship inside the ``chgnet`` package; nothing is downloaded.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import chgnet
import torch
from chgnet.model.model import CHGNet as Network
from pymatgen.core import Lattice, Structure
from torch import Tensor

from bpttviz.potentials.base import Potential, require_device
from bpttviz.structures import StructureError, Structures

CHECKPOINTS = {
    "0.3.0": "0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "0.2.0": "0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
    "r2scan": "r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
}
LAST_ELEMENT = 94


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
        ValueError: unknown checkpoint.
        RuntimeError: no CUDA where it was asked for.
        StructureError: (when called) an element beyond Pu, a cell not periodic in all directions,
            or an atom with no neighbour within the cutoff.
    """

    def __init__(
        self,
        checkpoint: str = "0.3.0",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        if checkpoint not in CHECKPOINTS:
            raise ValueError(
                f"no CHGNet checkpoint {checkpoint!r}; choose one of {', '.join(CHECKPOINTS)}"
            )
        device = require_device(device)
        self.checkpoint = checkpoint
        self.network = _load(checkpoint).to(device=device, dtype=dtype).eval()
        if self.network.composition_model is not None:
            # It sees the formula only, builds its input in float32 and adds no force.
            self.network.composition_model.float()
        self.network.graph_converter.set_isolated_atom_response("ignore")  # we name the atom

    def config(self) -> dict:
        return {"checkpoint": self.checkpoint, "dtype": str(self.dtype).removeprefix("torch.")}

    @classmethod
    def from_config(cls, config: dict, device="cpu") -> CHGNet:
        return cls(config["checkpoint"], device, getattr(torch, config["dtype"]))

    @property
    def dtype(self) -> torch.dtype:
        return self.network.mlp.layers[0].weight.dtype

    def export(self, path: str | Path) -> None:
        """Write a checkpoint that the ``chgnet`` package reads: ``CHGNet.from_file(path)``.

        Weights are written in float32, the type in which the package rebuilds its networks.
        """
        content = self.network.as_dict()
        # Not among the arguments that the network remembers of itself.
        arguments = content["model_args"] | {"mlp_out_bias": self.checkpoint == "0.2.0"}
        weights = {
            k: v.detach().cpu().float() if v.is_floating_point() else v.cpu()
            for k, v in content["state_dict"].items()
        }
        torch.save({"model": {"model_args": arguments, "state_dict": weights}}, path)

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        graphs = []
        coordinates = structures.split(structures.positions)
        numbers = structures.split(structures.numbers)
        for index, (positions, species) in enumerate(zip(coordinates, numbers, strict=True)):
            graphs.append(self._graph(structures, index, positions, species))
        energy = self.network(graphs, task="e")["e"]
        if self.network.is_intensive:
            energy = energy * energy.new_tensor(structures.counts)
        return energy.to(structures.dtype)

    def _graph(self, structures: Structures, index: int, positions: Tensor, numbers: Tensor):
        """The crystal graph of one structure, its fractional coordinates tied to ``positions``."""
        name = structures.names[index]
        if int(numbers.max()) > LAST_ELEMENT:
            raise StructureError(
                f"has element {int(numbers.max())}; CHGNet knows elements 1 to {LAST_ELEMENT} "
                "(H to Pu)",
                index,
                name,
            )
        if not bool(torch.isfinite(positions).all()):
            raise StructureError("has positions that are not finite", index, name)
        if not bool(structures.pbc[index].all()):
            raise StructureError(
                "is not periodic in all three directions, which CHGNet needs; give it a cell with "
                "vacuum and pbc=True",
                index,
                name,
            )
        cell = structures.cell[index].double()
        fractional = positions.double() @ torch.linalg.inv(cell)
        frozen = fractional.detach().cpu().numpy()
        crystal = Structure(Lattice(cell.cpu().numpy()), numbers.tolist(), frozen)
        graph = self.network.graph_converter(crystal)
        spring_hessian = torch.zeros(len(numbers), dtype=torch.bool)
        spring_hessian[graph.atom_graph.reshape(-1, 2)[:, 0].long()] = True
        if not spring_hessian.all():
            atom = int((~spring_hessian).nonzero()[0])
            raise StructureError(
                f"atom {atom} has no neighbour within {graph.atom_graph_cutoff} Å; CHGNet cannot "
                "describe an isolated atom",
                index,
                name,
            )
        graph = graph.to(structures.device)
        graph.lattice = cell.to(self.dtype)
        graph.neighbor_image = graph.neighbor_image.to(self.dtype)
        # Unwrapped, exactly as the neighbour search saw them: the image indices refer to these.
        graph.atom_frac_coord = fractional.to(self.dtype)
        return graph


def _load(checkpoint: str) -> Network:
    """The network from the package's own file, read as plain tensors (no code is executed)."""
    path = Path(chgnet.__file__).parent / "pretrained" / CHECKPOINTS[checkpoint]
    saved = torch.load(path, map_location="cpu", weights_only=True)["model"]
    with contextlib.redirect_stdout(io.StringIO()):  # it announces its parameter count
        network = Network(
            **saved["model_args"], mlp_out_bias=checkpoint == "0.2.0", version=checkpoint
        )
    network.load_state_dict(saved["state_dict"])
    return network
