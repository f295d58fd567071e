"""What three ways of fine-tuning changed on silicon's test part: read from the data card, drawn."""

from __future__ import annotations

from pathlib import Path

import bpttviz as bv
from bpttviz.experiments.claims.cards import changes_in as changes_in
from bpttviz.plotting.figure import AccessibleFigure, despine
from bpttviz.plotting.palette import BLUE, GREY, VERMILION

CARD = Path(bv.__file__).parent / "datasets" / "data" / "si-defects" / "README.md"
PAPERS_WAY = "BPTT"  # its row in the card's table


def plot_changes(changes: dict[str, tuple[list[int], list[int]]]) -> AccessibleFigure:
    """A dot with its interval for each method and each of the two errors."""
    picture = AccessibleFigure((9.0, 0.6 + 0.55 * len(changes)))
    titles = ("endpoint error, ΔQ at rest", "force error")
    words = []
    for number, (title, colour) in enumerate(zip(titles, (BLUE, VERMILION), strict=True)):
        axes = picture.add_subplot(1, 2, number + 1)
        axes.axvline(0, color=GREY, linewidth=1)
        for height, (method, both) in enumerate(reversed(changes.items())):
            middle, low, high = both[number]
            axes.plot([low, high], [height, height], color=colour, linewidth=2)
            axes.plot([middle], [height], "o", color=colour)
            words.append(f"{method}, {title}: {middle:+d} % ({low:+d} to {high:+d})")
        axes.set_yticks(range(len(changes)), list(reversed(changes)) if number == 0 else [])
        axes.set_ylim(-0.6, len(changes) - 0.4)
        axes.set_xlabel(f"change of the {title} / %")
        despine(axes)
    picture.alt_text = "Changes against the pretrained potential. " + "; ".join(words) + "."
    return picture
