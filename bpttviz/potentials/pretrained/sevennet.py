"""SevenNet (Park et al., J. Chem. Theory Comput. 2024) with a gradient through its relaxations.

The pretrained checkpoints ship inside the ``sevenn`` package; nothing is downloaded. They are read
as tensors and plain values: no code in them is executed. Mind its licence: sevenn 0.10, the last
that can be installed beside mace-torch (e3nn 0.4.4), is under the GNU GPL 3; later ones are MIT.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bpttviz.potentials.base import Potential, require_device
from bpttviz.potentials.neighbors import neighbours, require_elements
from bpttviz.potentials.pretrained.e3 import import_extra, without_codegen
from bpttviz.structures import Structures

CHECKPOINTS = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0-may": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
}


class SevenNet(Potential):
    """The pretrained SevenNet, ready to be unrolled. Needs the extra ``sevennet``.

    The network's layers are called one after the other up to the total energy, on edge vectors that
    carry a graph to the positions. Its own force layer is left out: it differentiates with respect
    to the edges, and keeps a graph in training mode only.

    Args:
        checkpoint: "7net-0" (MPtrj, PBE; July 2024), "7net-0-may" (its predecessor), "7net-l3i5"
            (larger: angular momentum 3), or the path of a SevenNet checkpoint of your own (a single
            task; no code in the file is executed).
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks.

    Raises:
        ImportError: the package ``sevenn`` is not installed.
        ValueError: unknown checkpoint.
        RuntimeError: no CUDA where it was asked for.
        StructureError: (when called) an element that the network was not trained on.
    """

    def __init__(
        self,
        checkpoint: str | Path = "7net-0",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        device = require_device(device)
        package = import_extra("sevenn.util", "sevenn", "sevennet")
        if checkpoint in CHECKPOINTS:
            path = Path(package.__file__).parent / "pretrained_potentials" / CHECKPOINTS[checkpoint]
        else:
            path = Path(checkpoint)
            if not path.is_file():
                raise ValueError(
                    f"{str(checkpoint)!r} is neither a SevenNet checkpoint file nor one of "
                    f"{', '.join(CHECKPOINTS)}"
                )
        self.checkpoint = str(checkpoint)
        saved = _read(path)
        self.network = _build(saved).to(device=device, dtype=dtype).eval()
        self.description = {k: saved[k] for k in ("config", "epoch") if k in saved}  # for export
        self.register_buffer(
            "elements", torch.tensor(sorted(self.network.type_map), device=device), False
        )

    def config(self) -> dict:
        return {"checkpoint": self.checkpoint, "dtype": str(self.dtype).removeprefix("torch.")}

    @classmethod
    def from_config(cls, config: dict, device="cpu") -> SevenNet:
        return cls(config["checkpoint"], device, getattr(torch, config["dtype"]))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        require_elements(structures, self.elements, "this SevenNet")
        graph = neighbours(structures, self.network.cutoff)
        kinds = self.network.z_to_onehot_tensor.to(structures.device)[structures.numbers]
        data = {
            "x": kinds,  # (N,) which of the known elements; becomes node features (N, channels)
            "edge_index": torch.stack([graph.first, graph.second]),  # (2, E)
            "edge_vec": graph.vectors(structures.positions).to(self.dtype),  # (E, 3) Å
            "batch": structures.structure_index,  # (N,)
            "num_atoms": torch.bincount(
                structures.structure_index, minlength=len(structures)
            ),  # (B,)
        }
        for name, layer in self.network.named_children():
            if name == "force_output":
                break
            data = layer(data)
            # One-hot vectors come out as float32 whatever the network computes in.
            data = {k: v.to(self.dtype) if v.is_floating_point() else v for k, v in data.items()}
        return data["inferred_total_energy"].reshape(len(structures)).to(structures.dtype)

    def export(self, path: str | Path) -> None:
        """Write a checkpoint that ``sevenn`` reads, e.g. ``SevenNetCalculator(path)``.

        Optimiser states of the original training are left out. Weights are written in float32, the
        type in which the package rebuilds its networks.
        """
        weights = {k: v.detach().cpu().float() for k, v in self.network.state_dict().items()}
        torch.save(self.description | {"model_state_dict": weights}, path)


def _read(path: Path) -> dict:
    """A checkpoint's content without its optimiser."""
    numeric = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")]
    # Files written with NumPy 1 name the same function by its old place.
    rebuild = np.empty(0).__reduce__()[0]
    allowed = [
        (rebuild, "numpy.core.multiarray._reconstruct"),
        (rebuild, "numpy._core.multiarray._reconstruct"),
        np.ndarray,
        np.dtype,
        *numeric,
    ]
    with torch.serialization.safe_globals(allowed):
        saved = torch.load(path, map_location="cpu", weights_only=True)
    return {k: v for k, v in saved.items() if k in ("config", "epoch", "model_state_dict")}


def _build(saved: dict) -> torch.nn.Module:
    """The network of a checkpoint, as plain PyTorch."""
    from sevenn.util import model_from_checkpoint

    with without_codegen():
        # It edits what it is given.
        network, _ = model_from_checkpoint(copy.deepcopy(saved))
    return network
