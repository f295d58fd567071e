"""MACE (Batatia et al., NeurIPS 2022) with a gradient through its relaxations.

Any MACE model with energies can be used: one in memory, a checkpoint file, or a foundation model
that `mace-torch` downloads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bpttviz.potentials.base import Potential, require_device
from bpttviz.potentials.neighbors import neighbours, require_elements
from bpttviz.potentials.pretrained.e3 import import_extra, quiet, without_codegen
from bpttviz.structures import Structures

BLOCKS = ("interaction_cls", "interaction_cls_first", "readout_cls")
IRREPS = ("hidden_irreps", "MLP_irreps", "edge_irreps")
ARRAYS = ("atomic_energies", "atomic_inter_scale", "atomic_inter_shift")
UNSUPPORTED = ("cueq_config", "embedding_specs")


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
        ValueError: a file without ``trusted``, another kind of model, an unknown head.
        RuntimeError: no CUDA where it was asked for.
        StructureError: (when called) an element that the model was not trained on.
    """

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
            model = _open(Path(model), trusted)
        self.architecture = _describe(model)
        dtype = dtype or next(model.parameters()).dtype
        with without_codegen():
            self.network = _rebuild(self.architecture, model.state_dict(), dtype)
        for ours, theirs in zip(self.network.parameters(), model.parameters(), strict=True):
            ours.requires_grad_(theirs.requires_grad)
        self.network.to(device).eval()
        self.head = _choose(head, self.architecture["heads"])

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
        if name not in models.mace_mp_urls:
            raise ValueError(
                f"no MACE foundation model {name!r}; choose one of {', '.join(models.mace_mp_urls)}"
            )
        try:
            path = models.download_mace_mp_checkpoint(name)
        except (OSError, RuntimeError) as error:
            raise RuntimeError(
                f"the MACE model {name!r} could not be downloaded ({error}). On a machine with "
                f"access to the network get {models.mace_mp_urls[name]}, copy the file here and "
                "use MACE(path, trusted=True)"
            ) from error
        return cls(path, device, dtype, head, trusted=True)

    def config(self) -> dict:
        dtype = str(self.dtype).removeprefix("torch.")
        return {"architecture": self.architecture, "dtype": dtype, "head": self.head}

    @classmethod
    def from_config(cls, config: dict, device="cpu") -> MACE:
        """The same network with weights yet to be loaded; no file of MACE's is needed."""
        import_extra("mace.modules", "mace-torch", "mace")
        dtype = getattr(torch, config["dtype"])
        with without_codegen():
            network = _rebuild(config["architecture"], None, dtype)
        return cls(network, device, dtype, config["head"])

    @property
    def dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        known = self.network.atomic_numbers
        require_elements(structures, known, "this MACE")
        graph = neighbours(structures, float(self.network.r_max))
        one_hot = structures.numbers[:, None] == known[None]
        sizes = torch.bincount(structures.structure_index, minlength=len(structures))
        head = self.architecture["heads"].index(self.head)
        data = {
            "positions": structures.positions.to(self.dtype),  # (N, 3) Å
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
        """Write MACE's native checkpoint, for ``MACECalculator(model_paths=path)`` and the like."""
        weights = {k: v.detach().cpu() for k, v in self.network.state_dict().items()}
        native = _rebuild(self.architecture, weights, self.dtype)
        for theirs, ours in zip(native.parameters(), self.network.parameters(), strict=True):
            theirs.requires_grad_(ours.requires_grad)
        with quiet():
            torch.save(native, path)


def _open(path: Path, trusted: bool) -> nn.Module:
    if not path.is_file():
        raise ValueError(f"there is no file {path}; for a foundation model use MACE.foundation()")
    if not trusted:
        raise ValueError(
            f"{path} is a Python pickle, as all MACE checkpoints are: opening it can run any "
            "program that its author put inside. If you know where it comes from, say so: "
            "MACE(path, trusted=True)"
        )
    with quiet():
        model = torch.load(path, map_location="cpu", weights_only=False)
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"{path} holds a {type(model).__name__}, not a model; give the file that MACE writes "
            "at the end of a training (.model), not a training checkpoint (.pt)"
        )
    return model


def _describe(model: nn.Module) -> dict:
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


def _rebuild(architecture: dict, weights: dict[str, Tensor] | None, dtype) -> nn.Module:
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
    if head is None:
        named = [name for name in heads if name.lower() == "default"]
        head = heads[0] if len(heads) == 1 else next(iter(named), None)
    if head not in heads:
        raise ValueError(f"no head {head!r} in this MACE model; choose one of {', '.join(heads)}")
    return head
