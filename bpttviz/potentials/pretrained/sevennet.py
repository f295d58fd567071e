"""SevenNet (Park et al., J. Chem. Theory Comput. 2024) with a gradient through its relaxations.

The pretrained checkpoints ship inside the ``sevenn`` package (0.13 or later, MIT licence); nothing
is downloaded. They are read as tensors and plain values: no code in them is executed. The package
needs e3nn 0.5 or later and mace-torch exactly 0.4.4, so an environment holds one of the two.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_device, require_dtype
from bpttviz.potentials.base import Potential
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.pretrained.checkpoints import numpy_values, read_checkpoint
from bpttviz.potentials.pretrained.e3 import import_extra, without_codegen
from bpttviz.potentials.requirements import require_elements
from bpttviz.structures import Structures

CHECKPOINTS = {
    "7net-0": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-0-may": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "SevenNet_l3i5/checkpoint_l3i5.pth",
    "7net-mf-0": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
}
WANTED = "a checkpoint that SevenNet wrote while training (.pth)"


class SevenNet(Potential):
    """The pretrained SevenNet, ready to be unrolled. Needs the extra ``sevennet``.

    The network's layers are called one after the other up to the total energy, on edge vectors that
    carry a graph to the positions. Its own force layer is left out: it differentiates with respect
    to the edges, and keeps a graph in training mode only.

    Args:
        checkpoint: "7net-0" (MPtrj, PBE; July 2024), "7net-0-may" (its predecessor), "7net-l3i5"
            (larger: angular momentum 3), "7net-mf-0" (fitted to two functionals at once), or the
            path of a SevenNet checkpoint of your own (no code in the file is executed).
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks.
        modality: which of its functionals a network that was fitted to several stands for: "PBE" or
            "R2SCAN" for "7net-mf-0"; None for all others.

    Raises:
        ImportError: the package ``sevenn`` is not installed.
        ValueError: unknown checkpoint, a file that holds none, no such device or floating-point
            type; unknown modality, or none where one is needed: names those there are.
        StructureError: (when called) an element that the network was not trained on.
    """

    network: Any  # untyped in its package

    def __init__(
        self,
        checkpoint: str | Path = "7net-0",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        modality: str | None = None,
    ):
        super().__init__()
        device, dtype = require_device(device), require_dtype(dtype)
        path = _find(checkpoint)
        self.checkpoint = str(checkpoint)
        saved = _read(path)
        network, config = _build(saved, path)
        self.network = network.to(device=device, dtype=dtype).eval()
        self.description = {"config": config, "epoch": saved.get("epoch")}  # for export
        self.modality = _choose(modality, network.modal_map or {}, self.checkpoint)

    def config(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {"checkpoint": self.checkpoint, "dtype": dtype, "modality": self.modality}

    @property
    def known_elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that the network was trained on."""
        return tuple(sorted(self.network.type_map))

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        require_elements(structures, self.known_elements, "this SevenNet")
        graph = neighbours(structures, self.network.cutoff)
        kinds = self.network.z_to_onehot_tensor.to(structures.device)[structures.numbers]
        sizes = torch.bincount(structures.structure_index, minlength=len(structures))
        data = {
            "x": kinds,  # (N,) which of the known elements; becomes node features (N, channels)
            "edge_index": torch.stack([graph.first, graph.second]),  # (2, E)
            "edge_vec": graph.vectors(structures.positions).to(self.dtype),  # (E, 3) Å
            "batch": structures.structure_index,  # (N,)
            "num_atoms": sizes,  # (B,)
        }
        if self.modality is not None:
            data["modal_type"] = torch.full_like(sizes, self.network.modal_map[self.modality])
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

        Raises:
            OSError: the file cannot be written.
        """
        weights = {k: v.detach().cpu().float() for k, v in self.network.state_dict().items()}
        saved = self.description | {"model_state_dict": weights}
        write_atomic(path, lambda place: torch.save(saved, place))


def _find(checkpoint: str | Path) -> Path:
    """The file of a checkpoint, ours by name or the user's by path.

    Raises:
        ImportError: the package ``sevenn`` is not installed.
        ValueError: neither a name nor a file.
    """
    package = import_extra("sevenn.util", "sevenn", "sevennet")
    given: object = checkpoint
    if not isinstance(given, (str, Path)) or not str(given):
        raise ValueError(
            f"checkpoint must be a SevenNet checkpoint file or one of {', '.join(CHECKPOINTS)}, "
            f"got {checkpoint!r}"
        )
    if str(checkpoint) in CHECKPOINTS:
        folder = Path(str(package.__file__)).parent / "pretrained_potentials"
        return folder / CHECKPOINTS[str(checkpoint)]
    path = Path(checkpoint)
    if not path.exists():
        raise ValueError(
            f"{str(checkpoint)!r} is neither a SevenNet checkpoint file nor one of "
            f"{', '.join(CHECKPOINTS)}"
        )
    return path


def _choose(modality: str | None, known: dict[str, int], checkpoint: str) -> str | None:
    """The functional that a network of several is to stand for; None where it has but one.

    Raises:
        ValueError: not one of those it knows.
    """
    if modality in known or (modality is None and not known):
        return modality
    if not known:
        raise ValueError(f"SevenNet {checkpoint} has one functional: leave modality out")
    raise ValueError(
        f"SevenNet {checkpoint} needs modality (--head on the command line), one of "
        f"{', '.join(sorted(known))}; got {modality!r}"
    )


def _read(path: Path) -> dict[str, Any]:
    """A checkpoint's content without its optimiser.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
    saved = read_checkpoint(path, WANTED, allowed=numpy_values())
    if not isinstance(saved, dict) or not {"config", "model_state_dict"} <= saved.keys():
        raise ValueError(f"{path} holds no SevenNet; give {WANTED}")
    return {k: v for k, v in saved.items() if k in ("config", "epoch", "model_state_dict")}


def _build(saved: dict[str, Any], origin: Path) -> tuple[Any, dict[str, Any]]:
    """The network of a checkpoint, as plain PyTorch, and the settings to export it with.

    The package takes a file only, and would run code from it: it gets a copy of what was read here.
    It also brings the weights of older versions into today's order, which is done once only: the
    settings say so by the version they carry.

    Raises:
        ValueError: the settings and weights in the file do not make a network.
    """
    import sevenn
    from sevenn.util import model_from_checkpoint

    with without_codegen(), tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint.pth"
        torch.save(saved, path)
        try:
            network, config = model_from_checkpoint(str(path))
        except Exception as error:  # whatever settings of something else provoke
            raise ValueError(
                f"{origin} holds no SevenNet that sevenn {sevenn.__version__} can rebuild "
                f"({type(error).__name__}); give {WANTED}"
            ) from error
    return network, config | {"version": sevenn.__version__}
