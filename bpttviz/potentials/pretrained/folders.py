"""Potentials of matgl and its kin, which lie in folders of three files and look alike inside.

``model.pt`` holds what the network is built from, ``state.pt`` its weights, ``model.json`` again
what it is built from, to be read by people. An energy model stands inside a potential that scales
its output and adds energies of single atoms. torch's files are read as tensors and plain values.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple, Self

import torch
from ase.data import atomic_numbers
from torch import Tensor, nn

from bpttviz._files import write_atomic
from bpttviz._tensor_checks import require_device, require_dtype, require_dtype_named
from bpttviz.potentials.base import Potential
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.pretrained.checkpoints import numpy_values, read_checkpoint
from bpttviz.potentials.pretrained.e3 import import_extra, quiet
from bpttviz.potentials.requirements import require_elements, require_neighbours
from bpttviz.structures import Structures

DTYPES = {str(kind): kind for kind in (torch.float32, torch.float64)}
# Speed that costs second derivatives: fused kernels, compiled graphs.
WITHOUT = {"use_warp": False, "compile_model": False}


class Saved(NamedTuple):
    """A network at rest.

    Attributes:
        arguments: what the package's potential is built from, JSON-able.
        weights: its ``state_dict``; None: those it is born with.
        origin: where it comes from, for messages.
    """

    arguments: dict[str, Any]
    weights: dict[str, Tensor] | None
    origin: str


class FolderPotential(Potential):
    """Base of `DIEP` and `MatGL`, which differ in their package.

    The bare energy model is called; its package's own potential keeps no graph of its forces. Edge
    vectors, taken in double precision, go in as lattice translations between atoms that all stand
    at the origin: these networks see nothing of positions but such vectors.

    Raises:
        StructureError: (when called) an element that the network was not trained on, positions that
            are not finite, or an atom with no neighbour within the cutoff.
    """

    package: ClassVar[str]  # also the extra's name
    wanted: ClassVar[str]

    network: Any  # untyped in its package
    kinds: Tensor

    def __init__(self, saved: Saved, device: str | torch.device, dtype: torch.dtype):
        super().__init__()
        device, dtype = require_device(device), require_dtype(dtype)
        self.arguments = saved.arguments
        with self._number_type(dtype):
            network: Any = self._build(saved)
        self.network = network.to(device=device, dtype=dtype).eval()
        elements = [atomic_numbers[symbol] for symbol in network.model.element_types]
        kinds = torch.full((len(atomic_numbers),), -1, dtype=torch.int64)
        kinds[elements] = torch.arange(len(elements))
        self.register_buffer("kinds", kinds.to(device), persistent=False)
        self._known = tuple(sorted(elements))

    def config(self) -> dict[str, Any]:
        return {"arguments": self.arguments, "dtype": str(self.dtype).removeprefix("torch.")}

    @classmethod
    def from_config(cls, config: dict[str, Any], device: str | torch.device = "cpu") -> Self:
        """The same network with weights yet to be loaded; its folder is not needed."""
        cls._import()
        potential = cls.__new__(cls)
        saved = Saved(config["arguments"], None, "this run")
        dtype = require_dtype_named(config["dtype"])
        FolderPotential.__init__(potential, saved, device, dtype)
        return potential

    @property
    def known_elements(self) -> tuple[int, ...]:
        """Atomic numbers of the elements that the network was trained on."""
        return self._known

    @property
    def cutoff(self) -> float:
        """Within which atoms see each other, Å."""
        return float(self.network.model.cutoff)

    def energy(self, structures: Structures) -> Tensor:
        """Total energy (B,) eV."""
        name = f"this {type(self).__name__}"
        require_elements(structures, self.known_elements, name)
        graph = neighbours(structures, self.cutoff)
        require_neighbours(structures, graph.first, self.cutoff, name)
        vectors = graph.vectors(structures.positions).to(self.dtype)
        data = SimpleNamespace(
            node_type=self.kinds[structures.numbers],  # (N,)
            pos=vectors.new_zeros(len(structures.numbers), 3),  # (N, 3) Å
            edge_index=torch.stack([graph.first, graph.second]),  # (2, E)
            pbc_offshift=vectors,  # (E, 3) Å
            pbc_offset=graph.images.to(self.dtype),  # (E, 3)
            batch=structures.structure_index,  # (N,)
            num_nodes=len(structures.numbers),
            num_graphs=len(structures),
        )
        whole = self.network
        with self._number_type(self.dtype):
            bare = whole.model(g=data).reshape(len(structures))
            bare = whole.data_std * bare + whole.data_mean
            if whole.calc_repuls:
                data.bond_dist = vectors.norm(dim=1)
                bare = bare + whole.repuls(whole.model.element_types, data)
        # Else every layer's features, and their graph, live until the next call.
        whole.model.feature_dict = {}
        energy = bare.to(structures.dtype)
        if whole.element_refs is None:
            return energy
        return energy + whole.element_refs(data).reshape(len(structures)).to(structures.dtype)

    def export(self, path: str | Path) -> None:
        """Write the folder that the network's package loads: ``model.json``, ``.pt``, ``state.pt``.

        Weights are written in float32, the type in which the package rebuilds its networks.

        Args:
            path: the folder; made if it is not there.

        Raises:
            OSError: a file cannot be written.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        kind = type(self.network)
        described = {
            "@class": kind.__name__,
            "@module": kind.__module__,
            "@model_version": kind.__version__,
            "metadata": None,
            "kwargs": self.arguments,
        }
        arguments = _decoded(self.arguments)
        weights = {
            k: v.detach().cpu().float() if v.is_floating_point() else v.cpu()
            for k, v in self.network.state_dict().items()
        }
        write_atomic(folder / "model.pt", lambda place: torch.save(arguments, place))
        write_atomic(folder / "state.pt", lambda place: torch.save(weights, place))
        write_atomic(folder / "model.json", json.dumps(described, indent=4))

    @classmethod
    def _import(cls) -> None:
        """Raises ImportError where the package is not installed: says what to install."""
        import_extra(f"{cls.package}.apps.pes", cls.package, cls.package)

    @contextmanager
    def _number_type(self, dtype: torch.dtype) -> Iterator[None]:
        """Around building and calling a network whose package keeps its number type globally."""
        yield

    def _build(self, saved: Saved) -> nn.Module:
        """The package's potential.

        Raises:
            ValueError: what is saved makes no potential that can be unrolled.
        """
        kinds = import_module(f"{self.package}.models")
        pes = import_module(f"{self.package}.apps.pes")
        arguments = _decoded(saved.arguments)
        inner = arguments["model"]
        kind = getattr(kinds, str(inner["@class"]), None)
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise ValueError(
                f"{saved.origin} holds a {inner['@class']}, which this version of {self.package} "
                f"does not know; give {self.wanted}"
            )
        _require_energy(inner, arguments, saved.origin, self.wanted)
        try:
            with quiet():
                model = kind(**inner["init_args"] | _without(kind))
                network: nn.Module = pes.Potential(
                    **arguments | {"model": model} | _without(pes.Potential)
                )
                if saved.weights is not None:
                    missing, _ = network.load_state_dict(saved.weights, strict=False)
                    lost = set(missing) & {name for name, _ in network.named_parameters()}
                    if lost:
                        raise KeyError(f"no weights {min(lost)}")
        except Exception as error:  # whatever settings of something else provoke
            raise ValueError(
                f"{saved.origin} holds no potential that the installed {self.package} can rebuild "
                f"({type(error).__name__}); give {self.wanted}"
            ) from error
        return network


def read_folder(folder: Path, wanted: str) -> Saved:
    """A network from its folder; no code in the files is executed.

    Raises:
        ValueError: a file is missing, damaged, or holds something else.
    """
    arguments = read_checkpoint(folder / "model.pt", wanted, allowed=numpy_values())
    weights = read_checkpoint(folder / "state.pt", wanted, allowed=numpy_values())
    inner = arguments.get("model") if isinstance(arguments, dict) else None
    if not isinstance(inner, dict) or not {"@class", "init_args"} <= inner.keys():
        raise ValueError(f"{folder} holds no potential; give {wanted}")
    if not isinstance(weights, dict) or not all(isinstance(w, Tensor) for w in weights.values()):
        raise ValueError(f"{folder / 'state.pt'} holds no weights; give {wanted}")
    return Saved(encoded(arguments), weights, str(folder))


def encoded(value: Any) -> Any:
    """Constructor arguments as JSON holds them."""
    if isinstance(value, dict):
        return {str(key): encoded(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [encoded(part) for part in value]
    if hasattr(value, "tolist"):  # torch's and NumPy's arrays and numbers
        return value.tolist()
    return str(value) if isinstance(value, torch.dtype) else value


def _decoded(value: Any) -> Any:
    """Constructor arguments out of JSON; lists become tuples but for numbers."""
    if isinstance(value, dict):
        return {key: _decoded(part) for key, part in value.items()}
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(value)
    return DTYPES.get(value, value) if isinstance(value, str) else value


def _without(kind: type) -> dict[str, bool]:
    """Those switches of a class that have to be off."""
    known = inspect.signature(kind).parameters
    return {key: value for key, value in WITHOUT.items() if key in known}


def _require_energy(inner: dict[str, Any], outer: dict[str, Any], origin: str, wanted: str) -> None:
    """Refuse a model that is no energy of positions alone.

    Raises:
        ValueError: says what it is.
    """
    settings = inner["init_args"]
    if settings.get("is_intensive", True):
        raise ValueError(f"{origin} holds a model of a property, not of an energy; give {wanted}")
    needs = {
        "a state of the whole (include_state)": settings.get("include_state"),
        "charges (calc_charge)": outer.get("calc_charge"),
    }
    for need, present in needs.items():
        if present:
            raise ValueError(
                f"{origin} needs {need} beside positions, which a relaxation does not have; give "
                f"{wanted} without"
            )
