"""The pages that are built from what the package knows: glossary, gallery, results, reference."""

from __future__ import annotations

import base64
import html
import inspect
import re
from collections import defaultdict
from pathlib import Path

import changes
import nbformat

import bpttviz as bv
from bpttviz.evaluation.tables import format_markdown
from bpttviz.experiments.ablation import stored_ablations
from bpttviz.experiments.claims.table import ClaimsTable
from bpttviz.experiments.speed_record import SpeedRecord
from bpttviz.plotting.ablation import plot_dose
from bpttviz.plotting.front import plot_front
from bpttviz.plotting.gradients import plot_growth
from bpttviz.teaching.glossary import GLOSSARY

PACKAGE = Path(bv.__file__).parent
KEYS = Path(__file__).with_name("keys.rst")
STUB = re.compile(r"^from \.(?P<room>\w+)[\w.]* import (?P<name>\w+) as (?P=name)$", re.MULTILINE)
PICTURE = re.compile(r'<img src="data:image/png;base64,(?P<data>[^"]+)" alt="(?P<alt>[^"]*)"')
SECTION = "## What fine-tuning on it gave"
ROOMS = {  # in the order in which a user meets them
    "structures": "Structures",
    "datasets": "Reference relaxations",
    "potentials": "Potentials",
    "relaxation": "Relaxation and its gradients",
    "distances": "Distances",
    "training": "Training",
    "evaluation": "Evaluation",
    "experiments": "Whole experiments",
    "widgets": "Widgets",
    "teaching": "Teaching",
    "profiling": "Time and memory",
}


def glossary() -> str:
    """All terms, each of which can be linked to from any page."""
    entries = []
    for term in GLOSSARY:
        names = "\n".join((term.name, *(f"{other}" for other in term.also)))
        entries.append(f"{names}\n    {term.sentence}")
    body = "\n\n".join(entries)
    return (
        '# Glossary\n\nThe course\'s words. In a notebook, `bv.define("adjoint")` says the same.'
        f"\n\n::::{{glossary}}\n{body}\n::::\n"
    ).replace("::::", "`````")


def gallery(lessons: dict[str, Path], folder: Path) -> str:
    """A picture from each executed notebook, with its words, that leads to its page.

    Args:
        lessons: name → executed notebook.
        folder: where the pictures go, as files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = ["# Gallery\n\nA picture from each lesson. A click leads to it.\n"]
    for name, path in lessons.items():
        found = picture_in(nbformat.read(path, 4))
        if found is None:
            continue
        data, words = found
        (folder / f"{name}.png").write_bytes(data)
        alt = re.sub(r"[\[\]`*_]", "", words).replace("\n", " ").replace('"', "'")
        title = title_of(path)
        parts.append(f"## {title}\n\n[![{alt}](gallery/{name}.png)](lessons/{name}.ipynb)\n")
    return "\n".join(parts)


def picture_in(notebook: nbformat.NotebookNode) -> tuple[bytes, str] | None:
    """A notebook's largest picture with alternative text, and that text; None without one."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            text = output.get("data", {}).get("text/html", "")
            found += PICTURE.findall("".join(text))
    if not found:
        return None
    data, words = max(found, key=lambda pair: len(pair[0]))
    return base64.b64decode(data), html.unescape(words)


def title_of(path: Path) -> str:
    """The first heading of a notebook."""
    first = nbformat.read(path, 4).cells[0].source
    return first.splitlines()[0].lstrip("# ")


def cards() -> dict[str, str]:
    """Name → Markdown of each card of data, small potentials and shipped runs, for a page."""
    places = {
        f"data-{path.parent.name}": path
        for path in sorted((PACKAGE / "datasets" / "data").glob("*/README.md"))
    }
    places["small-potentials"] = PACKAGE / "potentials" / "small" / "shipped" / "README.md"
    for path in sorted((PACKAGE / "training" / "shipped_runs").rglob("README.md")):
        parts = path.relative_to(PACKAGE / "training" / "shipped_runs").parent.parts
        places["-".join(("run", *parts))] = path
    return {
        name: re.sub(r"\]\(\.\./([\w-]+)/README\.md(#[\w-]+)?\)", r"](data-\1.md\2)", raised(text))
        for name, text in ((name, read(path)) for name, path in places.items())
    }


def raised(text: str) -> str:
    """Markdown with amu^½ as a power, outside of code."""
    parts = re.split(r"(```.*?```|`[^`\n]*`)", text, flags=re.DOTALL)
    return "".join(p if p[:1] == "`" else p.replace("amu^½", "amu<sup>½</sup>") for p in parts)


def read(path: Path) -> str:
    """A file's text."""
    return path.read_text(encoding="utf-8")


def claims() -> tuple[str, str]:
    """The paper's claims with verdicts, as a section; and a page with every row of evidence."""
    table = ClaimsTable.read()
    section = (
        "## The paper's claims, one by one\n\n`bpttviz reproduce` prints this from the rows that "
        "are committed; [all rows](claims.md), with what has not been run.\n\n"
        f"{table.verdicts_markdown()}\n"
    )
    page = (
        "# Every row of evidence\n\nWhat [the verdicts](results.md) are from. `bpttviz reproduce "
        f"--rows` adds command, commit and file of each.\n\n{table.to_markdown()}"
    )
    return raised(section), raised(page)


def speed(folder: Path) -> str:
    """What was timed beside other programs, as a section; the growth figure goes into a folder."""
    record = SpeedRecord.read()
    figure = plot_growth(record.growth)
    (folder / "growth.png").write_bytes(figure.png())
    return (
        "## Time and memory\n\n`bpttviz speed` prints this from what is committed; with `--out` it "
        "measures anew. Ratios are between neighbours in time, of the processor's time.\n\n"
        f"{record.to_markdown()}\n![{figure.alt_text}](results/growth.png)\n"
    )


def ablation(folder: Path) -> str:
    """What the recipe's ingredients buy, as a section; the curve goes into a folder."""
    records = list(stored_ablations().values())
    tables = "\n\n".join(record.to_markdown() for record in records)
    section = (
        "## The recipe, ingredient by ingredient\n\n`bpttviz ablation` prints this from what is "
        "committed. Changes are against pretrained, on n held-out structures; the last columns "
        f"compare a variant with the whole recipe, on the same ones.\n\n{tables}\n"
    )
    if curves := [record.curve() for record in records if record.curves]:
        figure = plot_dose(curves[0])
        (folder / "curve.png").write_bytes(figure.png())
        section += f"\n![{figure.alt_text}](results/curve.png)\n"
    for name, widest in {"front": False, "front-widest": True}.items():
        figure = plot_front(bv.stored_ablation().front(widest))
        (folder / f"{name}.png").write_bytes(figure.png())
        section += f"\n![{figure.alt_text}](results/{name}.png)\n"
    moved = format_markdown(bv.stored_wrong_ends().changes())
    section += (
        "\n## Pushed less, or held tighter?\n\nFrom DFT's end to the minimum that CHGNet has "
        "beside it, distance = push / stiffness (`bv.push_and_stiffness`); changes against "
        f"pretrained, on n held-out silicon defects.\n\n{moved}\n"
    )
    return raised(section)


def results(found: dict[str, str], folder: Path) -> str:
    """What fine-tuning gave, as the cards tell it, and the cards below.

    Args:
        found: what `cards` returns.
        folder: where the picture goes.
    """
    picture = changes.plot_changes(changes.changes_in(read(changes.CARD)))
    folder.mkdir()
    (folder / "changes.png").write_bytes(picture.png())
    parts = [
        "# Results\n\nEvery figure here comes from a committed row of evidence, or from a card "
        "that is shipped beside the data or the weights it speaks of, with the command that made "
        "it.\n",
        claims()[0],
    ]
    for name in sorted(
        found, key=lambda name: (not name.startswith("run-"), name == "data-crystals")
    ):
        text = found[name]
        title, body = text.split("\n", 1)
        title = title.lstrip("# ")
        if name.startswith("run-"):
            section = body
        elif SECTION in text:
            section = text.split(SECTION, 1)[1].split("\n## ", 1)[0]
        else:
            continue
        link = f"*From [the card](cards/{name}.md).*"
        if name == f"data-{changes.CARD.parent.name}":
            link += f"\n\n![{picture.alt_text}](results/changes.png)\n"
        section = re.sub(r"\]\((data-[\w-]+\.md)", r"](cards/\1", section)
        parts.append(f"## {title[0].upper()}{title[1:]}\n\n{link}\n{section}")
    parts += [ablation(folder), speed(folder)]
    listed = "\n".join(("claims", *(f"cards/{name}" for name in found)))
    parts.append(f"## The cards, whole\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")
    return "\n".join(parts)


def reference() -> dict[str, str]:
    """File → text of the pages on what the package offers, one a room, by its own docstrings."""
    rooms: dict[str, list[str]] = defaultdict(list)
    for found in STUB.finditer(read(PACKAGE / "__init__.pyi")):
        rooms[found["room"]].append(found["name"])
    if missing := set(rooms) - set(ROOMS):
        raise ValueError(f"the reference has no title for the room {', '.join(sorted(missing))}")
    drawn = re.findall(r"import (\w+) as \1", read(PACKAGE / "plotting" / "__init__.pyi"))
    pages, overview = {}, []
    for room, title in (*ROOMS.items(), ("plotting", "Figures")):
        module = "bpttviz.plotting" if room == "plotting" else "bpttviz"
        names = sorted(drawn if room == "plotting" else rooms[room], key=str.lower)
        entries = "\n\n".join(_entry(module, name) for name in names)
        keys = f"\n{read(KEYS)}" if room == "widgets" else ""
        pages[f"{room}.rst"] = f"{title}\n{'=' * len(title)}\n\n{entries}\n{keys}"
        lines = "\n".join(_line(module, name) for name in names)
        overview.append(f"## [{title}]({room}.rst)\n\n{lines}\n")
    listed = "\n".join(name.removesuffix(".rst") for name in pages)
    pages["index.md"] = (
        "# Reference\n\nEverything is reached as `bv.NAME` after `import bpttviz as bv`; figures "
        "as `bv.plotting.NAME`. Units: eV, Å, eV/Å, amu; ΔQ in amu<sup>½</sup> Å.\n\n"
        + "\n".join(overview)
        + f"\n```{{toctree}}\n:hidden:\n\n{listed}\n```\n"
    )
    return pages


def _line(module: str, name: str) -> str:
    """A link to an entry, and the first line of its docstring."""
    said = (inspect.getdoc(_thing(module, name)) or "").split("\n", 1)[0]
    return f"- {{py:obj}}`~{module}.{name}`: {said.replace('|', chr(92) + '|')}"


def _thing(module: str, name: str) -> object:
    return getattr(bv if module == "bpttviz" else bv.plotting, name)


def _entry(module: str, name: str) -> str:
    thing = _thing(module, name)
    if not inspect.isclass(thing):
        return f".. autofunction:: {module}.{name}"
    options = (
        ""
        if issubclass(thing, BaseException)
        else "\n   :members:\n   :exclude-members: set, extra_repr"
    )
    return f".. autoclass:: {module}.{name}{options}"
