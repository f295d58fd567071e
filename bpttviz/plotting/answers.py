"""What a class answered, as bars."""

from __future__ import annotations

from collections.abc import Mapping

from bpttviz._checks import mapping_of, text
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import BLUE, SKY, TEXT


def plot_answers(
    counts: Mapping[str, Mapping[str, int]], right: Mapping[str, str], title: str = ""
) -> AccessibleFigure:
    """How often each answer was given, a panel a question.

    Args:
        counts: question → answer → how often.
        right: question → the answer that was measured ("" for none), drawn darker and marked.
        title: above all.

    Raises:
        TypeError, ValueError: nothing to show, or something else.
    """
    counts = mapping_of("counts", counts, Mapping, '{"question": {"yes": 3}}')
    right = mapping_of("right", right, str, '{"question": "yes"}')
    if not counts:
        raise ValueError("there is no question to show")
    answers = [len(bars) for bars in counts.values()]
    picture = AccessibleFigure((7.2, 0.8 + sum(0.55 + 0.3 * n for n in answers)))
    panels = picture.subplots(len(counts), 1, squeeze=False, height_ratios=answers)[:, 0]
    words = []
    for axes, (question, bars) in zip(panels, counts.items(), strict=True):
        despine(axes)
        measured = right.get(question, "")
        places = range(len(bars))
        axes.barh(places, list(bars.values()), color=[BLUE if b == measured else SKY for b in bars])
        labels = [plain(b) + ("  ✓" if b == measured else "") for b in bars]
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.set_xlim(0, max(1, *bars.values()) * 1.08)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(plain(question), loc="left", fontsize=10, color=TEXT)
        said = ", ".join(f"{answer}: {count}" for answer, count in bars.items())
        words.append(f"{question}: {said}" + (f"; measured: {measured}." if measured else "."))
    panels[-1].set_xlabel("answers")
    if text("title", title):
        picture.suptitle(plain(title), x=0.01, ha="left", fontsize=11, color=TEXT)
    picture.alt_text = f"Answers of a class{': ' if title else ''}{title}. " + " ".join(words)
    return picture
