"""The page of one notebook: its formulas are drawn, and nothing is asked of any other machine."""

import sys
from pathlib import Path

import nbformat
import pytest
from pages import Opened

SITE = Path(__file__).parents[2] / "notebooks/site"
pytest.importorskip("latex2mathml")


@pytest.fixture(scope="module")
def page_of():
    sys.path.insert(0, str(SITE))
    import page_of

    yield page_of
    sys.path.remove(str(SITE))


def test_formulas_become_mathml_and_code_and_prices_stay(page_of):
    text = r"At $X_t$ and `$HOME` for \$5 or 3 $ each: $$\Delta Q = \sqrt{m}$$"
    made = page_of.with_mathml(text)
    assert made.count("<math") == 2
    assert made.count('display="block"') == 1
    assert "`$HOME` for \\$5 or 3 $ each: " in made


@pytest.mark.browser
def test_a_notebooks_page_is_complete_in_itself(page_of, chromium, tmp_path):
    notebook = nbformat.read(SITE.parent / "02_gradient_through_time.ipynb", 4)
    notebook.metadata.widgets = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    output = nbformat.v4.new_output("display_data", {"text/markdown": "with $g_t$"})
    next(c for c in notebook.cells if c.cell_type == "code").outputs = [output]
    path = tmp_path / "page.html"
    path.write_text(page_of.html_of(notebook), encoding="utf-8")
    opened = Opened(chromium, path)
    drawn = opened.page.locator("math")
    assert drawn.count() == 21
    assert all(box["height"] > 8 for box in (drawn.nth(k).bounding_box() for k in (0, 20)))
    assert opened.page.locator("body").inner_text().count("$") == 0
    # The notebook's own picture lies beside the notebook, not beside this page.
    assert [url for url in opened.outside if "pictures/" not in url] == []
    opened.context.close()
