"""What potentials refuse: each in one sentence, and in a batch by the member's index."""

import contextlib

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from models import diep, m3gnet, nequix, pairs, sevennet, small_mace, tensornet
from springs import network, starts

import bpttviz as bv
from bpttviz.geometry import segment_sum
from bpttviz.potentials.base import Exportable, Potential, Prediction
from bpttviz.potentials.neighbors import neighbours
from bpttviz.potentials.requirements import numbers_of

POTENTIALS = {
    "own energy": pairs,
    "own forces": lambda: bv.ForceFunction(lambda s, x: _pull(s, x)),
    "painn": bv.PaiNN.pretrained,
    "transformer": bv.CoordinateTransformer.pretrained,
    "chgnet": bv.CHGNet,
    "scaled chgnet": lambda: bv.ScaledForces(bv.CHGNet(), 1.1),
    "mace": lambda: bv.MACE(small_mace()),
    "sevennet": sevennet,
    "diep": diep,
    "m3gnet": m3gnet,
    "tensornet": tensornet,
    "nequix": nequix,
}
NEEDS_NEIGHBOURS = {"chgnet", "scaled chgnet", "diep", "m3gnet", "tensornet"}


def _pull(structures, positions):
    graph = neighbours(structures, 3.0)
    return segment_sum(graph.vectors(positions), graph.first, len(positions))


def crystal(symbol="Si"):
    atoms = bulk("Si", cubic=True)
    atoms.symbols[0] = symbol
    atoms.rattle(0.05, seed=0)
    return atoms


def not_finite():
    atoms = crystal()
    atoms.positions[3, 1] = np.nan
    return atoms


def lonely():
    """One atom of three has no other within any cutoff."""
    return Atoms("Si3", [[0, 0, 0], [2.4, 0, 0], [10, 10, 10]], cell=[20] * 3, pbc=True)


def slab():
    atoms = crystal()
    atoms.center(vacuum=5.0, axis=2)
    atoms.pbc = (True, True, False)
    return atoms


CANNOT = {"not finite": not_finite, "element Am": lambda: crystal("Am"), "no element": lambda:
          crystal("X"), "lonely": lonely, "layer": slab}  # fmt: skip


@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize("place", [0, 2])
def test_a_member_that_cannot_be_described_is_named_by_its_index(name, place):
    """Or it can be described, and gets numbers: nothing in between."""
    potential, refused = POTENTIALS[name](), {}
    for what, make in CANNOT.items():
        batch = [crystal(), crystal(), crystal()]
        batch[place] = make()
        structures = bv.Structures.from_ase(batch, ["a", "b", "c"], check=False)
        try:
            with torch.no_grad():
                energy, forces = potential(structures)
        except bv.StructureError as error:
            refused[what] = (error.index, error.name)
        else:
            assert energy.isfinite().all()
            assert forces.isfinite().all()
    assert set(refused.values()) == {(place, "abc"[place])}
    if name == "own forces" or name == "own energy":
        assert set(refused) == {"not finite"}  # any element will do
    else:
        assert {"not finite", "element Am", "no element"} <= set(refused)
    assert ("layer" in refused) == (not potential.partial_pbc)
    assert ("lonely" in refused) == (name in NEEDS_NEIGHBOURS)


@pytest.mark.parametrize("name", POTENTIALS)
def test_one_that_flies_apart_is_given_up_alone_at_any_step(name):
    """An isolated atom at the start, or from step 1 on: the others are relaxed as if alone."""
    potential = POTENTIALS[name]()
    rule, stop = bv.GradientDescent(0.02), bv.StoppingCriterion(2)
    batch = bv.Structures.from_ase([crystal(), lonely(), crystal()])
    given_up = name in NEEDS_NEIGHBOURS
    told = pytest.warns(bv.DivergenceWarning) if given_up else contextlib.nullcontext()
    with torch.no_grad(), told:
        together = bv.relax(potential, batch, rule, stop)
        alone = bv.relax(potential, batch[2], rule, stop)
    assert set(together.diverged) == ({1} if given_up else set())
    apart = (together[2].final.positions - alone.final.positions).abs().max()
    assert apart < 1e-5


def test_an_own_function_names_the_member_it_refuses():
    def energy(structures, positions):
        far = positions.detach().abs().amax(1) > 5
        if far.any():
            raise bv.StructureError("is too far out", int(structures.structure_index[far][0]))
        return segment_sum((positions**2).sum(1), structures.structure_index, len(structures))

    near, far = (Atoms("Si", [[x, 0, 0]]) for x in (1.0, 6.0))
    start = bv.Structures.from_ase([near, far, near])
    with torch.no_grad(), pytest.warns(bv.DivergenceWarning, match="too far out"):
        result = bv.relax(bv.EnergyFunction(energy), start, stop=bv.StoppingCriterion(2))
    assert set(result.diverged) == {1}


# --- elements that the weights were not trained on ---


@pytest.mark.parametrize("kind", [bv.PaiNN, bv.CoordinateTransformer])
@pytest.mark.parametrize("atoms", [bulk("NaCl", "rocksalt", a=5.64), bulk("U", "fcc", a=4.9)])
def test_small_weights_refuse_elements_that_they_never_saw(kind, atoms):
    batch = bv.Structures.from_ase([crystal(), atoms])
    unknown = ", ".join(sorted(set(atoms.get_chemical_symbols()), key=lambda s: s != "Na"))
    sentence = (
        rf"structure 1 .*: has elements? {unknown}, which this network does not know; it knows B, "
        r"C, N, Al, Si, P, Ga, Ge, As, In, Sn, Sb\. .*extend_known_elements"
    )
    for call in (kind.pretrained(), lambda s: bv.relax(kind.pretrained(), s[1])):
        with pytest.raises(bv.StructureError, match=sentence.replace("structure 1 .*: ", ".*")):
            call(batch)


@pytest.mark.parametrize("kind", [bv.PaiNN, bv.CoordinateTransformer])
def test_new_weights_take_all_and_old_ones_can_be_told_of_more(kind):
    salt = bv.Structures.from_ase(bulk("NaCl", "rocksalt", a=5.64, cubic=True))
    assert kind(features=8).known_elements is None
    kind(features=8)(salt)
    potential = kind.pretrained()
    potential.extend_known_elements(["Na", 17])
    assert {11, 14, 17} <= set(potential.known_elements)
    potential(salt)
    again = kind.from_config(potential.config())
    assert again.known_elements == potential.known_elements
    for wrong in (["Xx"], [95], [0], "Na", 3, [1.5], []):
        with pytest.raises(ValueError, match="element"):
            potential.extend_known_elements(wrong)


def test_what_a_potential_knows_is_said():
    assert bv.CHGNet().known_elements == tuple(range(1, 95))
    assert bv.ScaledForces(bv.CHGNet(), 2.0).known_elements == tuple(range(1, 95))
    assert pairs().known_elements is None
    assert len(bv.PaiNN.pretrained().known_elements) == 12
    assert bv.check_potential(bv.PaiNN.pretrained()).ok  # examples of elements that it knows


# --- constructors ---

BAD = {
    "PaiNN features": lambda: bv.PaiNN(features=0),
    "PaiNN layers": lambda: bv.PaiNN(layers=-1),
    "PaiNN cutoff": lambda: bv.PaiNN(cutoff=0.0),
    "PaiNN radial": lambda: bv.PaiNN(radial=2.5),
    "PaiNN elements": lambda: bv.PaiNN(elements=["Xx"]),
    "CoordinateTransformer heads": lambda: bv.CoordinateTransformer(features=10, heads=4),
    "CoordinateTransformer pair": lambda: bv.CoordinateTransformer(pair=0),
    "ScaledForces scale": lambda: bv.ScaledForces(network(), float("inf")),
    "ScaledForces potential": lambda: bv.ScaledForces("chgnet", 1.0),
    "Springs pairs": lambda: bv.Springs([[0, 1, 2]], [1.0], [[0.0, 0, 0]]),
    "Springs stiffness": lambda: bv.Springs([[0, 1]], [1.0, 2.0], [[0.0, 0, 0]]),
    "Springs rest": lambda: bv.Springs([[0, 1]], [1.0], [[0.0, 0]]),
    "Springs pairs of one": lambda: bv.Springs([[1, 1]], [1.0], [[0.0, 0, 0]]),
    "Springs atoms": lambda: bv.Springs.frustrated(1),
    "MullerBrown scale": lambda: bv.MullerBrown(-1),
    "NeuralLandscape width": lambda: bv.NeuralLandscape(1e30),
    "NeuralLandscape seed": lambda: bv.NeuralLandscape(seed=-1),
    "Wells widths": lambda: bv.Wells([[0.0, 0.0]], [1.0], [float("nan")]),
    "Wells bowl": lambda: bv.Wells([[0.0, 0.0]], [1.0], [1.0], bowl=-1),
    "CHGNet checkpoint": lambda: bv.CHGNet(3),
    "CHGNet dtype": lambda: bv.CHGNet(dtype=torch.int64),
    "CHGNet device": lambda: bv.CHGNet(device="gpu"),
    "EnergyFunction function": lambda: bv.EnergyFunction(3),
    "ForceFunction module": lambda: bv.ForceFunction(lambda s, x: x, "net"),
    "Calculator potential": lambda: bv.Calculator("chgnet"),
}


@pytest.mark.parametrize("name", BAD)
def test_arguments_without_a_meaning_are_named(name):
    what = name.split()[1]
    with pytest.raises((TypeError, ValueError), match=what) as raised:
        BAD[name]()
    frame = raised.traceback[-1]
    assert "bpttviz" in str(frame.path)  # a sentence of ours, not an accident further down
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("element", [True, False, np.bool_(True)])
def test_true_is_no_element(element):
    with pytest.raises(
        ValueError, match="elements must be symbols.*there is no (np.)?(True|False)"
    ):
        numbers_of([element])


def test_numpys_numbers_become_plain_ones():
    potential = bv.PaiNN(features=np.int64(8), cutoff=np.float32(4.0), radial=torch.tensor(4))
    config = potential.config()
    assert {key: type(config[key]) for key in ("features", "cutoff", "radial")} == {
        "features": int,
        "cutoff": float,
        "radial": int,
    }


def test_a_class_or_a_potential_is_not_a_function():
    with pytest.raises(TypeError, match=r"the class Linear itself was given; .*Function\(Linear"):
        bv.EnergyFunction(torch.nn.Linear)
    with pytest.raises(TypeError, match="a Springs is a potential already"):
        bv.EnergyFunction(network())


# --- the base class ---


def test_a_class_without_energy_or_forces_cannot_be_made():
    class Nothing(Potential):
        """Defines nothing."""

    for kind in (Potential, Nothing):
        with pytest.raises(TypeError, match=r"defines neither energy\(\) nor forward\(\); define"):
            kind()

    class ForcesOnly(Potential):
        def forward(self, structures):
            return Prediction(structures.positions.sum(), structures.positions)

    with pytest.raises(TypeError, match="ForcesOnly predicts forces without an energy"):
        ForcesOnly().energy(starts(1))


@pytest.mark.parametrize("name", ["own energy", "own forces", "transformer"])
def test_something_else_than_structures_is_told_from_them(name):
    for wrong in (crystal(), "POSCAR", None, bv.Structures):
        with pytest.raises(TypeError, match="structures must be an? (Structures|object)"):
            POTENTIALS[name]()(wrong)


def test_those_that_export_say_so():
    assert isinstance(bv.CHGNet(), Exportable)
    assert not isinstance(bv.PaiNN(), Exportable)


@pytest.mark.parametrize("name", ["own energy", "own forces", "painn", "transformer", "chgnet"])
def test_inference_mode_is_a_way_to_ask_for_no_graph(name):
    potential, structures = POTENTIALS[name](), bv.Structures.from_ase([crystal(), crystal()])
    with torch.no_grad():
        expected = potential(structures)
    with torch.inference_mode():
        inside = bv.Structures.from_ase([crystal(), crystal()])  # its tensors hold no graph, ever
        for given in (structures, inside):
            energy, forces = potential(given)
            assert not forces.requires_grad
            torch.testing.assert_close(energy, expected.energy)
            torch.testing.assert_close(forces, expected.forces)
    assert potential(inside).forces.isfinite().all()


def test_the_calculator_gives_plain_numbers_and_true_sentences():
    atoms = crystal()
    atoms.calc = bv.PaiNN.pretrained().calculator()
    assert type(atoms.get_potential_energy()) is float
    assert atoms.get_forces().dtype == np.float64
    atoms.symbols[:] = "Na"
    with pytest.raises(bv.StructureError, match="has element Na, which this network does not"):
        atoms.get_forces()
    atoms = lonely()
    atoms.calc = bv.CHGNet().calculator()
    with pytest.raises(bv.StructureError, match="atom 2 has no neighbour within"):
        atoms.get_potential_energy()
