"""Names of relaxations, from those of their files."""

from __future__ import annotations

from pathlib import Path

# ASE takes a file for VASP's by these words anywhere in its name.
VASP = ("POSCAR", "CONTCAR", "OUTCAR", "XDATCAR")


def unique_names(files: list[Path]) -> list[str]:
    """A name for each file: its own up to a dot; with as many folders before it as tell all apart.

    Names of VASP's files are written small ("a/OUTCAR", "b/OUTCAR": a-outcar, b-outcar), so that
    nothing named after them is taken for one. Files that no folder tells apart keep all after the
    dot.

    Raises:
        ValueError: a file is listed twice.
    """
    whole = [file.resolve() for file in files]
    twice = [file for number, file in enumerate(whole) if file in whole[:number]]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice")
    deepest = max((len(file.parts) for file in whole), default=0)
    for own in (lambda file: file.name.split(".")[0], lambda file: file.name):
        last = [_small(own(file)) for file in whole]
        for depth in range(deepest):
            pairs = zip(whole, last, strict=True)
            names = ["-".join([*file.parts[-1 - depth : -1], name]) for file, name in pairs]
            if len(set(names)) == len(names):
                return names
    return [str(file) for file in whole]  # that differ in capitals only, some of VASP's


def _small(name: str) -> str:
    return name.lower() if any(word in name for word in VASP) else name
