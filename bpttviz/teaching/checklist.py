"""A list of what has to work, that turns green item by item, with the reason where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from bpttviz.plotting.palette import GREEN, GREY, VERMILION
from bpttviz.teaching.show import safe, show

T = TypeVar("T")
MARKS = {"to do": ("·", GREY), "done": ("✓", GREEN), "not yet": ("✗", VERMILION)}


class Checklist:
    """Items, each with what became of it.

    Args:
        items: what has to work, in order.

    Attributes:
        reasons: item → None (to do), "" (done), or why it does not work.
    """

    def __init__(self, items: Iterable[str]):
        self.reasons: dict[str, str | None] = dict.fromkeys(items)

    def tick(self, item: str, action: Callable[[], T]) -> T | None:
        """Do it: done if it works; if not, not yet, and the reason. Shows the list.

        Returns:
            what the action returns; None where it does not work.

        Raises:
            KeyError: no such item.
        """
        if item not in self.reasons:
            raise KeyError(f"{item!r} is not on the list: {', '.join(self.reasons)}")
        result, self.reasons[item] = None, None  # what was so before says nothing of now
        try:
            result, self.reasons[item] = action(), ""
        except Exception as error:  # whatever it is, it is why
            self.reasons[item] = _reason(error)
        self.show()
        return result

    @property
    def done(self) -> list[str]:
        """The items that work."""
        return [item for item, reason in self.reasons.items() if reason == ""]

    def show(self) -> None:
        """The list as it stands."""
        rows, lines = [], []
        for item, reason in self.reasons.items():
            word = {None: "to do", "": "done"}.get(reason, "not yet")
            mark, colour = MARKS[word]
            rows.append(
                f"<tr><td style='text-align: left; border-left: 4px solid {colour}'>"
                f"<b>{mark} {word}</b></td><td style='text-align: left'>{safe(item)}</td>"
                f"<td style='text-align: left; max-width: 45em'>{safe(reason or '')}</td></tr>"
            )
            lines.append(f"{mark} {word}: {item}{': ' if reason else ''}{reason or ''}")
        show(f"<table aria-label='checklist'>{''.join(rows)}</table>", "\n".join(lines))


def _reason(error: Exception) -> str:
    """What an error says; of those that say little by themselves, what kind it is too."""
    words = str(error)
    usual = isinstance(error, (ValueError, TypeError, RuntimeError, OSError)) and words
    return words if usual else f"{type(error).__name__}: {words}".removesuffix(": ")
