"""Build the course's site: python notebooks/site/build.py [--full] [--fresh] [--only NAME ...].

Executed notebooks and figures are kept in build/executed and build/figures, and made again only
when their source changes. The site in build/site is opened from disk: no server, no network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import executed
import links
import site_pages

if TYPE_CHECKING:
    from figures import Drawn

BUILD = executed.ROOT / "build"
PLACE = re.compile(r"^\{\{(\w+)\}\}$", re.MULTILINE)
FACT = re.compile(r"\{\{(\w+)\.(\w+)\}\}")


def build(
    site: Path,
    names: list[str] | None = None,
    full: bool = False,
    fresh: bool = False,
    figures: dict[str, Callable[[], Drawn]] | None = None,
    kept: Path = BUILD,
) -> list[str]:
    """Build the site; returns what is wrong with it, in words.

    Args:
        site: folder to write; what was there goes.
        names: notebooks to make pages of; by default all.
        full: execute with the notebooks' own parameters, not with those of the tests.
        fresh: execute and compute again what is kept.
        figures: name → what makes it; by default those of the article.
        kept: folder of what is kept.

    Raises:
        papermill.PapermillExecutionError: a notebook failed.
        subprocess.CalledProcessError: Sphinx failed, or warned.
    """
    source = site.with_name(site.name + "-source")
    for folder in (source, site):
        shutil.rmtree(folder, ignore_errors=True)
    (source / "lessons").mkdir(parents=True)
    shutil.copy(executed.NOTEBOOKS / "map.svg", source / "lessons")
    if (drawn := executed.NOTEBOOKS / "pictures").is_dir():
        shutil.copytree(drawn, source / "lessons" / "pictures")
    small = executed.small_parameters()
    chosen = names or sorted(path.stem for path in executed.NOTEBOOKS.glob("*.ipynb"))
    copies = {}
    for name in chosen:
        parameters = {} if full else small[name]
        path = executed.NOTEBOOKS / f"{name}.ipynb"
        copies[name] = executed.executed(path, kept / "executed", parameters, fresh)
        executed.for_a_page(copies[name], source / "lessons" / f"{name}.ipynb", set(chosen))
    write_pages(source, copies)
    write_article(source, figures, kept / "figures", fresh)
    run_sphinx(source, site)
    return links.complaints(site)


def write_pages(source: Path, copies: dict[str, Path]) -> None:
    """Everything but lessons and article."""
    lessons = {name: source / "lessons" / f"{name}.ipynb" for name in copies}
    (source / "gallery.md").write_text(site_pages.gallery(lessons, source / "gallery"), "utf-8")
    (source / "glossary.md").write_text(site_pages.glossary(), "utf-8")
    found = site_pages.cards()
    results = site_pages.results(found, source / "results")
    (source / "results.md").write_text(results, "utf-8")
    (source / "claims.md").write_text(site_pages.claims()[1], "utf-8")
    for folder, files in (
        ("cards", {f"{name}.md": text for name, text in found.items()}),
        ("reference", site_pages.reference()),
    ):
        (source / folder).mkdir()
        for name, text in files.items():
            (source / folder / name).write_text(text, "utf-8")


def write_article(
    source: Path, figures: dict[str, Callable[[], Drawn]] | None, kept: Path, fresh: bool
) -> None:
    """The front page, with its figures and what they say in their places."""
    if figures is None:
        import figures as own

        figures = own.figures()
    text = (HERE / "article.md").read_text(encoding="utf-8")
    kept.mkdir(parents=True, exist_ok=True)
    (source / "figures").mkdir()
    mark = hashlib.sha256((HERE / "figures.py").read_bytes()).hexdigest()[:12]
    facts = {}
    for name in PLACE.findall(text):
        file = kept / f"{name}-{mark}.json"
        if fresh or not file.exists():
            print(f"figure {name} ...", flush=True)
            made = figures[name]()
            said = {"html": made.html, "facts": dict(made.facts)}
            file.write_text(json.dumps(said), encoding="utf-8")
        drawn = json.loads(file.read_text(encoding="utf-8"))
        (source / "figures" / f"{name}.html").write_text(drawn["html"], encoding="utf-8")
        facts[name] = drawn["facts"]
    text = FACT.sub(lambda m: facts[m[1]][m[2]], text)
    text = PLACE.sub(r"```{raw} html\n:file: figures/\1.html\n```", text)
    (source / "index.md").write_text(text, encoding="utf-8")


def run_sphinx(source: Path, site: Path) -> None:
    """Turn the pages into HTML; a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-c", HERE, "-q", "-W", "--keep-going"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(executed.ROOT), *sys.path[1:]])}
    doctrees = site.with_name(site.name + "-doctrees")
    shutil.rmtree(doctrees, ignore_errors=True)
    subprocess.run([*command, "-d", doctrees, source, site], check=True, env=environment)
    shutil.rmtree(doctrees, ignore_errors=True)
    for rest in ("objects.inv", ".buildinfo"):
        (site / rest).unlink(missing_ok=True)


def main() -> int:
    """Command line; the exit status is 0 when nothing is wrong with the site."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the notebooks' own parameters")
    parser.add_argument("--fresh", action="store_true", help="make again what is kept")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="notebooks to make pages of")
    parser.add_argument("--out", type=Path, default=BUILD / "site")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning, module="pymatgen")
    wrong = build(given.out, given.only, given.full, given.fresh)
    print(*wrong, sep="\n")
    if not wrong:
        print(f"Done: open {given.out / 'index.html'}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
