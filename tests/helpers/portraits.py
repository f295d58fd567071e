"""Pictures of every widget, light and dark, still and moving, to be looked at before a release.

``python tests/helpers/portraits.py FOLDER [NAME ...]``
"""

import sys
from io import BytesIO
from pathlib import Path

import browser
import saved_pages
from pages import Opened
from PIL import Image

FRAMES, MILLISECONDS = 10, 250

# What has the focus, and the key that is pressed for every frame.
WALKS = {
    "ErrorPlane": ("[role=option][tabindex='0']", "ArrowRight"),
    "CompareRelaxations": (".transport input", "ArrowRight"),
    "CompareRelaxations, diverged": (".transport input", "ArrowRight"),
    "BackwardFlow": (".transport input", "ArrowRight"),
    "FoggyValley": (".handle.start", "Shift+ArrowLeft"),
    "RobustnessMap": (".replay input[type=range]", "ArrowLeft"),
    "linked": (".transport input", "ArrowRight"),
    "prediction": ("input[type=radio]", "ArrowDown"),
}


def portrait(chromium, path: Path, name: str, scheme: str) -> None:
    """``path`` with .png, and with .gif where there is something to be moved by a key."""
    page = path.with_suffix(".html")
    saved_pages.PAGES[name](page)
    opened = Opened(chromium, page, color_scheme=scheme)
    opened.page.wait_for_timeout(1000)
    opened.page.screenshot(path=path.with_suffix(".png"), full_page=True)
    if name in WALKS:
        place, key = WALKS[name]
        opened.page.locator(place).first.focus()
        frames = []
        for _ in range(FRAMES):
            opened.page.keyboard.press(key)
            opened.page.wait_for_timeout(100)
            shot = opened.page.screenshot(full_page=True)
            frames.append(Image.open(BytesIO(shot)).convert("P", palette=Image.Palette.ADAPTIVE))
        first, *others = frames
        first.save(
            path.with_suffix(".gif"), save_all=True, append_images=others,
            duration=MILLISECONDS, loop=0,
        )  # fmt: skip
    print(path.stem, *opened.errors, sep="  ")
    opened.context.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with browser.chromium() as running:
        for chosen in sys.argv[2:] or saved_pages.PAGES:
            for look in ("light", "dark"):
                portrait(running, folder / f"{chosen}-{look}", chosen, look)
