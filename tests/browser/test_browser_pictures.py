"""Static pictures under a dark theme: dark behind, lines light, blue still blue."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from bpttviz.plotting.figure import AccessibleFigure
from bpttviz.plotting.palette import BLUE

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("light", ["true", "false"])
def test_a_picture_follows_the_theme(chromium, light):
    picture = AccessibleFigure((3, 2), alt_text="a line")
    axes = picture.subplots()
    axes.fill_between([0, 1], [1, 1], color=BLUE)
    axes.set_axis_off()
    page = chromium.new_page()
    opening = (
        '<div class="jp-RenderedMarkdown"><img id="a" src="/files/pictures/00_a.png" alt="">'
        '<img id="b" src="/files/photo.png" alt=""></div>'
    )
    body = f'<body data-jp-theme-light="{light}">{picture.to_html()}{opening}</body>'
    page.set_content(body)
    shown = page.locator("img.bpttviz-picture").screenshot()
    filters = [
        page.locator(name).evaluate("e => getComputedStyle(e).filter") for name in ("#a", "#b")
    ]
    page.close()
    # The course's picture in a Markdown cell goes along; a reader's own stays what it is.
    assert [f != "none" for f in filters] == [light == "false", False]
    seen = np.array(Image.open(BytesIO(shown)).convert("RGB"), int)
    corner, middle = seen[2, 2], seen[len(seen) // 2, len(seen[0]) // 2]
    assert corner.max() < 40 if light == "false" else corner.min() == 255
    assert middle.argmax() == 2  # blue
    assert abs(middle.mean() - corner.mean()) > 60  # and seen on what is behind
