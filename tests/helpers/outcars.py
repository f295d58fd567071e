"""A tiny OUTCAR in VASP's layout, made up: two silicon atoms, three ionic steps."""

PLACES = (0.1, 0.05, 0.0)
FORCES = (0.9, 0.4, 0.02)
LINE = "-" * 30


def outcar(
    unconverged=(), silent=(), learned=(), overflow=(), most=60, ibrion=2, allowed=50, at_rest=True
):
    """The text; ionic steps count from 1.

    Args:
        unconverged: steps that say that EDIFF was not reached.
        silent: steps that used all electronic steps and say nothing, as older versions do.
        learned: steps of the machine-learned force field.
        overflow: steps with a force too long for its columns.
        most: NELM.
        ibrion, allowed: IBRION and NSW.
        at_rest: the relaxation says that it reached EDIFFG.
    """
    lines = [
        " vasp.6.3.0 (made up)", *[" POTCAR:    PAW_PBE Si 05Jan2001"] * 2,
        "   k-points           NKPTS =      1   k-points in BZ     NKDIM =      1   number of bands"
        "    NBANDS=      1",
        f"   NELM   = {most:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps",
        f"   NSW    = {allowed:6d}    number of steps for IOM",
        f"   IBRION = {ibrion:6d}    ionic relax: 0-MD 1-quasi-New 2-CG",
        "   ISPIN  =      1    spin polarized calculation?", "   ions per type =              2",
        " k-points in reciprocal lattice and weights: x",
        "   0.00000000  0.00000000  0.00000000       1.000", "",
    ]  # fmt: skip
    for step, (place, force) in enumerate(zip(PLACES, FORCES, strict=True), 1):
        long = step in unconverged or step in silent
        lines += [
            f"{LINE} Iteration {step:6d}({i:4d})  {LINE}" for i in range(1, most + 1 if long else 4)
        ]
        if step in unconverged:
            lines.append(f"{LINE} aborting loop EDIFF was not reached (unconverged)  {LINE}")
        elif step not in silent:
            lines.append(f"{LINE} aborting loop because EDIFF is reached {LINE}")
        lines += _step(place, force, -10 - step / 10, step in learned, step in overflow)
    if at_rest:
        lines.append(" reached required accuracy - stopping structural energy minimisation")
    return "\n".join(lines) + "\n"


def _step(place, force, energy, learned, overflow):
    lines = ["      direct lattice vectors                 reciprocal lattice vectors"]
    for axis in range(3):
        row = [5.43 * (axis == i) for i in range(3)] + [(axis == i) / 5.43 for i in range(3)]
        lines.append("   " + "".join(f"{x:13.9f}" for x in row))
    mark = " (ML)" if learned else ""
    lines += ["", f" POSITION {'TOTAL-FORCE (eV/Angst)':>50}{mark}", f" {LINE * 3}"]
    for x, f in (((place, 0, 0), -force), ((1.3575,) * 3, force)):
        columns = "*" * 14 if overflow else f"{f:14.6f}"
        numbers = "".join(f"{a:13.5f}" for a in x)
        lines.append(f"{numbers} {columns}{0:14.6f}{0:14.6f}")
    ml = "ML " if learned else ""
    between = " ML " if learned else "   "
    return [
        *lines, f" {LINE * 3}", f"  {ml}FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)", f"  {LINE}",
        f"  free  energy{between}TOTEN  = {energy:18.8f} eV", "",
        f"  {ml}energy  without entropy= {energy:16.8f}  {ml}energy(sigma->0) = {energy:16.8f}", "",
    ]  # fmt: skip


def poscar(first="T T T", second="T T T"):
    """The same two atoms with selective dynamics."""
    return (
        "Si\n1.0\n5.43 0 0\n0 5.43 0\n0 0 5.43\nSi\n2\nSelective dynamics\nDirect\n"
        f"0.02 0 0 {first}\n0.25 0.25 0.25 {second}\n"
    )
