"""How time and memory of one gradient grow with atoms, structures and steps."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bpttviz._files import read_json, write_atomic
from bpttviz.experiments.cost import gradient, silicon_of
from bpttviz.experiments.machine import require_this_machine, same_threads
from bpttviz.potentials.pretrained.chgnet import CHGNet
from bpttviz.profiling import Meter, memory_now
from bpttviz.relaxation.adjoints.unrolled import CheckpointedBPTT
from bpttviz.structures import concatenate


@dataclass(frozen=True)
class Size:
    """One gradient's size.

    Attributes:
        series: what grows: "atoms", "structures" or "steps".
        atoms: of each structure: silicon, 8 n³ atoms.
        structures: in one relaxation.
        steps: K.
    """

    series: str
    atoms: int = 64
    structures: int = 1
    steps: int = 5

    @property
    def grown(self) -> int:
        """The number that the series is about."""
        return {"atoms": self.atoms, "structures": self.structures, "steps": self.steps}[
            self.series
        ]


SIZES = (
    *(Size("atoms", atoms=n) for n in (8, 64, 216, 512, 1000)),
    *(Size("structures", atoms=8, structures=n) for n in (1, 4, 16, 64)),
    *(Size("steps", steps=n) for n in (5, 10, 20, 40, 80, 160)),
)


def measure_growth(
    file: str | Path, sizes: Sequence[Size] = SIZES, device: str = "cpu"
) -> list[dict]:
    """Measure gradients of CHGNet by `CheckpointedBPTT`, each in a fresh process.

    Args:
        file: JSON, written after each one; those that it has are not done again.
        sizes: which.
        device: where.

    Returns:
        One dict a size on this device: ``size`` (its fields), ``device``, ``machine``, ``seconds``,
        and ``growth_bytes`` beyond the process before.

    Raises:
        ValueError: the file is damaged, or of another machine.
    """
    file = Path(file)
    rows: list[dict] = read_json(file) if file.exists() else []
    here = require_this_machine(rows, file, device)
    done = {(Size(**row["size"]), row["device"]) for row in rows}
    for size in sizes:
        if (size, device) in done:
            continue
        command = [sys.executable, "-m", __name__, json.dumps(asdict(size)), device]
        found = subprocess.run(command, capture_output=True, text=True, env=same_threads())
        if found.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{found.stderr[-2000:]}")
        rows.append({**json.loads(found.stdout.splitlines()[-1]), "machine": here})
        write_atomic(file, json.dumps(rows, indent=1) + "\n")
    return [row for row in rows if row["device"] == device]


def _measured(size: Size, device: str) -> dict:
    potential = CHGNet(device=device)
    start, end = (concatenate([one] * size.structures).to(device) for one in silicon_of(size.atoms))
    potential(start[0])  # what is loaded or compiled on first use is not the gradient's cost
    held = memory_now(device)
    with Meter(device) as meter:
        gradient(potential, start, end, CheckpointedBPTT(), size.steps)
    return {
        "size": asdict(size),
        "device": device,
        "seconds": meter.seconds,
        "growth_bytes": meter.peak_bytes - held,
    }


if __name__ == "__main__":  # a fresh process of `measure_growth`
    print(json.dumps(_measured(Size(**json.loads(sys.argv[1])), sys.argv[2])))
