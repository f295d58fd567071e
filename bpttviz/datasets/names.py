"""Names of relaxations and groups: from those of their files, and fit for tables and figures."""

from __future__ import annotations

import os
from pathlib import Path

# ASE takes a file for VASP's by these words anywhere in its name.
VASP = ("POSCAR", "CONTCAR", "OUTCAR", "XDATCAR")


def unique_names(files: list[Path]) -> list[str]:
    """A name for each file: its own up to a dot; with as many folders before it as tell all apart.

    They are cleaned (`clean_name`). Names of VASP's files are written small ("a/OUTCAR",
    "b/OUTCAR": a-outcar, b-outcar), so that nothing named after them is taken for one. Files that
    no folder tells apart keep all after the dot.

    Raises:
        ValueError: a file is listed twice.
    """
    met: set[str] = set()
    for file in files:
        there = os.path.realpath(file)  # a link in a circle stays as it is
        if there in met:
            raise ValueError(f"{there} is listed twice")
        met.add(there)
    # A link's own name: what it leads to may be called after its content, in a store of files.
    whole = [Path(os.path.abspath(file)) for file in files]
    deepest = max((len(file.parts) for file in whole), default=0)
    for own in (lambda file: file.name.split(".")[0], lambda file: file.name):
        last = [_small(own(file)) for file in whole]
        for depth in range(deepest):
            pairs = zip(whole, last, strict=True)
            names = [
                clean_name("-".join([*file.parts[-1 - depth : -1], name])) for file, name in pairs
            ]
            if len(set(names)) == len(names) and all(names):
                return names
    return [clean_name(str(file)) for file in whole]  # that differ in capitals only, some of VASP's


def clean_name(name: str) -> str:
    """The name without what tables, figures and terminals take for something else.

    Line ends and other unprintable characters break tables and terminals, ``$`` begins a formula
    in a figure, and a leading ``=``, ``+``, ``-`` or ``@`` one in a spreadsheet.
    """
    printable = "".join(c if c.isprintable() and c != "$" else "_" for c in name)
    return printable.strip().lstrip("=+-@ ")


def require_clean(what: str, name: str) -> None:
    """Refuse a name that would be taken for something else.

    Raises:
        TypeError: not a string.
        ValueError: empty, or see `clean_name`.
    """
    if not isinstance(name, str):
        raise TypeError(f"a relaxation's {what} must be a string, got {name!r}")
    if not name:
        raise ValueError(f"a relaxation's {what} must not be empty")
    if clean_name(name) != name:
        raise ValueError(
            f"a relaxation's {what} must not hold $ or unprintable characters, nor begin with "
            f"=, +, - or @ (figures and tables take them for something else): call {name!r} "
            f"{clean_name(name) or 'otherwise'!r}"
        )


def _small(name: str) -> str:
    return name.lower() if any(word in name for word in VASP) else name
