"""MACE (Batatia et al., NeurIPS 2022) with a gradient through its relaxations.

Any MACE model with energies can be used: one in memory, a checkpoint file, or a foundation model
that `mace-torch` downloads.
"""

from __future__ import annotations

from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_device, require_dtype, require_dtype_named
from bpttviz.geometry import segment_mean
from bpttviz.potentials.base import Potential
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.pretrained.checkpoints import DownloadError, read_checkpoint
from bpttviz.potentials.pretrained.e3 import import_extra, quiet, without_codegen
from bpttviz.potentials.requirements import require_choice, require_elements
from bpttviz.structures import Structures

BLOCKS = ("interaction_cls", "interaction_cls_first", "readout_cls")
IRREPS = ("hidden_irreps", "MLP_irreps", "edge_irreps")
ARRAYS = ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift")
UNSUPPORTED = ("cueq_config", "embedding_specs")
WANTED = "the file that MACE writes at the end of a training (.model), not a training checkpoint"


class MACE(Potential):
    """A MACE model, ready to be unrolled. Needs the extra ``mace``.

    The model is rebuilt as plain PyTorch with the same weights: the TorchScript inside a stored one
    does not differentiate twice reliably. It is asked for the energy alone, with a fresh dictionary
    at every call (MACE writes into the one it gets).

    Args:
        model: a ``mace.modules.ScaleShiftMACE``, or the path of a checkpoint file.
        device: "cpu" or "cuda".
        dtype: what the network computes in; None: as stored.
        head: which head of a multi-head model; None: the only one, or the one called "default".
        trusted: needed to open a file, which is a Python pickle: opening one from a stranger can
            run any program.

    Raises:
        ImportError: the package ``mace-torch`` is not installed.
        TypeError: neither a model nor a path.
        ValueError: a file without ``trusted`` or without a model in it, another kind of model; an
            unknown head, or none where one has to be chosen: names those there are; no such device
            or floating-point type.
        StructureError: (when called) an element that the model was not trained on.
    """

    network: Any  # untyped in its package

    def __init__(
        self,
        model: nn.Module | str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype | None = None,
        head: str | None = None,
        *,
        trusted: bool = False,
    ):
        super().__init__()
        device = require_device(device)
        import_extra("mace.modules", "mace-torch", "mace")
        if not isinstance(model, nn.Module):
            model = _open(model, trusted)
        self.architecture = _describe(model)
        dtype = require_dtype(next(model.parameters()).dtype if dtype is None else dtype)
        self.head = _choose(head, self.architecture["heads"])
        with without_codegen():
            self.network = _rebuild(self.architecture, model.state_dict(), dtype)
        for ours, theirs in zip(self.network.parameters(), model.parameters(), strict=True):
            ours.requires_grad_(theirs.requires_grad)
        self.network.to(device).eval()

    @classmethod
    def foundation(
        cls,
        name: str = "small",
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        head: str | None = None,
    ) -> MACE:
        """A MACE-MP foundation model, by the name that ``mace_mp`` of mace-torch gives it.

        It is downloaded once, to mace-torch's cache, from the authors' releases. Some are under the
        Academic Software License: mace-torch says so when it downloads one.

        Raises:
            ValueError: unknown name.
            RuntimeError: it cannot be downloaded here; says what to do.
        """
        import_extra("mace.modules", "mace-torch", "mace")
        models = import_extra("mace.calculators.foundations_models", "mace-torch", "mace")
        require_choice(name, models.mace_mp_urls, "MACE foundation model")
        try:
            path = models.download_mace_mp_checkpoint(name)
        except (OSError, RuntimeError, HTTPException) as error:
            raise DownloadError(
                f"the MACE model {name!r} could not be downloaded ({error}). On a machine with "
                f"access to the network get {models.mace_mp_urls[name]}, copy the file here and "
                "use MACE(path, trusted=True), or mace:PATH --trust on the command line"
            ) from error
        return cls(path, device, dtype, head, trusted=True)

    def config(self) -> dict[str, Any]:
        dtype = str(self.dtype).removeprefix("torch.")
        return {"architecture": self.architecture, "dtype": dtype, "head": self.head}

    @classmethod
    def from_config(cls, config: dict[str, Any], device: str | torch.device = "cpu") -> MACE:
        """The same network with weights yet to be loaded; no file of MACE's is needed."""
        import_extra("mace.modules", "mace-torch", "mace")
        dtype = require_dtype_named(config["dtype"])
        with without_codegen():
            network = _rebuild(config["architecture"], None, dtype)
        return cls(network, device, dtype, config["head"])

    @property
    def known_elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that the model was trained on."""
        return tuple(self.architecture["atomic_numbers"])

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        require_elements(structures, self.known_elements, "this MACE")
        known = self.network.atomic_numbers
        graph = neighbours(structures, float(self.network.r_max))
        one_hot = structures.numbers[:, None] == known[None]
        sizes = torch.bincount(structures.structure_index, minlength=len(structures))
        head = self.architecture["heads"].index(self.head)
        # About each structure's middle: float32 resolves less the further from the origin.
        places = structures.positions.detach()
        evenly = torch.ones_like(places[:, 0])
        middles = segment_mean(places, evenly, structures.structure_index, len(structures))
        middles = middles[structures.structure_index]  # (N, 3) Å
        data = {
            "positions": (structures.positions - middles).to(self.dtype),  # (N, 3) Å
            "node_attrs": one_hot.to(self.dtype),  # (N, elements)
            "edge_index": torch.stack([graph.first, graph.second]),  # (2, E)
            "shifts": graph.shifts.to(self.dtype),  # (E, 3) Å
            "unit_shifts": graph.images.to(self.dtype),  # (E, 3)
            "cell": structures.cell.reshape(-1, 3).to(self.dtype),  # (3B, 3) Å
            "batch": structures.structure_index,  # (N,)
            "ptr": torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]),  # (B+1,)
            "head": torch.full_like(sizes, head),  # (B,)
        }
        return self.network(data, training=True, compute_force=False)["energy"].to(structures.dtype)

    def export(self, path: str | Path) -> None:
        """Write MACE's native checkpoint, for ``MACECalculator(model_paths=path)`` and the like.

        Raises:
            OSError: the file cannot be written.
        """
        weights = {k: v.detach().cpu() for k, v in self.network.state_dict().items()}
        native = _rebuild(self.architecture, weights, self.dtype)
        for theirs, ours in zip(native.parameters(), self.network.parameters(), strict=True):
            theirs.requires_grad_(ours.requires_grad)
        with quiet():
            write_atomic(path, lambda place: torch.save(native, place))


def _open(file: object, trusted: bool) -> nn.Module:
    if not isinstance(file, (str, Path)):
        raise TypeError(
            f"model must be a mace.modules.ScaleShiftMACE or the path of a file, got a "
            f"{type(file).__name__}"
        )
    path = Path(file)
    if not path.exists():
        raise ValueError(f"there is no file {path}; for a foundation model use MACE.foundation()")
    if path.is_file() and not trusted:
        raise ValueError(
            f"{path} is a Python pickle, as all MACE checkpoints are: opening it can run any "
            "program that its author put inside. If you know where it comes from, say so: "
            "MACE(path, trusted=True)"
        )
    model = read_checkpoint(path, WANTED, trusted=trusted)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{path} holds a {type(model).__name__}, not a model; give {WANTED}")
    return model


def _describe(model: nn.Module) -> dict[str, Any]:
    """All that is needed to build the network again, JSON-able."""
    from mace.tools.scripts_utils import extract_config_mace_model

    if type(model).__name__ != "ScaleShiftMACE":
        raise ValueError(
            f"a {type(model).__name__} was given; this adapter takes ScaleShiftMACE, the kind "
            "that mace_run_train makes and the foundation models are"
        )
    found = extract_config_mace_model(model)
    for key in UNSUPPORTED:
        if found.pop(key) is not None:
            raise ValueError(
                f"this MACE model uses {key}, whose second derivatives are not available; convert "
                "it to plain e3nn (mace_e3nn_cueq) or use a model without"
            )
    for key in BLOCKS:
        found[key] = found[key].__name__
    for key in IRREPS:
        found[key] = None if found[key] is None else str(found[key])
    for key in ARRAYS:
        found[key] = np.asarray(found[key]).tolist()
    found["gate"] = None if found["gate"] is None else found["gate"].__name__
    found["atomic_numbers"] = [int(z) for z in found["atomic_numbers"]]
    found["avg_num_neighbors"] = float(found["avg_num_neighbors"])
    found["radial_MLP"] = [int(n) for n in found["radial_MLP"]]
    found["heads"] = list(found["heads"])
    return found


def _rebuild(
    architecture: dict[str, Any], weights: dict[str, Tensor] | None, dtype: torch.dtype
) -> nn.Module:
    """The network of an architecture, as plain PyTorch where codegen is off."""
    from e3nn import o3
    from mace.modules import ScaleShiftMACE, blocks

    arguments = dict(architecture)
    for key in BLOCKS:
        arguments[key] = getattr(blocks, arguments[key])
    for key in IRREPS:
        arguments[key] = None if arguments[key] is None else o3.Irreps(arguments[key])
    for key in ARRAYS:
        arguments[key] = np.asarray(arguments[key])
    if arguments["gate"] is not None:
        arguments["gate"] = getattr(torch, arguments["gate"], None) or getattr(
            nn.functional, arguments["gate"]
        )
    with quiet():
        network = ScaleShiftMACE(**arguments).to(dtype)
    if weights is not None:
        network.load_state_dict(weights)
    return network


def _choose(head: str | None, heads: list[str]) -> str:
    """The head asked for; without one, the only one or the one called "default".

    Raises:
        ValueError: there is no such head, or none of several is the natural one.
    """
    if head is None:
        natural = heads if len(heads) == 1 else [n for n in heads if n.lower() == "default"]
        if not natural:
            raise ValueError(
                f"this MACE model has {len(heads)} heads and none is called default; choose one of "
                f"{', '.join(heads)}: MACE(..., head={heads[0]!r}), or --head {heads[0]} on the "
                "command line"
            )
        return natural[0]
    return require_choice(head, heads, "head of this MACE model called")
