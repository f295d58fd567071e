"""The potentials of matgl (M3GNet, TensorNet and others) with a gradient through relaxations.

matgl 4.1 or later (BSD-3) brings no weights: it downloads them from its hub, or they lie in a
folder. Files are read as tensors and plain values: no code in them is executed.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from bpttviz.potentials.pretrained.checkpoints import DownloadError
from bpttviz.potentials.pretrained.e3 import quiet
from bpttviz.potentials.pretrained.folders import FolderPotential, Saved, encoded, read_folder

FILES = ("model.json", "model.pt", "state.pt")
OWNER = "materialyze"  # of matgl's own models on the hub
NAME = re.compile(r"(?:[\w.-]+/)?[\w.-]+")  # as the hub allows, with or without an owner


class MatGL(FolderPotential):
    """A potential of matgl, ready to be unrolled. Needs the extra ``matgl``.

    M3GNet and TensorNet keep the whole contract. Others of matgl's energy models load too; ask
    `check_potential` about them. Models of properties, of charges, and of states are refused.

    Args:
        model: a folder that matgl wrote; the name of a potential on matgl's hub, as
            "TensorNet-MatPES-PBE-v2025.1-PES" (downloaded once to matgl's cache; others' as
            "owner/name"); or a ``matgl.apps.pes.Potential`` in memory. Names with
            r2SCAN in them are fitted to another functional than our data sets.
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks.

    Raises:
        ImportError: the package ``matgl`` is not installed.
        DownloadError: the name is not known to the hub, or there is no way to it from here (said
            after half a minute of trying).
        ValueError: a folder without a potential, or with one that needs more than positions; no
            such device or floating-point type.
        StructureError: (when called) an element that it was not trained on, positions that are not
            finite, or an atom with no neighbour within its cutoff.
    """

    package = "matgl"
    wanted = "a folder that matgl wrote (model.json, model.pt, state.pt), or a name from its hub"

    def __init__(
        self,
        model: str | Path | torch.nn.Module,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self._import()
        super().__init__(_saved(model, self.wanted), device, dtype)


def _saved(model: Any, wanted: str) -> Saved:
    """What was given, at rest.

    Raises:
        DownloadError, ValueError: see `MatGL`.
    """
    if isinstance(model, import_module("matgl.apps.pes").Potential):
        return Saved(encoded(model._init_args), model.state_dict(), "this model")
    if not isinstance(model, (str, Path)) or not str(model):
        raise ValueError(f"model must be {wanted}, got {model!r}")
    folder = Path(model).expanduser()
    if not folder.exists() and isinstance(model, str) and NAME.fullmatch(model):
        return read_folder(_download(model), wanted)
    if folder.is_file():
        raise ValueError(f"{folder} is a file; give {wanted}")
    return read_folder(folder, wanted)


def _download(name: str) -> Path:
    """The folder of a model from matgl's hub, in matgl's cache.

    Raises:
        DownloadError: says what to do.
    """
    hub = import_module("huggingface_hub")
    cache = str(import_module("matgl.config").MATGL_CACHE)
    repository = name if "/" in name else f"{OWNER}/{name}"
    try:
        with quiet():
            places = [hub.hf_hub_download(repository, file, cache_dir=cache) for file in FILES]
    except Exception as error:  # the hub's, the network's and the disk's
        raise DownloadError(
            f"{name!r} is no folder, and the matgl model {repository} could not be downloaded "
            f"({type(error).__name__}). On a machine with access to the network get its files "
            f"{', '.join(FILES)}, copy them here and give their folder: MatGL(folder), or "
            "matgl:FOLDER on the command line"
        ) from error
    return Path(places[0]).parent
