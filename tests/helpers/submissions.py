"""Submissions of a class: the solution, empty copies, plausible mistakes, and broken files."""

from pathlib import Path

import nbformat

# What is written instead of what, and what it costs by question; everything else stays right.
MISTAKES = {
    "A1": {
        "uphill": (
            [("return x + eta * -k * (x - s)", "return x + eta * k * (x - s)")],
            {"q1": 1},
        ),
        "sensitivity_stands_still": ([("        sensitivity *= 1 - eta * k\n", "")], {"q4": 4}),
        "true_stiffness_is_best": (
            [("return 1 / eta", "return 2 / eta"), ('["b"] = False', '["b"] = True')],
            {"q6": 1.5},
        ),
    },
    "A2": {
        "one_sided": (
            [
                (
                    "stats.binomtest(worse, judged)",
                    'stats.binomtest(worse, judged, alternative="less")',
                )
            ],
            {"q2": 3},
        ),
        "groups_ignored": (
            [
                (
                    "pd.Series(np.asarray(changes)).groupby(np.asarray(groups)).mean().to_numpy()",
                    "np.asarray(changes)",
                )
            ],
            {"q3": 4},
        ),
        "means_decide": (
            [("if any(low <= 0 <= high for low, high in (end, force)):", "if False:")],
            {"q4": 1},
        ),
    },
    "A3": {
        "three_at_once": (
            [
                ("    return found\n", "    return found.T\n"),
                ("return float(abs(np.linalg.eigvals(matrix)).max())", "return abs(1 - pull)"),
                (
                    "tuned = train(challenge.training, **settings)",
                    "tuned = copy.deepcopy(pretrained)",
                ),
                ("part = train(challenge.training[:8], **settings)", "part = pretrained"),
                ("estimate = max(0.5 * held_out, ", "estimate = max(held_out, "),
            ],
            {"q1": 3, "q2": 2, "q4": 8},
        ),
    },
}


def mistaken(solution: Path, replacements, target: Path) -> Path:
    """The solution with a mistake; every replacement has to be found."""
    notebook = nbformat.read(solution, as_version=4)
    for old, new in replacements:
        hits = [cell for cell in notebook.cells if old in cell.source + "\n"]
        assert len(hits) == 1, f"{old!r} is in {len(hits)} cells of {solution.name}"
        hits[0].source = (hits[0].source + "\n").replace(old, new).rstrip("\n")
    nbformat.write(notebook, target)
    return target


def with_cell(source: Path, code: str, target: Path) -> Path:
    """A copy with one more cell in front."""
    notebook = nbformat.read(source, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(code))
    nbformat.write(notebook, target)
    return target


def a_class(name: str, made: Path, folder: Path, size: int) -> dict[str, dict[str, float]]:
    """Write ``size`` submissions; returns what each should lose: file's stem → question → points.

    Round by round: the solution, each mistake, and an empty copy (which loses everything: None).
    """
    solution = made / "instructor" / f"{name}_solution.ipynb"
    makers = {"solution": ([], {})} | MISTAKES[name]
    expected = {}
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(size):
        kind = [*makers, "empty"][number % (len(makers) + 1)]
        stem = f"{number:02d}_{kind}"
        if kind == "empty":
            (folder / f"{stem}.ipynb").write_bytes(
                (made / "student" / f"{name}.ipynb").read_bytes()
            )
            expected[stem] = None
        else:
            replacements, losses = makers[kind]
            mistaken(solution, replacements, folder / f"{stem}.ipynb")
            expected[stem] = losses
    return expected
