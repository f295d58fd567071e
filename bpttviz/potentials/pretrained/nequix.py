"""Nequix (Koker et al. 2025) with a gradient through its relaxations.

Its files (``.nqx``) hold a line of JSON and NumPy arrays: no code in them is executed, and neither
JAX nor the package ``nequix`` is needed. `bpttviz.potentials.pretrained.nequix_network` has the
network.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_device, require_dtype, require_dtype_named
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Potential
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.pretrained.e3 import import_extra, without_codegen
from bpttviz.potentials.requirements import require_elements
from bpttviz.structures import Structures

if TYPE_CHECKING:
    from bpttviz.potentials.pretrained.nequix_network import NequixNetwork

# What a file's head has to say of the network; the rest is how it was trained.
NUMBERS = (
    "cutoff", "lmax", "n_layers", "radial_basis_size", "radial_mlp_size", "radial_mlp_layers",
    "radial_polynomial_p", "mlp_init_scale", "scale", "shift", "avg_n_neighbors",
)  # fmt: skip
OTHERS = ("atomic_numbers", "hidden_irreps", "index_weights", "layer_norm", "atom_energies")
WANTED = (
    "a file of the package nequix that ends with .nqx (its authors' are in the folder models of "
    "github.com/atomicarchitects/nequix)"
)
LONGEST = 1 << 20  # bytes of a head


class Nequix(Potential):
    """A Nequix, ready to be unrolled. Needs the extra ``nequix``.

    Args:
        model: a ``.nqx`` file, such as nequix-mp-1 (MPtrj, PBE), or nequix-mp-1-pft (the same after
            fine-tuning on phonons).
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks.

    Raises:
        ImportError: the package ``e3nn`` is not installed.
        TypeError: no path.
        ValueError: no file, a damaged one, one of something else, or a network with weights of its
            own for every element; no such device or floating-point type.
        StructureError: (when called) an element that it was not trained on.
    """

    network: NequixNetwork

    def __init__(
        self,
        model: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        device, dtype = require_device(device), require_dtype(dtype)
        if not isinstance(model, (str, Path)):
            raise TypeError(f"model must be {WANTED}, got a {type(model).__name__}")
        path = Path(model).expanduser()
        self.architecture, arrays = _read(path)
        try:
            self._build(dtype)
        except ValueError as error:  # irreps that are none
            raise ValueError(f"{path} does not begin as a Nequix does; give {WANTED}") from error
        self._load(arrays, path)
        self.network.to(device)

    def _build(self, dtype: torch.dtype) -> None:
        import_extra("e3nn.o3", "e3nn", "nequix")
        from bpttviz.potentials.pretrained.nequix_network import NequixNetwork

        with without_codegen():
            self.network = NequixNetwork(self.architecture).to(dtype).eval()

    def _load(self, arrays: list[np.ndarray], path: Path) -> None:
        ours = self.network.arrays()
        shapes = [array.shape for array in arrays]
        if shapes != [tuple(one.shape) for one in ours]:
            raise ValueError(f"{path} holds other weights than its head says; give {WANTED}")
        with torch.no_grad():
            for one, array in zip(ours, arrays, strict=True):
                one.copy_(torch.from_numpy(array))

    def config(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {"architecture": self.architecture, "dtype": dtype}

    @classmethod
    def from_config(cls, config: dict[str, Any], device: str | torch.device = "cpu") -> Nequix:
        """The same network with weights yet to be loaded; no file of Nequix's is needed."""
        made = cls.__new__(cls)
        Potential.__init__(made)
        made.architecture = config["architecture"]
        made._build(require_dtype_named(config["dtype"]))
        made.network.to(require_device(device))
        return made

    @property
    def known_elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that it was trained on."""
        return tuple(self.architecture["atomic_numbers"])

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        require_elements(structures, self.known_elements, "this Nequix")
        graph = neighbours(structures, self.network.cutoff)
        vectors = graph.vectors(structures.positions).to(self.dtype)  # (E, 3) Å
        known = torch.tensor(self.known_elements, device=structures.device)
        species = torch.searchsorted(known, structures.numbers)  # (N,)
        energies = self.network(species, graph.first, graph.second, vectors)  # (N,) eV
        total = segment_sum(energies, structures.structure_index, len(structures))
        return total.to(structures.dtype)

    def export(self, path: str | Path) -> None:
        """Write a ``.nqx`` file, for ``NequixCalculator(model_path=path)``; weights in float32.

        Raises:
            OSError: the file cannot be written.
        """
        content = BytesIO()
        content.write(json.dumps(self.architecture).encode() + b"\n")
        for array in self.network.arrays():
            np.save(content, array.detach().cpu().float().numpy())
        write_atomic(path, lambda place: Path(place).write_bytes(content.getvalue()))


def _read(path: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What a file says of its network, and its arrays."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}; give {WANTED}")
    try:
        with open(path, "rb") as file:
            head = file.readline(LONGEST)
            arrays = _arrays(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or cannot be read; give {WANTED}") from error
    return _head(head, path), arrays


def _head(line: bytes, path: Path) -> dict[str, Any]:
    """The head of a file, checked as far as building a network needs it."""
    try:
        head = json.loads(line)
        if not isinstance(head, Mapping):
            raise TypeError("no dictionary")
        found = {key: head[key] for key in (*NUMBERS, *OTHERS)}
        found |= {key: head[key] + 0 for key in NUMBERS}
        found["atomic_numbers"] = [int(number) for number in head["atomic_numbers"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not begin as a Nequix does; give {WANTED}") from error
    if found["index_weights"]:
        raise ValueError(
            f"{path} is a Nequix with skip connections of its own for every element "
            "(index_weights), which this adapter does not have"
        )
    if found["atomic_numbers"] != sorted(set(found["atomic_numbers"])):
        raise ValueError(f"{path} does not list its elements in their order; give {WANTED}")
    return found


def _arrays(file: BufferedReader) -> list[np.ndarray]:
    """The arrays of a file, one after the other to its end."""
    found = []
    while file.peek(1).strip():
        found.append(np.lib.format.read_array(file, allow_pickle=False))
    return found
