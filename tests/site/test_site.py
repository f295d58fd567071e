"""The course's site: built from two cheap notebooks, whole, light, and silent without a network."""

import importlib.util
import os
import re
import sys
import warnings
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
sys.path.insert(0, str(NOTEBOOKS / "site"))

import changes  # noqa: E402
import course_map  # noqa: E402
import executed  # noqa: E402
import figures  # noqa: E402
import links  # noqa: E402
import site_pages  # noqa: E402

import bpttviz as bv  # noqa: E402
from bpttviz.experiments.claims.table import ClaimsTable  # noqa: E402

ARTICLE = (NOTEBOOKS / "site" / "article.md").read_text(encoding="utf-8")
FACTS = set(re.findall(r"\{\{\w+\.(\w+)\}\}", ARTICLE))
LINK = re.compile(r"\]\((?!https?:|#)(?P<file>[^)#\s]+)(?:#[^)]*)?\)")
PAIR = {
    "01_one": [
        (
            "markdown",
            "# One\n\nWith $x_{t+1} = x_t + \\eta F(x_t)$, see [two](02_two.ipynb).",
        ),
        ("parameters", "step_size = 0.1"),
        (
            "code",
            "import bpttviz as bv\nfrom bpttviz.plotting import plot_curves\n"
            "plot_curves({'a': ([1.0, 2.0], [step_size, 1.0])}, 'step', 'length / Å')",
        ),
    ],
    "02_two": [
        ("markdown", "# Two\n\n[One](01_one.ipynb) came first, [a third](three.ipynb) is no page."),
        ("parameters", "count = 2"),
        (
            "code",
            "import bpttviz as bv\n"
            "bv.FoggyValley({'two valleys': bv.landscape_examples()['two valleys']})",
        ),
    ],
}


def notebook(cells):
    """A notebook of (kind, source); "parameters" is a code cell with that tag."""
    made = []
    for kind, source in cells:
        if kind == "markdown":
            made.append(nbformat.v4.new_markdown_cell(source))
        else:
            tags = ["parameters"] if kind == "parameters" else []
            made.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags}))
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    return nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})


def linked(path):
    """Files that a notebook's text links to or shows."""
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            yield from (found["file"] for found in LINK.finditer(cell.source))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of two notebooks, with figures that are quickly made, as a folder."""
    if not all(map(importlib.util.find_spec, ("furo", "latex2mathml", "myst_nb"))):
        message = "the extra `site` is not installed: THE SITE IS NOT BUILT"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        warnings.warn(message, stacklevel=1)
        pytest.skip(message)
    import build  # isort: skip

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executed, "NOTEBOOKS", folder / "notebooks")
        patch.setenv("PYTHONPATH", str(ROOT))  # building sets it: to be put back
        small = {"01_one": {"step_size": 0.2}, "02_two": {}, "index": {}}
        patch.setattr(executed, "small_parameters", lambda: small)
        (folder / "notebooks").mkdir()
        (folder / "notebooks" / "map.svg").write_text(course_map.drawn())
        for name, cells in PAIR.items():
            nbformat.write(notebook(cells), folder / "notebooks" / f"{name}.ipynb")
        nbformat.write(notebook(PAIR["01_one"][:1]), folder / "notebooks" / "index.ipynb")
        stand_in = figures.Drawn("<p>a figure</p>", dict.fromkeys(FACTS, "42"))
        quick = dict.fromkeys(figures.figures(), lambda: stand_in)
        quick |= {"valley": figures.valley, "silicon": figures.silicon}
        wrong = build.build(folder / "site", figures=quick, kept=folder / "kept")
    assert wrong == []
    return folder / "site"


@pytest.mark.slow
def test_pages_are_there_and_whole(site):
    page = links.Page(site / "lessons" / "01_one.html")
    assert "<math" in page.text
    assert re.search(r"step_size</span>.{0,60}0\.2</span>", page.text)
    assert "three.html" not in (site / "lessons" / "02_two.html").read_text()
    for name in ("index", "gallery", "results", "glossary", "reference/training"):
        assert (site / f"{name}.html").stat().st_size > 10_000
    assert "<dd><p>How a gradient comes back" in (site / "glossary.html").read_text()
    assert 'id="bpttviz.finetune"' in (site / "reference" / "training.html").read_text()


@pytest.mark.slow
def test_a_broken_site_is_found_out(site, tmp_path):
    (tmp_path / "index.html").write_text(
        '<a href="gone.html">x</a><a href="#nowhere">y</a>'
        '<script src="https://example.org/a.js"></script>' + " " * links.HEAVIEST
    )
    found = "\n".join(links.complaints(tmp_path))
    for words in ("gone.html leads nowhere", "#nowhere leads", "from elsewhere", "weighs 3.0 MB"):
        assert words in found


@pytest.mark.slow
@pytest.mark.browser
def test_pages_are_silent_without_a_network(site, chromium):
    context = chromium.new_context(offline=True)
    page = context.new_page()
    said, asked = [], []
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    for name in ("index", "lessons/02_two", "results", "reference/widgets"):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_load_state("load")
        if name in ("index", "lessons/02_two"):
            page.locator(
                ".bpttviz-valley, .bpttviz-foggy, [class^=bpttviz] canvas"
            ).first.wait_for()
        assert said == [], name
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    context.close()


# --- the map, and links between notebooks -------------------------------------------------------


def test_the_map_is_the_one_that_is_drawn():
    assert (NOTEBOOKS / "map.svg").read_text(encoding="utf-8") == course_map.drawn()
    first = nbformat.read(NOTEBOOKS / "index.ipynb", 4).cells[0].source
    assert f"![{course_map.words()}](map.svg)" in first


def test_the_map_leads_to_every_notebook():
    wanted = {path.name for path in NOTEBOOKS.glob("*.ipynb")} - {"index.ipynb"}
    led_to = set(linked(NOTEBOOKS / "index.ipynb"))
    assert wanted <= led_to
    sources = {path.stem for path in (NOTEBOOKS / "assignments").glob("*.ipynb")}
    assert not any(name.startswith("assignments/") for name in led_to), "they hold solutions"
    numbers = {stop.number for stop in course_map.STOPS}
    assert numbers == sources | {Path(name).stem.split("_")[0] for name in wanted}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_links_between_notebooks_lead_somewhere(path):
    assert [file for file in linked(path) if not (NOTEBOOKS / file).exists()] == []


def test_the_results_page_tells_the_claims_by_their_rows():
    section, page = site_pages.claims()
    table = ClaimsTable.read()
    for result in table.results:
        claim = f"| {result.claim.number}. {result.claim.title} | {result.verdict.value} |"
        assert claim in section
        assert claim in page
    for row in table.rows:
        assert row.change in page


def test_the_results_page_tells_what_moved_the_ends(tmp_path):
    told = site_pages.ablation(tmp_path)
    changes = bv.stored_wrong_ends().changes()
    for line in changes.to_dict("records"):
        assert line["push"] in told
        assert line["stiffness"] in told


def test_results_are_read_from_the_card():
    found = changes.changes_in(changes.CARD.read_text(encoding="utf-8"))
    assert found["BPTT"] == ([20, -17, 85], [29, 15, 43])
    assert len(found) == 3


def test_what_the_article_says_of_silicon_is_what_the_card_says():
    facts = figures.silicon().facts
    card = (site_pages.PACKAGE / "training/shipped_runs/si-defects/README.md").read_text("utf-8")
    for row, fact in (("ΔQ at rest", "ends"), ("force error", "forces")):
        assert f"| {row} | {facts[fact]} |" in card
    assert facts["all"] == "12"
    assert (facts["lost"], facts["others"]) == ("3", "9")
    assert facts["sites"] == "hexagonal sites"
    assert f"The other nine all end better, {facts['others_ends']} on" in card


def test_the_first_defect_of_the_article_is_the_one_that_gained_most():
    report = bv.shipped_report(figures.FINE_TUNED)
    gained = report.log_ratios("dq_rest", *report.potentials)
    assert min(gained, key=gained.get) == figures.DEFECT


def test_the_article_has_eight_figures_five_of_them_alive():
    assert re.findall(r"^\{\{(\w+)\}\}$", ARTICLE, re.MULTILINE) == list(figures.figures())
    captions = re.findall(r"^\*\*Figure (\d)[.,]\*\*(.*)", ARTICLE, re.MULTILINE)
    assert [number for number, _ in captions] == list("12345678")
    assert sum("live-mark" in words for _, words in captions) == 5


def test_the_reference_has_a_place_for_every_name():
    text = "\n".join(site_pages.reference().values())
    assert {name for name in bv.__all__ if f"bpttviz.{name}\n" not in text} == {"plotting"}
