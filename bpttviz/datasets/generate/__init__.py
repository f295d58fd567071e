"""The generator of the shipped relaxations: seeded starts, relaxed by an ASE calculator.

Needs numpy and ASE (3.22 or later) and the chosen engine, not torch: Debian's GPAW lives in the
system's Python. `python -m bpttviz.datasets.generate --help` is its command line. In reading order:

    mpi             one process of several speaks
    engines         what computes energies and forces, in which stages
    hessians        what a relaxation knows of the curvature to begin with
    spacing         no two atoms too close
    defects         point defects, put into silicon in place
    silicon         SILICON_DEFECTS: starts with a defect in 64-site silicon
    prototypes      small ordered crystals
    crystals        CRYSTALS: starts of small crystals, strained and displaced
    relaxation      from a start through an engine's stages to rest
    files           whole files only, one kind of label in a folder
    production      a relaxation made, continued or restarted as a file
    __main__        the command line

Largest force, Delta Q and what frames say of themselves: `bpttviz.datasets.labels`.
"""

from bpttviz.datasets.generate.crystals import CRYSTALS
from bpttviz.datasets.generate.engines import CHGNetEngine, EMTEngine, Engine, GPAWEngine, Stage
from bpttviz.datasets.generate.files import SettingsMismatch
from bpttviz.datasets.generate.production import produce
from bpttviz.datasets.generate.relaxation import NotAtRest, relax
from bpttviz.datasets.generate.silicon import SILICON_DEFECTS

__all__ = [
    "CRYSTALS",
    "SILICON_DEFECTS",
    "CHGNetEngine",
    "EMTEngine",
    "Engine",
    "GPAWEngine",
    "NotAtRest",
    "SettingsMismatch",
    "Stage",
    "produce",
    "relax",
]
