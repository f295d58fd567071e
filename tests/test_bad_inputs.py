"""Whatever a public name is given, it answers, or says in words of its own what was wrong.

For every parameter of every public name (read from the package's stub, so that new ones are swept
from their first day) the values that users give by mistake. What has to be refused must be refused
by a ``raise`` of the package, never by whatever broke inside; nothing may hang; other ways to say
the same number are taken.
"""

import ast
import inspect
import io
import lzma
import shlex
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from functools import cache, partial
from pathlib import Path

import ase.io
import made_up
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.optimize import BFGS
from bad_inputs import (
    A_FILE,
    ANYTHING,
    COUNT,
    COUNT_OR_0,
    DEVICE,
    DTYPE,
    FLAG,
    NOT_NEGATIVE,
    NUMBER,
    POSITIVE,
    SIZE,
    TEXT,
    WHOLE,
    Hang,
    Kind,
    choice,
    describe,
    fault,
    nice,
    object_of,
    time_limit,
)
from springs import network, starts
from taught import labelled

import bpttviz as bv
import bpttviz.plotting
from bpttviz.cli.main import main
from bpttviz.experiments.protocol import PaperRecipe
from bpttviz.experiments.robustness import LandscapeProblem
from bpttviz.geometry import segment_sum

STUB = Path(bv.__file__).with_suffix(".pyi")


# --- good arguments ---

springs = cache(network)
two = cache(starts)
data = cache(lambda: labelled(4))
splits = cache(lambda: bv.DatasetSplits(data()))
report = cache(lambda: made_up.report(cells=1, steps=4, names=("a", "b")))
hydrogen = cache(lambda: ANYTHING["Atoms"])
wells = cache(lambda: bv.Wells([[-1.0, 0.0], [1.0, 0.0]], [1.0, 0.8], [0.6, 0.5]))
stop = cache(lambda: bv.StoppingCriterion(2))
endpoint = cache(lambda: bv.EndpointLoss(stop=stop()))


@cache
def crystal():
    return bv.Structures.from_ase(bulk("Si"))


@cache
def linear():
    """A potential with a linear layer of its own."""
    layer = torch.nn.Linear(6, 6).double()
    return bv.EnergyFunction(lambda s, x, layer=layer: x.sum() * s.counts, layer)


@cache
def of_volume():
    """A potential of crystals that wants 40 Å³ a cell, and its atoms at the origin."""

    layer = torch.nn.Linear(1, 1).double()

    def energy(structures, positions, layer=layer):
        squares = segment_sum(
            positions.square().sum(1), structures.structure_index, len(structures)
        )
        return (torch.linalg.det(structures.cell).to(squares) - 40) ** 2 + squares

    return bv.EnergyFunction(energy, layer)


def silicon():
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.05, seed=1)
    return atoms


@cache
def relaxed():
    return bv.relax(springs(), two(), stop=stop())


@cache
def diagnosis():
    return bv.diagnose_gradient(springs(), two()[0], two()[0], stop=stop(), iterations=2)


@cache
def traced():
    return bv.trace_gradient(springs(), two()[0], moved(two()[0]), stop=stop())


@cache
def folder():
    return Path(tempfile.mkdtemp(prefix="bad-inputs-"))


@cache
def run():
    return bv.finetune(
        springs(),
        data()[:1],
        endpoint(),
        bv.TrainingConfig(1),
        progress=False,
        out=folder() / "run",
    )


@cache
def path_of_frames():
    path = folder() / "frames.extxyz"
    ase.io.write(path, data()[0].to_ase())
    return str(path)


@cache
def with_ends():
    known = report()
    rests = {key: path.final for key, path in known.relaxations.items()}
    return bv.Report(known.rows, known.relaxations, known.references, rests)


def path_of_report():
    report().to_csv(folder() / "report.csv")
    return str(folder() / "report.csv")


@cache
def benchmarked():
    arguments = CALLS["benchmark"]()
    bv.benchmark(**{**arguments, "out": folder() / "benchmark"})
    return folder() / "benchmark"


valley = cache(lambda: bv.FoggyValley())
walking = cache(lambda: LandscapeProblem(training=1, held_out=1, updates=1))


def moved(structures):
    return structures.with_positions(structures.positions + 0.1)


# What each name needs to be called at all; {} where defaults do. A method's object comes first.
CALLS = {
    "load_dataset": lambda: {},
    "ReferenceRelaxation": lambda: {
        "name": "a", "group": "g", "start": two()[0], "end": moved(two()[0]),
    },
    "ReferenceRelaxation.from_ase": lambda: {"name": "a", "frames": [silicon(), silicon()]},
    "ReferenceRelaxation.frames": lambda: {"self": data()[0], "places": [0]},
    "ReferenceTrajectory": lambda: {
        "positions": torch.zeros(2, 4, 3), "energy": torch.zeros(2), "forces": torch.zeros(2, 4, 3),
    },
    "RelaxationDataset": lambda: {"references": list(data())},
    "RelaxationDataset.folds": lambda: {"self": data(), "count": 2},
    "RelaxationDataset.out_of_distribution": lambda: {"self": data(), "others": data()},
    "RelaxationDataset.with_ends_of": lambda: {"self": data(), "others": data()},
    "DatasetSplits": lambda: {"all": data()},
    "DatasetSplits.folds": lambda: {"self": splits(), "count": 2},
    "DatasetSplits.split_of": lambda: {"self": splits(), "group": "g"},
    "delta_q": lambda: {"a": two(), "b": moved(two())},
    "rmsd": lambda: {"a": two(), "b": moved(two())},
    "force_error": lambda: {
        "predicted": torch.ones(4, 3), "reference": torch.zeros(4, 3),
        "structure_index": torch.zeros(4, dtype=torch.int64), "count": 1,
    },
    "evaluate": lambda: {
        "potentials": {"a": springs()}, "references": data()[:1], "stop": stop(),
        "relaxer": bv.Relaxer(1.0, 2), "progress": False,
    },
    "push_and_stiffness": lambda: {
        "potentials": {"a": springs()}, "references": data()[:1], "relaxer": bv.Relaxer(1.0, 2),
    },
    "read_relaxations": lambda: {"paths": path_of_frames()},
    "read_pairs": lambda: {"pairs": [(path_of_frames(), path_of_frames())]},
    "Relaxer": lambda: {},
    "Relaxer.closer": lambda: {"self": bv.Relaxer(1.0, 2), "times": 2.0},
    "Relaxer.run": lambda: {
        "self": bv.Relaxer(1.0, 2), "potential": springs(), "structures": two(),
    },
    "Report": lambda: {"rows": list(report().rows)},
    "Report.row": lambda: {"self": report(), "potential": "pretrained", "structure": "a"},
    "Report.column": lambda: {"self": report(), "name": "dq_k", "potential": "pretrained"},
    "Report.mean": lambda: {"self": report(), "column": "dq_k", "potential": "pretrained"},
    "Report.relaxation": lambda: {"self": report(), "potential": "pretrained", "structure": "a"},
    "Report.reference": lambda: {"self": report(), "structure": "a"},
    "Report.compare": lambda: {"self": report()},
    "Report.conclusions": lambda: {"self": report()},
    "Report.merge": lambda: {"self": report(), "other": made_up.errors(made_up.WAYS)},
    "check_potential": lambda: {"potential": springs(), "structures": two()},
    "relax": lambda: {"potential": springs(), "structures": two(), "stop": stop()},
    "Relaxation.frames": lambda: {"self": relaxed()},
    "Relaxation.from_frames": lambda: {"frames": relaxed().frames()},
    "diagnose_gradient": lambda: {
        "potential": springs(), "start": two()[0], "end": moved(two()[0]), "stop": stop(),
        "iterations": 2,
    },
    "trace_gradient": lambda: {
        "potential": springs(), "start": two()[0], "end": moved(two()[0]), "stop": stop(),
    },
    "GradientTrace.read": lambda: {"path": str(traced().write(folder() / "trace.safetensors"))},
    "GradientTrace.write": lambda: {"self": traced(), "path": str(folder() / "traced.safetensors")},
    "Calculator": lambda: {"potential": springs()},
    "ScaledForces": lambda: {"potential": springs(), "scale": 1.1},
    "Springs": lambda: {
        "pairs": [[0, 1]], "stiffness": [1.0], "rest": [[1.0, 0.0, 0.0]],
    },
    "Springs.frustrated": lambda: {},
    "Springs.forward": lambda: {"self": springs(), "structures": two()},
    "EnergyFunction": lambda: {"function": lambda structures, positions: positions.sum()},
    "ForceFunction": lambda: {"function": lambda structures, positions: -positions},
    "MullerBrown": lambda: {},
    "NeuralLandscape": lambda: {},
    "NeuralLandscape.fit": lambda: {
        "self": bv.NeuralLandscape(4), "target": wells(), "points": torch.rand(9, 2), "steps": 1,
    },
    "Wells": lambda: {"centres": [[0.0, 0.0]], "depths": [1.0], "widths": [0.5]},
    "CHGNet": lambda: {},
    "MACE.foundation": None,  # downloads
    "PaiNN": lambda: {"features": 4, "layers": 1, "radial": 3},
    "PaiNN.pretrained": lambda: {},
    "CoordinateTransformer": lambda: {
        "features": 4, "layers": 1, "heads": 2, "pair": 4, "radial": 3,
    },
    "CoordinateTransformer.pretrained": lambda: {},
    "Meter": lambda: {},
    "FullBPTT": lambda: {},
    "CheckpointedBPTT": lambda: {},
    "TruncatedBPTT": lambda: {},
    "DetachedBPTT": lambda: {},
    "ImplicitAdjoint": lambda: {},
    "GuidedAdjoint": lambda: {},
    "GMRES": lambda: {},
    "ConjugateGradient": lambda: {},
    "GradientDescent": lambda: {},
    "HeavyBall": lambda: {},
    "FIRE": lambda: {},
    "StoppingCriterion": lambda: {},
    "Structures.from_ase": lambda: {"atoms": silicon()},
    "Structures.with_positions": lambda: {"self": two(), "positions": two().positions + 0.1},
    "Structures.split": lambda: {"self": two(), "values": two().positions},
    "Structures.to": lambda: {"self": two()},
    "Report.from_csv": lambda: {"path": path_of_report()},
    "Report.to_csv": lambda: {"self": report()},
    "Report.to_chemiscope": lambda: {"self": with_ends(), "path": "ends.json"},
    "load_run": lambda: {"path": run().path},
    "Run.export": lambda: {"self": run(), "folder": "exported"},
    "benchmark": lambda: {"potential": springs(), "data": splits(), "out": "benchmark", "folds": 2,
        "methods": ["pretrained"], "only": [0], "relaxer": bv.Relaxer(1.0, 1), "progress": False,
        "recipe": PaperRecipe(steps=1, epochs=2)},
    "read_benchmark": lambda: {"folder": str(benchmarked())},
    "robustness": lambda: {
        "problem": walking(), "step_sizes": [0.3], "steps": [1],
        "rules": {"a": bv.GradientDescent},
    },
    "stored_robustness": lambda: {},
    "RobustnessMap": lambda: {"result": bv.stored_robustness("landscape")},
    "stored_gradient": lambda: {},
    "BackwardFlow": lambda: {"trace": traced()},
    "plotting.plot_backward_flow": lambda: {"trace": traced()},
    "open_lesson": lambda: {"name": "05"},
    "open_assignment": lambda: {"name": "A1"},
    "LandscapeExample": lambda: {
        "landscape": wells(), "start": (0.0, 0.0), "target": (1.0, 0.0),
    },
    "CompareRelaxations": lambda: {"report": report()},
    "ErrorPlane": lambda: {"report": report()},
    "FoggyValley": lambda: {},
    "FoggyValley.train": lambda: {"self": valley(), "updates": 1},
    "Playground": lambda: {
        "potential": springs(), "training": data()[:1], "held_out": data()[1:2],
    },
    "Playground.of": lambda: {
        "report": report(), "references": data()[:1],
        "potentials": {"pretrained": springs(), "fine-tuned": springs()},
    },
    "TrainingMonitor": lambda: {
        "potential": springs(), "data": data()[:1], "objective": endpoint(), "out": "monitored",
    },
    "TrainingMonitor.of": lambda: {"run": run()},
    "plotting.animate_relaxations": lambda: {
        "report": report(), "structure": "a", "path": "moving.gif",
    },
    "picture_slider": lambda: {
        "pictures": {"a": bv.plotting.plot_unrolled()}, "description": "steps",
    },
    "plotting.plot_answers": lambda: {"counts": {"q": {"yes": 1}}, "right": {"q": "yes"}},
    "plotting.plot_one_spring": lambda: {"true_stiffness": 1.0, "step_size": 0.3, "steps": 6},
    "plotting.plot_unrolled": lambda: {},
    "plotting.plot_costs": lambda: {
        "costs": [{"mode": "full", "steps": 2, "peak_bytes": 1e8, "seconds": 1.0},
                  {"mode": "full", "steps": 4, "peak_bytes": 2e8, "seconds": 2.0}],
    },
    "plotting.plot_dose": lambda: {"rows": bv.stored_ablation().curve()},
    "plotting.plot_front": lambda: {"rows": bv.stored_ablation().front()},
    "plotting.plot_growth": lambda: {
        "rows": [{"size": {"series": "steps", "steps": k}, "seconds": k, "growth_bytes": 1e6 * k}
                 for k in (5, 10)],
    },
    "plotting.plot_curves": lambda: {
        "values": {"a": ([1.0, 2.0], [1.0, 2.0])}, "x_label": "x", "y_label": "y",
    },
    "plotting.plot_dataset": lambda: {"data": splits()},
    "plotting.plot_heat_maps": lambda: {
        "ratios": {"a": np.ones((1, 2))}, "rows": [0.1], "columns": [2, 8], "row_label": "x",
        "column_label": "y", "title": "t", "strongest": 4.0,
    },
    "plotting.plot_endpoint_errors": lambda: {"report": report()},
    "plotting.plot_error_plane": lambda: {"report": report()},
    "plotting.plot_force_errors": lambda: {"truth": wells(), "models": {"a": wells()}},
    "plotting.plot_forces": lambda: {"atoms": silicon(), "by": {"a": np.ones((8, 3))}},
    "plotting.plot_frames": lambda: {"report": report(), "structure": "a"},
    "plotting.plot_gradient": lambda: {"diagnoses": {"a": diagnosis()}},
    "plotting.plot_landscapes": lambda: {"landscapes": wells()},
    "plotting.plot_parity": lambda: {"forces": {"a": (np.ones((4, 3)), np.ones((4, 3)))}},
    "plotting.plot_relaxation": lambda: {"report": report(), "structure": "a"},
    "plotting.plot_snapshots": lambda: {"structures": {"a": silicon()}, "reference": silicon()},
    "plotting.plot_training": lambda: {"run": run()},
    "EndpointLoss": lambda: {},
    "ForceLoss": lambda: {},
    "ForceLoss.loss": lambda: {
        "self": bv.ForceLoss(2), "potential": springs(), "references": data()[:1],
    },
    "EndpointLoss.loss": lambda: {
        "self": endpoint(), "potential": springs(), "references": data()[:1],
    },
    "IterateLoss": lambda: {},
    "EquilibriumLoss": lambda: {},
    "RehearsalLoss": lambda: {"potential": springs(), "structures": two()},
    "short_dynamics": lambda: {"potential": springs(), "structures": two(), "steps": 2},
    "PressureRehearsal": lambda: {"potential": of_volume(), "structures": crystal()},
    "Replay": lambda: {"objective": endpoint(), "references": data()[:1]},
    "JitteredStarts": lambda: {},
    "AroundEnd": lambda: {},
    "WithinBasin": lambda: {"starts": bv.AroundEnd(), "potential": springs()},
    "MixedStarts": lambda: {"shares": {bv.AroundEnd(): 1.0}},
    "Draw": lambda: {"seed": 0, "epoch": 0},
    "CosineSchedule": lambda: {},
    "bulk_properties": lambda: {"potential": of_volume(), "crystal": crystal()},
    "compare_bulk": lambda: {"potentials": {"a": of_volume()}, "crystals": {"x": crystal()}},
    "low_rank": lambda: {"potential": linear()},
    "merge_low_rank": lambda: {"potential": bv.low_rank(linear(), 1)},
    "average_weights": lambda: {"potentials": [springs(), network()]},
    "blend": lambda: {"pretrained": springs(), "tuned": network(), "alpha": 0.5},
    "count_evaluations": lambda: {
        "objective": endpoint(), "potential": springs(), "references": data()[:1],
    },
    "TrainingConfig": lambda: {},
    "Recipe": lambda: {},
    "unlabelled_frames": lambda: {
        "potential": springs(), "starts": two(), "relaxer": bv.Relaxer(1.0, 2),
    },
    "own_relaxations": lambda: {
        "potential": springs(), "starts": two(), "relaxer": bv.Relaxer(1000.0, 2),
    },
    "finetune": lambda: {
        "potential": springs(), "data": data()[:1], "objective": endpoint(),
        "config": bv.TrainingConfig(1), "progress": False, "validation": data()[1:2],
    },
}  # fmt: skip

# Passive records, filled by the package itself; what loops over steps calls; what needs a download.
NOT_SWEPT = {
    "Prediction", "GradientDiagnosis", "Relaxation", "Structures", "Run", "Potential", "Landscape",
    "Objective", "StructureError", "DataError", "RunError", "ImplicitError", "ImplicitWarning",
    "DivergenceWarning", "MACE", "SevenNet", "DIEP", "MatGL", "Nequix",
    "plotting.AccessibleFigure", "plotting.WalkerPath",
    "plotting.Ways", "Robustness", "GradientTrace", "define", "landscape_examples", "shipped_runs",
    "read_answers", "Ranks", "data_parallel",
    "shipped_report", "BulkProperties", "WrongEnds", "Dynamics", "Ablation", "stored_ablation",
    "stored_wrong_ends",
    "UpdateRule", "Adjoint", "Starts", "ReferenceStarts",
    "Schedule",
    "ConstantSchedule",
}  # fmt: skip


# --- what each parameter is for ---


def but(*fine: str, of: dict = ANYTHING, **more) -> Kind:
    """Refuses anything but the values named."""
    return Kind({key: value for key, value in of.items() if key not in fine} | more)


ARRAYS = ("a list", "a tensor", "an array")
STRUCTURES = object_of(starts, either=("Atoms",)).plus(
    **{
        "no atoms": Atoms(),
        "strings": ["POSCAR"],
        "mixed": [silicon(), None],
        "a generator": (atoms for atoms in ()),
    }
)
FITTING = STRUCTURES.plus(**{"another number of atoms": starts(atoms=3)})
POTENTIAL = object_of(network).plus(**{"a torch module": torch.nn.Linear(2, 2)})
RULE = object_of(bv.GradientDescent, optional=True).plus(**{"an ASE optimiser": BFGS})
STOP = object_of(bv.StoppingCriterion, optional=True)
ADJOINT = object_of(bv.FullBPTT, optional=True)
SET = object_of(data)
REPORT = object_of(report)
TENSOR = but(*ARRAYS, "an empty list", "nan")
FUNCTION = but("a function", "a class")
A_NAME = choice()
PLACE = but("an int", "nan", beyond=99, before=-99, half=0.5)  # of a structure: index or name
LABEL = Kind({}, {"None": None, "an int": 3})  # shown as it is, and nothing more

KINDS = {
    # numbers
    **dict.fromkeys(
        ["tolerance", "scale", "time_step", "longest_time_step", "cutoff", "times",
         "learning_rate"], POSITIVE,
    ),
    **dict.fromkeys(["max_step", "clip"], POSITIVE.without("None")),
    **dict.fromkeys(["fmax", "max_displacement", "noise_floor"], NOT_NEGATIVE.without("None")),
    **dict.fromkeys(["weight", "damping", "bowl"], NOT_NEGATIVE),
    **dict.fromkeys(["sigma", "sigma_near", "hinge", "rehearsal", "replay"], POSITIVE),
    **dict.fromkeys(["strain", "temperature"], POSITIVE),
    **dict.fromkeys(["sigma_far", "near", "resolution", "rise", "l2_sp", "pressure"], NOT_NEGATIVE),
    "least_curvature": NUMBER.without("None"),
    **dict.fromkeys(["alpha", "share"], NOT_NEGATIVE.plus(**{"1.1": 1.1})),
    "memory": Kind({**NOT_NEGATIVE.without("None").refused, "lots": "lots", "no unit": "1.5"}),
    "average": Kind({**NOT_NEGATIVE.without("None").refused, "1": 1.0}),
    "products": COUNT,
    **dict.fromkeys(["warm_up", "epoch", "kept_steps"], COUNT_OR_0),
    "momentum": NOT_NEGATIVE.plus(**{"1": 1.0}),
    "step_size": POSITIVE.without("a list", "an array", either=True),
    **dict.fromkeys(["max_steps", "steps"], COUNT_OR_0),
    **dict.fromkeys(["iterations", "segment_length", "window", "epochs", "count", "every"], COUNT),
    **dict.fromkeys(["batch_size", "patience"], COUNT.without("None")),
    **dict.fromkeys(["features", "layers", "heads", "pair", "radial", "width"], SIZE),
    "seed": WHOLE,
    **dict.fromkeys(
        ["learnable", "strict", "progress", "from_start", "check", "trajectory", "same_basin",
         "by_group", "equivariant", "net_force_free", "exchangeable", "conservative", "places_matter"], FLAG,
    ),
    # words
    **dict.fromkeys(["name", "description"], TEXT),
    "first": choice("None"),
    **dict.fromkeys(["pictures", "counts"], but(nothing={}, mixed={"a": None})),
    "right": but("a dict", mixed={"a": None}),
    "true_stiffness": POSITIVE,
    **dict.fromkeys(["card", "family", "title", "x_label", "y_label"], LABEL),
    **dict.fromkeys(["before", "after"], choice("None")),
    **dict.fromkeys(["column", "checkpoint"], A_NAME),
    "names": but("None", "a string", "a list", "a dict"),
    **dict.fromkeys(["partial_pbc", "skip_bad"], FLAG),
    "elements": but("None", "a list", unknown=["Xx"]),
    "source": LABEL,
    "device": DEVICE,
    "dtype": DTYPE,
    # tensors
    **dict.fromkeys(
        ["positions", "values", "pairs", "stiffness", "centres", "depths", "widths", "predicted",
         "structure_index", "points", "energy", "forces"], TENSOR,
    ),
    # objects
    **dict.fromkeys(["potential"], POTENTIAL),
    **dict.fromkeys(["structures", "atoms"], STRUCTURES),
    **dict.fromkeys(["a", "b", "start", "end"], FITTING),
    **dict.fromkeys(["references", "others", "all", "data", "training", "held_out"], SET),
    **dict.fromkeys(["report", "other"], REPORT),
    **dict.fromkeys(["structure", "index"], PLACE),
    "objective": object_of(bv.EndpointLoss),
    "validation": object_of(data, optional=True),
    "rule": RULE,
    "stop": STOP,
    "adjoint": ADJOINT,
    "rest": object_of(bv.StoppingCriterion),
    "config": object_of(bv.TrainingConfig, optional=True),
    "ranks": object_of(bv.Ranks, optional=True),
    "examples": but("None", nothing={}, mixed={"a": None}),
    "relaxer": object_of(bv.Relaxer, optional=True),
    "optimizer": object_of(bv.FIRE),
    "implicit": object_of(bv.ImplicitAdjoint),
    "solver": object_of(bv.GMRES, optional=True),
    "starts": object_of(bv.AroundEnd, optional=True),
    "shares": but(nothing={}, mixed={"end": 1.0}, negative={bv.AroundEnd(): -1.0}),
    "schedule": object_of(bv.CosineSchedule),
    **dict.fromkeys(["pretrained", "tuned"], POTENTIAL),
    "draw": object_of(lambda: bv.Draw(0, 0), optional=True),
    "module": object_of(lambda: torch.nn.Linear(2, 2), optional=True),
    "target": object_of(wells),
    "function": FUNCTION,
    **dict.fromkeys(["on_update", "stop_when"], FUNCTION.without("None")),
    "metrics": but("None"),
    "labels": but("None", "an empty list", "a dict"),
    **dict.fromkeys(["path", "folder", "paths", "pairs_of_files"], A_FILE),
    "updates": COUNT,
    "logarithmic": TEXT,
    **dict.fromkeys(["limit", "highest"], POSITIVE),
    "duration": COUNT,
    "step": WHOLE,
    "landscape": object_of(wells),
    "trace": object_of(traced),
    **dict.fromkeys(["truth"], object_of(wells)),
    "run": object_of(run),
    "places": but("None"),
    "force_frames": COUNT_OR_0,
    "viewer": but("None", "a string"),
    "out": TEXT.without("None"),
}  # fmt: skip

SPECIAL = {
    ("plot_one_spring", "steps"): COUNT,
    ("plot_unrolled", "steps"): COUNT.plus(**{"6": 6}),
    ("ReferenceRelaxation", "group"): TEXT,
    ("ReferenceRelaxation", "trajectory"): but("None"),
    ("ReferenceRelaxation.from_ase", "group"): TEXT.without("a function", "a class"),
    ("ReferenceRelaxation.from_ase", "frames"): but(strings=["POSCAR", "CONTCAR"]),
    ("ReferenceRelaxation.frames", "places"): but(
        *ARRAYS, "an empty list", "a dict", beyond=[99], half=[0.5]
    ),
    ("RelaxationDataset", "references"): but("an empty list", mixed=[None]),
    ("DatasetSplits", "development_groups"): but("an empty list", "a dict"),
    ("DatasetSplits", "unlabelled"): object_of(two, optional=True),
    ("Recipe", "unlabelled"): object_of(two, optional=True),
    ("Recipe", "minima"): object_of(data, optional=True),
    ("Recipe", "starts"): object_of(bv.AroundEnd),
    ("Recipe", "schedule"): object_of(bv.CosineSchedule, optional=True),
    ("PressureRehearsal", "structures"): object_of(crystal, either=("Atoms",)),
    ("finetune", "objective"): object_of(bv.EndpointLoss, optional=True),
    ("DatasetSplits.split_of", "group"): TEXT,
    ("evaluate", "potentials"): but(nothing={}, mixed={"a": None}, words="springs"),
    ("push_and_stiffness", "potentials"): but(nothing={}, mixed={"a": None}, words="springs"),
    ("bulk_properties", "crystal"): object_of(crystal),
    ("Playground.of", "potentials"): but(nothing={}, mixed={"a": None}, words="springs"),
    ("compare_bulk", "potentials"): but(nothing={}, mixed={"a": None}, words="springs"),
    ("compare_bulk", "crystals"): but("None", mixed={"a": None}, words="silicon"),
    ("low_rank", "rank"): COUNT,
    ("average_weights", "potentials"): but(mixed=[None], words="springs"),
    ("robustness", "problem"): object_of(walking),
    ("robustness", "step_sizes"): but("a list"),
    ("robustness", "steps"): but("a list"),
    ("robustness", "rules"): but("None", words="fire"),
    ("robustness", "on_cell"): but("None", "a function", "a class"),
    ("robustness", "out"): TEXT.without("None"),
    ("RobustnessMap", "result"): but(),
    ("plotting.plot_heat_maps", "ratios"): but(nothing={}, zero={"a": np.zeros((1, 2))}),
    ("plotting.plot_heat_maps", "rows"): but("a list"),
    ("plotting.plot_heat_maps", "columns"): but(),
    ("plotting.plot_heat_maps", "row_label"): TEXT,
    ("plotting.plot_heat_maps", "column_label"): TEXT,
    ("plotting.plot_heat_maps", "title"): TEXT,
    ("plotting.plot_heat_maps", "strongest"): but("an int"),
    ("plotting.plot_heat_maps", "ways"): but("None"),
    ("Relaxer", "max_steps"): COUNT,
    ("WithinBasin", "starts"): object_of(bv.AroundEnd),
    ("WithinBasin", "tolerance"): POSITIVE,
    ("WithinBasin", "fmax"): POSITIVE.without("None").refusals(),
    ("WithinBasin", "max_steps"): COUNT,
    ("Report", "rows"): but("an empty list", mixed=[None]),
    ("Report", "relaxations"): but("None", "an empty list", "a dict"),
    ("Report", "rest_paths"): but("None", "an empty list", "a dict"),
    ("Report", "references"): but("None", "an empty list", "a dict"),
    ("Report", "rests"): but("None", "an empty list", "a dict"),
    ("Report", "force_errors"): but("None", "an empty list", "a dict"),
    ("Report.column", "name"): A_NAME,
    **{
        (f"Report.{method}", "potential"): A_NAME
        for method in ("row", "column", "mean", "relaxation")
    },
    ("Relaxation.from_frames", "frames"): but(strings=["POSCAR"], unlabelled=[silicon()]),
    ("ForceLoss", "frames"): COUNT,
    ("EquilibriumLoss", "stiffness"): POSITIVE,
    ("CosineSchedule", "updates"): COUNT.without("None").refusals(),
    ("CosineSchedule", "warm_up"): COUNT_OR_0,
    ("Draw", "seed"): COUNT_OR_0,
    ("force_error", "reference"): TENSOR,
    **{
        (name, "group"): but(
            "a class", "a function", "a list", "a dict", numbers=[1, 2], too_many=["a", "b", "c"]
        )
        for name in ("read_relaxations", "read_pairs")
    },
    ("read_relaxations", "format"): but("None", "a string", unknown="nonsense"),
    ("read_pairs", "format"): but("None", "a string", unknown="nonsense"),
    ("unlabelled_frames", "starts"): STRUCTURES,
    ("own_relaxations", "starts"): STRUCTURES,
    ("read_pairs", "pairs"): but(strings=["a", "b"], one=[("a",)], missing=[("a", "b")]),
    ("read_benchmark", "folder"): A_FILE.without("a folder", either=True),
    ("load_run", "potential"): POTENTIAL.without("None"),
    ("Run.export", "folder"): but("a string", "bytes", "None", "a number", nothing=""),
    ("Run.export", "pretrained"): POTENTIAL.without("None"),
    ("Report.to_csv", "path"): but(
        "None", "a string", "bytes", nowhere="no/such/folder/x.csv", a_folder="."
    ),
    ("Report.to_chemiscope", "path"): A_FILE.plus(kind="ends.csv"),
    ("benchmark", "data"): object_of(splits),
    ("benchmark", "recipe"): object_of(PaperRecipe, optional=True),
    ("benchmark", "folds"): COUNT.without("None").plus(one=1),
    ("benchmark", "seen"): but("an empty list", "a list", "a dict"),
    ("benchmark", "learning_rates"): but(
        "None", "an empty list", zero=[0.0], negative=[-1.0], nans=[float("nan")], words=["x"]
    ),
    ("benchmark", "methods"): but(unknown=["magic"]),
    ("benchmark", "only"): but("None", "an empty list", *ARRAYS, beyond=[9], words=["x"]),
    ("benchmark", "about"): but("None", "a dict"),
    ("benchmark", "out"): TEXT,
    ("LandscapeExample", "start"): but(three=(1, 2, 3), nans=(float("nan"), 0.0)),
    ("LandscapeExample", "target"): but(three=(1, 2, 3), nans=(float("nan"), 0.0)),
    ("LandscapeExample", "window"): but(),
    ("FoggyValley.train", "learning_rate"): POSITIVE.without("None").refusals(),
    ("FoggyValley.train", "updates"): COUNT.refusals(),
    ("plotting.animate_relaxations", "duration"): COUNT.refusals(),
    ("TrainingMonitor", "out"): TEXT,
    ("plotting.animate_relaxations", "path"): but(
        "a string", "bytes", nowhere="no/such/x.gif", a_folder="."
    ),
    ("plotting.plot_costs", "costs"): but(mixed=[{}], words=["x"]),
    ("plotting.plot_dose", "rows"): but(mixed=[{}], words=["x"]),
    ("plotting.plot_front", "rows"): but(mixed=[{}], words=["x"]),
    ("plotting.plot_growth", "rows"): but(mixed=[{}], words=["x"]),
    ("plotting.plot_curves", "values"): but(
        nothing={}, empty={"a": ([], [])}, uneven={"a": ([1], [1, 2])}
    ),
    ("plotting.plot_curves", "floor"): but("None", words=("x", "y")),
    ("plotting.plot_dataset", "data"): object_of(splits),
    ("plotting.plot_error_plane", "after"): but("None", "an empty list"),
    ("ErrorPlane", "after"): but("None", "an empty list"),
    ("plotting.plot_force_errors", "models"): but(nothing={}, mixed={"a": None}),
    ("plotting.plot_landscapes", "paths"): but("None", "an empty list", mixed=[None]),
    ("plotting.plot_force_errors", "paths"): but("None", "an empty list", mixed={"a": [None]}),
    **{
        (f"plotting.{name}", "targets"): but("an empty list", words=["x"], three=[(1, 2, 3)])
        for name in ("plot_landscapes", "plot_force_errors")
    },
    **{
        (f"plotting.{name}", "window"): but("None")
        for name in ("plot_landscapes", "plot_force_errors")
    },
    ("plotting.plot_landscapes", "basins"): but("None"),
    ("plotting.plot_landscapes", "landscapes"): but(nothing={}, mixed={"a": None}),
    ("plotting.plot_forces", "atoms"): but("Atoms", nothing=Atoms()),
    ("plotting.plot_forces", "by"): but(nothing={}, shape={"a": np.ones((3, 3))}),
    ("plotting.plot_gradient", "diagnoses"): but(nothing={}, mixed={"a": None}),
    ("plotting.plot_gradient", "factors"): but("None"),
    ("plotting.plot_gradient", "limits"): but("None", turned=(1.0, 0.1), one=(1.0,)),
    ("plotting.plot_parity", "forces"): but(
        nothing={}, shape={"a": (np.ones((3, 3)), np.ones((4, 3)))}
    ),
    ("plotting.plot_parity", "reference"): LABEL,
    ("plotting.plot_snapshots", "structures"): but(
        nothing={}, mixed={"a": None}, other={"a": Atoms("H")}
    ),
    ("plotting.plot_snapshots", "reference"): but(nothing=Atoms()),
    ("Springs", "rest"): TENSOR,
    ("Springs.frustrated", "atoms"): SIZE,
    ("Structures.to", "device"): DEVICE.without("None"),
}


# --- the sweep ---


def public() -> dict[str, object]:
    """Every name of the stub that can be called, and the methods of its classes."""
    found = {}
    for prefix, room in ("", bv), ("plotting.", bv.plotting):
        for node in ast.walk(ast.parse(Path(room.__file__).with_suffix(".pyi").read_text())):
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                thing = getattr(room, alias.name)
                if callable(thing):
                    found[prefix + alias.name] = thing
    return found


PUBLIC = public()


def parameters(name: str) -> tuple[object, dict[str, inspect.Parameter]]:
    thing = bv
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing, dict(inspect.signature(thing).parameters)


def kind_of(name: str, parameter: str) -> Kind:
    return SPECIAL.get((name, parameter)) or KINDS[parameter]


def faults(name: str) -> tuple[list[str], int]:
    """What is wrong with a public name's answers to bad inputs, and how many were tried."""
    call, known = parameters(name)
    good = CALLS[name]()
    found, tried = [], 1
    first = fault(partial(call, **good), "answer")
    if first:
        return [f"{name} with good arguments: {first}"], 1
    for parameter, about in known.items():
        if parameter == "self" or about.kind is about.VAR_KEYWORD:
            continue
        kind = kind_of(name, parameter)
        usual = good.get(parameter, about.default)
        usual = None if usual is about.empty else usual
        cases = [("refuse", kind.refused), ("either", kind.either), ("answer", kind.taken(usual))]
        for has_to, values in cases:
            for label, value in values.items():
                said = fault(partial(call, **{**good, parameter: value}), has_to)
                tried += 1
                if said:
                    found.append(f"{name}({parameter}={nice(value)}) [{label}]: {said}")
    return found, tried


@pytest.mark.parametrize("name", [name for name in CALLS if CALLS[name]])
def test_bad_arguments_are_refused_in_words(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a name is taken for a folder, it is made here
    found, _ = faults(name)
    assert not found, "\n" + "\n".join(found)


def test_every_public_name_is_swept():
    missing = [name for name in PUBLIC if name not in CALLS and name not in NOT_SWEPT]
    assert missing == []


# --- files ---


def _cut(path):
    text = Path(path_of_frames()).read_text()
    path.write_text(text[: int(0.9 * len(text))])


def _bomb(path):
    """Four gigabytes in half a megabyte: streams of xz may follow each other."""
    path.write_bytes(64 * lzma.compress(bytes(64 << 20), preset=0))


BAD_FILES = {
    "missing.extxyz": lambda path: None,
    "empty.extxyz": lambda path: path.touch(),
    "folder.extxyz": lambda path: path.mkdir(),
    "truncated.extxyz": _cut,
    "binary.extxyz": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 40),
    "words.txt": lambda path: path.write_text("not what anybody expects\n" * 9),
    "other.json": lambda path: path.write_text('{"a": 1}'),
    "OUTCAR": lambda path: path.write_text("not what anybody expects\n" * 9),
    "POSCAR": lambda path: path.write_text("not what anybody expects\n" * 9),
    "frames.traj": lambda path: path.write_bytes(b"- of Ulm" + bytes(99)),
    "structure.cif": lambda path: path.write_text("data_x\nloop_\n_a\n"),
    "vasprun.xml": lambda path: path.write_text("<modeling><kpoints>"),
    "no_xz.extxyz.xz": lambda path: path.write_text("plain"),
    "no_gz.extxyz.gz": lambda path: path.write_text("plain"),
    "huge.extxyz.xz": _bomb,
    "dangling.extxyz": lambda path: path.symlink_to("nowhere"),
    "run.safetensors": lambda path: path.write_bytes(b"\xff" * 8 + b"{}"),
    "weights.pth.tar": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(99)),
    "a\nname.extxyz": lambda path: path.write_text("3\n"),
}

READERS = {
    "read_relaxations": bv.read_relaxations,
    "read_pairs": lambda path: bv.read_pairs([(path, path)]),
    "Report.from_csv": bv.Report.from_csv,
    "load_run": bv.load_run,
    "read_benchmark": bv.read_benchmark,
    "TrainingMonitor.of": bv.TrainingMonitor.of,
    "CHGNet": lambda path: bv.CHGNet(str(path)),
    "relax": lambda path: bv.relax(springs(), path),
    "finetune": lambda path: bv.finetune(springs(), path, endpoint(), epochs=1, progress=False),
    "finetune, out": lambda path: bv.finetune(
        springs(), data()[:1], endpoint(), epochs=1, progress=False, out=path / "beyond"
    ),
    "evaluate": lambda path: bv.evaluate({"a": springs()}, path, progress=False),
}
FINE = {("read_benchmark", "folder.extxyz")} | {
    ("finetune, out", name) for name in ("missing.extxyz", "folder.extxyz", "dangling.extxyz")
}


@cache
def bad_files():
    there = folder() / "bad files"
    there.mkdir()
    for name, make in BAD_FILES.items():
        make(there / name)
    return there


def file_faults(reader):
    found = []
    for name in BAD_FILES:
        path = bad_files() / name
        has_to = "either" if (reader, name) in FINE else "refuse"
        said = fault(lambda path=path: READERS[reader](path), has_to)
        found += [f"{reader}(path={name}) [{name}]: {said}"] if said else []
    return found


@pytest.mark.parametrize("reader", READERS)
def test_bad_files_are_refused_in_words(reader):
    assert not file_faults(reader)


# --- the command line ---

COMMAND_LINES = """
relax {xyz} --potential {run} --out {out} --fmax nan
relax {xyz} --potential {run} --out {out} --fmax -1
relax {xyz} --potential {run} --out {out} --fmax inf
relax {xyz} --potential {run} --out {out} --fmax x
relax {xyz} --potential {run} --out {out} --steps -1
relax {xyz} --potential {run} --out {out} --steps 1e3
relax {xyz} --potential {run} --out {out} --rule gradient-descent --step-size 0
relax {xyz} --potential {run} --out {out} --rule gradient-descent --step-size nan
relax {xyz} --potential {run} --out {out} --rule heavy-ball --step-size inf
relax {xyz} --potential {run} --out {out} --rule magic
relax {xyz} --potential {run} --out {out} --index nonsense
relax {xyz} --potential {run} --out {out} --index 99
relax {xyz} --potential {run} --out {out} --index 5:2
relax {xyz} --potential {run} --out {out} --device gpu
relax {xyz} --potential {run} --out {out} --device cuda:99
relax {xyz} --potential {run} --out {out} --device mps
relax {xyz} --potential {run} --out {out} --device cpu:x
relax {xyz} --potential {run} --out {out} --threads -1
relax {xyz} --potential {run} --out {out} --threads 0.5
relax {xyz} --potential {run} --out {xyz}
relax {xyz} --potential {run} --out {xyz}/below
relax {xyz} --potential {run} --out ''
relax {xyz} --potential {run} --out /proc/nowhere
relax {xyz} {xyz} --potential {run} --out {out}
relax {missing} --potential {run} --out {out}
relax {empty} --potential {run} --out {out}
relax {binary} --potential {run} --out {out}
relax {folder} --potential {run} --out {out}
relax {cut} --potential {run} --out {out}
relax '' --potential {run} --out {out}
relax --potential {run} --out {out}
relax {xyz} --out {out}
relax {xyz} --potential {run}
relax {xyz} --potential magic --out {out}
relax {xyz} --potential '' --out {out}
relax {xyz} --potential {folder} --out {out}
relax {xyz} --potential {damaged} --out {out}
relax {xyz} --potential {binary} --out {out}
relax {xyz} --potential chgnet:9 --out {out}
relax {xyz} --potential chgnet:{binary} --out {out}
relax {xyz} --potential painn:{binary} --out {out}
relax {xyz} --potential transformer:x --out {out}
relax {xyz} --potential mace: --out {out}
relax {xyz} --potential mace:{binary} --out {out}
relax {xyz} --potential mace:{missing} --trust --out {out}
relax {xyz} --potential mace:{binary} --trust --out {out}
relax {xyz} --potential sevennet: --out {out}
relax {xyz} --potential sevennet:{binary} --out {out}
relax {xyz} --potential :x --out {out}
finetune --potential {run} --out {out}
finetune {xyz} --dataset crystals --potential {run} --out {out}
finetune --dataset nonsense --potential {run} --out {out}
finetune {xyz} --pairs --potential {run} --out {out}
finetune {xyz} {empty} --pairs --potential {run} --out {out}
finetune {missing} --potential {run} --out {out}
finetune {empty} --potential {run} --out {out}
finetune {binary} --potential {run} --out {out}
finetune {xyz} {xyz} --potential {run} --out {out}
finetune {xyz} --validation {missing} --potential {run} --out {out}
finetune {xyz} --validation {empty} --potential {run} --out {out}
finetune {xyz} --potential {run} --out {out} --epochs 0
finetune {xyz} --potential {run} --out {out} --epochs -1
finetune {xyz} --potential {run} --out {out} --epochs nan
finetune {xyz} --potential {run} --out {out} --learning-rate 0
finetune {xyz} --potential {run} --out {out} --learning-rate nan
finetune {xyz} --potential {run} --out {out} --learning-rate -1e-3
finetune {xyz} --potential {run} --out {out} --learning-rate inf
finetune {xyz} --potential {run} --out {out} --learning-rate 1e30
finetune {xyz} --potential {run} --out {out} --batch-size 0
finetune {xyz} --potential {run} --out {out} --patience 0
finetune {xyz} --potential {run} --out {out} --patience 3
finetune {xyz} --potential {run} --out {out} --seed x
finetune {xyz} --potential {run} --out {out} --steps 0
finetune {xyz} --potential {run} --out {out} --step-size -0.1
finetune {xyz} --potential {run} --out {out} --step-size nan
finetune {xyz} --potential {run} --out {out} --forces nan
finetune {xyz} --potential {run} --out {out} --forces -1
finetune {xyz} --potential {run} --out {out} --forces-only --frames 0
finetune {xyz} --potential {run} --out {out} --adjoint magic
finetune {xyz} --potential {run} --out {out} --adjoint guided --window 0
finetune {xyz} --potential {run} --out {out} --adjoint guided --weight -1
finetune {xyz} --potential {run} --out {out} --adjoint guided --weight nan
finetune {xyz} --potential {run} --out {out} --epochs 1 --export {folder}
finetune {xyz} --potential {run} --out {out} --epochs 1 --export {out}/no/such/file
finetune {xyz} --potential {run} --out {damaged}
finetune {xyz} --potential {run} --out {xyz}
evaluate --out {out}
evaluate --potential {run} --out {out}
evaluate {xyz} --out {out}
evaluate {missing} --potential {run} --out {out}
evaluate {xyz} --potential {run} {run} --out {out}
evaluate {xyz} --potential {run} --out {out} --part val
evaluate {xyz} --potential {run} --out {out} --ends si-defects-dense
evaluate --dataset si-defects --ends nonsense --potential {run} --out {out}
evaluate --dataset si-defects --part magic --potential {run} --out {out}
evaluate --dataset crystals --potential {run} --out {out}
evaluate {xyz} --potential {run} --out {out} --fmax -1
evaluate {xyz} --potential {run} --out {out} --fmax nan
evaluate {xyz} --potential {run} --out {out} --rest-steps 0
evaluate {xyz} --potential {run} --out {out} --rest-steps -5
evaluate {xyz} --potential {run} --out {out} --steps -1
evaluate {xyz} --potential {run} --out {out} --step-size 0
evaluate {xyz} --potential {run} --out {spoilt}
evaluate {xyz} --potential {run} --out {xyz}
benchmark --potential magic --out {out}
benchmark --potential chgnet --dataset nonsense --out {out}
benchmark --potential chgnet --folds 0 --out {out}
benchmark --potential chgnet --folds 1 --out {out}
benchmark --potential chgnet --folds 9999 --out {out}
benchmark --potential chgnet --only 9 --out {out}
benchmark --potential chgnet --methods magic --out {out}
benchmark --potential chgnet --epochs 0 --out {out}
benchmark --potential chgnet --learning-rate 0 --out {out}
benchmark --potential chgnet --learning-rate nan 1e-3 --out {out}
benchmark --potential chgnet --steps 0 --out {out}
benchmark --potential chgnet --out {xyz}
cross-validate --checkpoint 9 --out {out}
cross-validate --dataset nonsense --out {out}
cross-validate --folds 0 --out {out}
cross-validate --folds 1 --out {out}
cross-validate --folds 9999 --out {out}
cross-validate --only 99 --out {out}
cross-validate --only -1 --out {out}
cross-validate --epochs -1 --out {out}
cross-validate --learning-rate nan --out {out}
cross-validate --step-size 0 --out {out}
cross-validate --out {xyz}
cost --steps 0 --out {out}
cost --steps -5 --out {out}
cost --steps 5 5 --repeats 0 --out {out}
cost --steps x --out {out}
cost --out {xyz}
speed --rows magic --out {out}
speed --repeats 0 --out {out}
speed --structures 0 --out {out}
speed --fmax nan --rows rest --out {out}
speed --mace nowhere.model --rows steps --out {out}
speed --out {xyz}
submit --out {out}
submit --each seeds --out {out} -- magic --seeds 1
submit --each seeds --out {out} -- trial --parts test
submit --each seeds --gpus -1 --out {out} -- trial --seeds 0
basins --seeds 0 --out {out}
basins --seeds -1 --out {out}
basins --problem magic --out {out}
basins --out {xyz}
magic --out {out}
--out {out}
"""


@cache
def places():
    """What command lines are about, good and bad."""
    there = {"xyz": path_of_frames(), "run": str(run().path)}
    names = {"missing": "missing.extxyz", "empty": "empty.extxyz", "binary": "binary",
             "cut": "truncated.extxyz", "folder": "folder.extxyz"}  # fmt: skip
    there |= {word: str(bad_files() / name) for word, name in names.items()}
    for word, file in (("damaged", "run.safetensors"), ("spoilt", "settings.json")):
        there[word] = str(folder() / word)
        Path(there[word]).mkdir()
        (folder() / word / file).write_text("{")
    return there


def line_fault(line, out):
    """What is wrong with how a command line ends; ""."""
    arguments = [part.format(**places(), out=out) for part in shlex.split(line)]
    said = io.StringIO()
    try:
        with time_limit(), warnings.catch_warnings(), redirect_stderr(said):
            warnings.simplefilter("ignore")
            with redirect_stdout(io.StringIO()):
                status = main(arguments)
    except SystemExit as stopped:
        status = stopped.code
    except Hang as hang:
        return str(hang)
    except Exception as error:
        return describe(error)
    last = said.getvalue().strip().splitlines()[-1:] or [""]
    if status not in (1, 2) or len(last[0]) < 20 or "Traceback" in said.getvalue():
        return f"status {status}, {last[0]!r}"
    return ""


@pytest.mark.parametrize("line", COMMAND_LINES.strip().splitlines())
def test_bad_command_lines_end_in_a_sentence(line, tmp_path):
    assert line_fault(line, tmp_path / "out") == ""
