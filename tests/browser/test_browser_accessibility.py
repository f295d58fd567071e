"""axe-core over every saved page, and a walk through it with Tab: nobody is kept out."""

import pytest
import saved_pages
from axe_playwright_python.sync_playwright import Axe
from pages import Opened

pytestmark = [pytest.mark.browser, pytest.mark.slow]

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}
COLOURS = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}

# axe-core looks at `color`, which SVG does not draw with: text there is looked at here.
FAINT_LABELS = """() => {
  const luminance = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((p) => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4)
    .reduce((sum, p, k) => sum + p * [0.2126, 0.7152, 0.0722][k], 0);
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {  // whatever notation it is written in
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const paperOf = (el) => {
    for (let at = el; at; at = at.parentElement) {
      const [r, g, b, a] = rgba(getComputedStyle(at).backgroundColor);
      if (a === 255) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("svg text")]
    .filter((el) => el.textContent.trim() && el.checkVisibility())
    .filter((el) => !el.matches(".goal"));  // a star with a rim
  return [texts.length, texts.map((el) => {
    const paper = paperOf(el);
    const { fill, fillOpacity, opacity } = getComputedStyle(el);
    const [r, g, b, a] = rgba(fill);
    const part = a / 255 * Number(fillOpacity) * Number(opacity);
    const ink = [r, g, b].map((c, k) => paper[k] + part * (c - paper[k]));
    const [low, high] = [luminance(ink), luminance(paper)].sort((x, y) => x - y);
    return [el.textContent, Math.round(100 * (high + 0.05) / (low + 0.05)) / 100];
  }).filter(([, contrast]) => contrast < 4.5)];
}"""


# What Tab is to reach: of radio buttons with one name, one.
REACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, [tabindex]")]
  .filter((el) => el.tabIndex >= 0 && !el.disabled && el.checkVisibility())
  .filter((el, _, all) => el.type !== "radio" || all.find(({ name }) => name === el.name) === el)
  .map((el, place) => (el.dataset.place = place, el.outerHTML.slice(0, 120)))"""
FOCUSED = """() => {
  const el = document.activeElement, { outlineStyle, outlineWidth } = getComputedStyle(el);
  const ringed = outlineStyle !== "none" && outlineWidth !== "0px";
  const marked = el.matches(".arrow, .choice input");  // in a way of its own
  return el === document.body ? null : [el.dataset.place, ringed || marked];
}"""


def findings(page, rules):
    """What axe-core complains of, a line an element."""
    return [
        f"{found['impact']}: {found['help']}: {node['html'][:160]} {node.get('failureSummary', '')}"
        for found in Axe().run(page, options=rules).response["violations"]
        for node in found["nodes"]
    ]


@pytest.mark.parametrize("name", saved_pages.PAGES)
def test_axe_core_finds_nothing(chromium, tmp_path, name):
    opened = Opened(chromium, saved_pages.PAGES[name](tmp_path / "page.html"))
    opened.page.wait_for_selector("[class^=bpttviz-]")
    for scheme, rules in (("light", RULES), ("dark", COLOURS)):
        opened.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        assert (scheme, findings(opened.page, rules)) == (scheme, [])
        _, faint = opened.page.evaluate(FAINT_LABELS)
        assert (scheme, faint) == (scheme, [])
    walk_with_tab(opened.page)
    assert opened.errors == []
    assert opened.outside == []
    opened.context.close()


def walk_with_tab(page):
    """Tab goes through everything, in the page's order, is seen wherever it is, and gets out."""
    reachable = page.evaluate(REACHABLE)
    page.locator("h1").click()  # from the top
    reached = []
    for _ in range(len(reachable) + 1):
        page.keyboard.press("Tab")
        if (focused := page.evaluate(FOCUSED)) is None:
            break
        assert focused[1], f"no ring around {reachable[int(focused[0])]}"
        reached.append(int(focused[0]))
    assert reached == list(range(len(reachable))), reachable
    page.keyboard.press("Shift+Tab")


def test_the_check_sees_what_is_wrong(chromium):
    page = chromium.new_page()
    page.set_content(
        "<html lang='en'><title>t</title><main><h1>t</h1><button></button>"
        "<p style='color: #aaa; background: #fff'>faint</p>"
        "<svg><text y='20' fill='#aaa'>faint</text><text y='40'>well</text></svg></main>"
    )
    found = findings(page, RULES)
    assert len(found) == 2
    assert found[0].startswith("critical: Buttons must have discernible text")
    assert found[1].startswith("serious: Elements must meet minimum color contrast")
    assert page.evaluate(FAINT_LABELS) == [2, [["faint", 2.32]]]
    page.close()
