"""DIEP (direct integration of the external potential) with a gradient through its relaxations.

One set of weights ships inside the ``diep`` package (2.0 or later, BSD-3); nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from bpttviz.potentials.pretrained.folders import FolderPotential, read_folder

RELEASED = "diep_fold1"


class DIEP(FolderPotential):
    """The pretrained DIEP, ready to be unrolled. Needs the extra ``diep``.

    Its weights were fitted to MatPES with the functional r2SCAN: fine-tuning it on ends of PBE, as
    our data sets are, teaches it another functional too, and comparing it with them compares the
    functionals. Triangles of atoms are drawn in an order that their edges' lengths decide, so that
    energies of compounds have small steps where two such lengths become equal; those of elements
    have none.

    Args:
        model: None for the weights that come with the package; or a folder that ``diep.export``
            wrote (no code in its files is executed).
        device: "cpu" or "cuda".
        dtype: what the network computes in; float32 as trained, float64 for gradient checks (in one
            thread of the process: the package keeps its number type globally).

    Raises:
        ImportError: the package ``diep`` is not installed.
        ValueError: a folder without a DIEP, no such device or floating-point type.
        StructureError: (when called) an element that it was not trained on, positions that are not
            finite, or an atom with no neighbour within 5 Å.
    """

    package = "diep"
    wanted = "a folder that diep.export wrote (model.json, model.pt, state.pt), or nothing"

    def __init__(
        self,
        model: str | Path | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        self._import()
        given: object = model
        if given is not None and (not isinstance(given, (str, Path)) or not str(given)):
            raise ValueError(f"model must be {self.wanted}, got {model!r}")
        package = Path(str(import_module("diep").__file__)).parent
        folder = (
            package / "pretrained_models" / RELEASED if model is None else Path(model).expanduser()
        )
        super().__init__(read_folder(folder, self.wanted), device, dtype)

    @contextmanager
    def _number_type(self, dtype: torch.dtype) -> Iterator[None]:
        config: Any = import_module("diep.config")
        before = config.float_th
        if before is dtype:
            yield
            return
        config.float_th = dtype
        try:
            yield
        finally:
            config.float_th = before
