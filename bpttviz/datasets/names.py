"""Names of relaxations, from those of their files."""

from __future__ import annotations

from pathlib import Path

# ASE takes a file for VASP's by these words anywhere in its name.
VASP = ("POSCAR", "CONTCAR", "OUTCAR", "XDATCAR")


def unique_names(files: list[Path]) -> list[str]:
    """A name for each file: its own; with as many folders before it as tell all apart.

    Raises:
        ValueError: a file is listed twice.
    """
    whole = [file.resolve() for file in files]
    twice = [file for number, file in enumerate(whole) if file in whole[:number]]
    if twice:
        raise ValueError(f"{twice[0]} is listed twice")
    # In lower case, so that a file of that name is not taken for VASP's.
    stems = [file.name.split(".")[0] for file in files]
    stems = [s.lower() if any(word in s for word in VASP) else s for s in stems]
    depth = 1
    while True:
        names = [
            "-".join([*file.parts[-depth:-1], stem])
            for file, stem in zip(whole, stems, strict=True)
        ]
        if len(set(names)) == len(names):
            return names
        if depth > max(len(file.parts) for file in whole):  # only their endings differ
            return ["-".join(file.parts[1:]) for file in whole]
        depth += 1
