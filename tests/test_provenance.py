"""What a result depends on: every difference is seen, and nothing that is none."""

import dataclasses
import functools
import json
import subprocess
import sys
import textwrap
import threading
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.constraints import FixAtoms
from springs import network

import bpttviz as bv
from bpttviz.provenance import (
    fingerprint,
    fingerprint_structures,
    fingerprint_tensors,
    specification,
)


def silicon(**changes):
    atoms = Atoms("Si2", positions=[[0, 0, 0], [1.3, 1.4, 1.5]], cell=[5.4] * 3, pbc=True)
    structures = bv.Structures.from_ase(atoms, ["a"])
    return replace(structures, **changes) if changes else structures


def test_structures_are_told_apart_by_all_that_counts():
    same = fingerprint_structures(silicon())
    atoms = silicon().to_ase()[0]
    atoms.set_constraint(FixAtoms([0]))
    others = [
        silicon(positions=silicon().positions + 1e-15),
        silicon(numbers=torch.tensor([14, 32])),
        silicon(cell=silicon().cell * (1 + 1e-15)),
        silicon(pbc=torch.tensor([[True, True, False]])),
        silicon(masses=silicon().masses * 1.001),
        bv.Structures.from_ase(atoms),
        bv.Structures.from_ase([*silicon().to_ase(), *silicon().to_ase()]),
    ]
    found = [same, *map(fingerprint_structures, others)]
    assert len(set(found)) == len(found)
    again = silicon(names=("b",), positions=silicon().positions * 1.0 + -0.0)
    assert fingerprint_structures(again) == same


def rule(k):
    class Own(bv.GradientDescent):
        def __init__(self):
            super().__init__(0.1)
            self.k = k

        def step(self, state, forces):
            return super().step(state, self.k * forces)

    return Own()


def energy(k):
    return bv.EnergyFunction(lambda structures, x: k * (x**2).sum(1))


class WithWeights(bv.Objective):
    def __init__(self, seed):
        self.other = network(seed=seed)

    def loss(self, potential, references):
        return self.other(references.starts()).energy


STIFFNESS = 1.0


def with_global(structures, positions):
    return STIFFNESS * positions


def formula(text):
    scope = {}
    exec(textwrap.dedent(text), scope)
    return scope["f"]


def module(text):
    """A module of the user's, as an import would give it."""
    made = types.ModuleType("of_the_users")
    exec(text, vars(made))
    return made


def through_a_module(text):
    potential = module(text)
    return lambda x: potential.inner.energy(x) if hasattr(potential, "inner") else potential.energy


def nested(text):
    outer = module("")
    outer.inner = module(text)
    return lambda x: outer.inner.energy(x)


def with_attribute(value):
    def energy(x):
        return energy.stiffness * x

    energy.stiffness = value
    return energy


@dataclasses.dataclass
class Settings:
    step: float = 1.0


def settings(more):
    made = Settings()
    made.more = more
    return made


class Meta(type):
    factor = 1.0


class OtherMeta(type):
    factor = 2.0


def hooked(factor):
    layer = torch.nn.SiLU()
    layer.register_forward_hook(lambda module, given, out: factor * out)
    return layer


STEP = 0.04
PAIRS = {
    "a module that a function uses": (
        nested("def energy(x): return x"),
        nested("def energy(x): return -x"),
    ),
    "a module's number": (
        through_a_module("energy = 1.0"),
        through_a_module("energy = 1.0001"),
    ),
    "a module itself": (module("K = 1.0"), module("K = 2.0")),
    "a cached function": (
        formula("import functools\n@functools.cache\ndef f(x):\n    return 2 * x"),
        formula("import functools\n@functools.cache\ndef f(x):\n    return 3 * x"),
    ),
    "an attribute of a function": (with_attribute(1.0), with_attribute(2.0)),
    "an attribute beside a dataclass's fields": (settings(1), settings(2)),
    "a key's type": ({1: "a"}, {"1": "a"}),
    "what a mask hides": (np.ma.array([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[False, True])),
    "an array of objects' shape": (np.array([[None, 1]]), np.array([None, 1])),
    "a hook": (hooked(1.0), hooked(2.0)),
    "what makes a class": (Meta("A", (), {})(), OtherMeta("A", (), {})()),
    "a sparse tensor": (torch.eye(2).to_sparse(), 2 * torch.eye(2).to_sparse()),
    "a held number, in the fifth digit": (
        bv.GradientDescent(STEP),
        bv.GradientDescent(STEP + 4e-7),
    ),
    "in the last digit": (
        bv.EndpointLoss(bv.GradientDescent(STEP)),
        bv.EndpointLoss(bv.GradientDescent(STEP * (1 + 1e-14))),
    ),
    "an own rule's number": (rule(2.0), rule(2.0001)),
    "a factor": (bv.ScaledForces(network(), 2.0), bv.ScaledForces(network(), 3.0)),
    "what is scaled": (
        bv.ScaledForces(network(), 2.0),
        bv.ScaledForces(bv.ScaledForces(network(), 1.0), 2.0),
    ),
    "a captured number": (energy(1.0), energy(2.0)),
    "a formula": (
        formula("def f(s, x):\n    return x * x"),
        formula("def f(s, x):\n    return x + x"),
    ),
    "a default": (
        formula("def f(x, k=1.0):\n    return k * x"),
        formula("def f(x, k=2.0):\n    return k * x"),
    ),
    "what a function calls": (
        formula("def g(x):\n    return x\n\ndef f(x):\n    return g(x)"),
        formula("def g(x):\n    return -x\n\ndef f(x):\n    return g(x)"),
    ),
    "a criterion": (bv.StoppingCriterion(5), bv.StoppingCriterion(5, fmax=1e-9)),
    "a tensor": (torch.arange(3.0), torch.arange(3)),
    "an array": (np.arange(3.0), np.array([0.0, 1.0, 2.0 + 1e-15])),
    "a weight of a sum": (
        bv.EndpointLoss() + 0.1 * bv.ForceLoss(),
        bv.EndpointLoss() + 0.1000001 * bv.ForceLoss(),
    ),
    "weights inside": (WithWeights(0), WithWeights(1)),
    "a nested adjoint's number": (
        bv.EndpointLoss(adjoint=bv.GuidedAdjoint(implicit=bv.ImplicitAdjoint(damping=0.01))),
        bv.EndpointLoss(adjoint=bv.GuidedAdjoint(implicit=bv.ImplicitAdjoint(damping=0.0100001))),
    ),
    "a partial": (functools.partial(torch.add, 1), functools.partial(torch.add, 2)),
    "a network's form": (torch.nn.SiLU(), torch.nn.ReLU()),
    "a network's argument": (torch.nn.LeakyReLU(0.1), torch.nn.LeakyReLU(0.2)),
}


@pytest.mark.parametrize("which", PAIRS)
def test_parts_that_compute_otherwise_are_told_apart(which):
    one, other = PAIRS[which]
    first = specification(one)
    assert json.loads(json.dumps(first, allow_nan=False)) == first
    assert first == specification(one)
    assert first != specification(other)


def test_a_global_that_a_function_uses_counts(monkeypatch):
    before = specification(with_global)
    monkeypatch.setitem(with_global.__globals__, "STIFFNESS", 1.0001)
    assert specification(with_global) != before


def test_what_a_function_imports_when_called_counts(monkeypatch, tmp_path):
    function = formula("def f(x):\n    import users_own_module\n    return users_own_module.k * x")
    unknown = specification(function)
    assert "undescribed" in json.dumps(unknown)
    described = []
    for k in (1.0, 2.0):
        (tmp_path / "users_own_module.py").write_text(f"k = {k}\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "users_own_module", raising=False)
        monkeypatch.setitem(sys.modules, "users_own_module", module(f"k = {k}"))
        described.append(specification(function))
    assert described[0] != described[1]
    assert "undescribed" not in json.dumps(described)
    library = formula("def f(x):\n    import json\n    return json.loads(x)")
    assert "undescribed" not in json.dumps(specification(library))


def test_what_a_module_holds_beside_what_is_used_does_not_count():
    one, other = (nested(f"unused = {k}\ndef energy(x): return x") for k in (1, 2))
    assert specification(one) == specification(other)


def test_comments_places_and_number_types_do_not_count():
    one = formula("def f(x):\n    return x * x")
    other = formula("\n\n\ndef f(x):\n    # a square\n    return x * x")
    assert specification(one) == specification(other)
    plain, numpy = bv.StoppingCriterion(5, fmax=0.01), bv.StoppingCriterion(np.int64(5), fmax=0.01)
    assert specification(plain) == specification(numpy)
    assert specification({"a": np.float64(0.1), "b": (1, 2)}) == {"a": 0.1, "b": [1, 2]}


def test_another_process_says_the_same():
    """Sets come in another order there, objects lie at other places."""
    script = """
        import json, torch
        import bpttviz as bv
        from bpttviz.provenance import specification
        class Own(bv.GradientDescent):
            names = {"a", "b", "c"}
            def step(self, state, forces):
                if str(state) in {"x", "y", "z"}:
                    return None
                return super().step(state, forces)
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.SiLU())
        rule = Own()
        rule.network, rule.again = (lambda x: net[1](x)), [rule]
        print(json.dumps(specification(rule)))
    """
    found = {
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_what_cannot_be_described_says_so_until_it_is_named():
    class Holder:
        def __init__(self):
            self.lock = threading.Lock()

    holder = Holder()
    assert specification(holder)["attributes"]["lock"] == {"undescribed": "a lock"}
    assert specification(x for x in [1]) == {"undescribed": "a generator"}
    holder.provenance_name = "mine, second version"
    assert specification(holder) == {"class": "Holder", "name": "mine, second version"}


def test_weights_are_told_apart():
    assert fingerprint(network(seed=1)) == fingerprint(network(seed=1))
    assert fingerprint(network(seed=1)) != fingerprint(network(seed=2))
    assert fingerprint_tensors(torch.zeros(2, 3)) != fingerprint_tensors(torch.zeros(3, 2))
    assert fingerprint_tensors(torch.zeros(1)) == fingerprint_tensors(-torch.zeros(1))
    half = torch.nn.Linear(2, 2).to(torch.bfloat16)
    assert len(fingerprint(half)) == 16
