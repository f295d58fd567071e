"""Pictures of two-dimensional landscapes: surfaces with paths and basins, and force errors.

Each function returns an `AccessibleFigure` with alternative text and touches no global state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from torch import Tensor

from bpttviz._checks import instance_of, mapping_of, positive, sequence_of
from bpttviz.plotting.arguments import numbers, places, titled
from bpttviz.plotting.figure import AccessibleFigure, despine, plain
from bpttviz.plotting.palette import BLUE, DISTANCE, GREY, POTENTIALS, TEXT
from bpttviz.potentials.landscape import Landscape, Window

# Low is light, so that paths, which end low, stand out there.
ENERGY = LinearSegmentedColormap.from_list("energy", ["#FFFFFF", "#E4E4E4", "#B9B9B9", "#8C8C8C"])
FORCE = LinearSegmentedColormap.from_list("force", DISTANCE)
HALO = [withStroke(linewidth=3.2, foreground="white")]


@dataclass(frozen=True, eq=False)
class WalkerPath:
    """One walker's way.

    Attributes:
        points: (T, 2) Å, start to end.
        colour, dashed: how it is drawn.
        label: its line in the legend; paths of one label share it, "" has none.
    """

    points: np.ndarray | Tensor
    colour: str = BLUE
    label: str = ""
    dashed: bool = False

    def seen(self) -> np.ndarray:
        """The points up to the first that is not finite (a diverged walker is lost there)."""
        points = np.asarray(self.points, float).reshape(-1, 2)
        lost = np.flatnonzero(~np.isfinite(points).all(1))
        return points[: lost[0]] if len(lost) else points


def plot_landscapes(
    landscapes: Landscape | Mapping[str, Landscape],
    paths: Sequence[WalkerPath] | Mapping[str, Sequence[WalkerPath]] = (),
    basins: np.ndarray | Mapping[str, np.ndarray] | None = None,
    targets: Sequence[tuple[float, float]] = (),
    window: Window | None = None,
    highest: float = 1.5,
) -> AccessibleFigure:
    """Landscapes side by side on one scale of energy, with the ways that walkers took.

    Args:
        landscapes: one, or title → landscape for a panel each. Energy counts from the lowest point
            in the window, as its zero means nothing.
        paths: those of one landscape, or title → paths.
        basins: (rows, columns) integers over the window, row 0 lowest: which minimum a walker from
            there comes to; negative: none. Each tints its region. One array, or title → array.
        targets: places (x, y) Å that walkers should reach: stars.
        window: which part of the plane; `Window` by default.
        highest: energy (eV) above which everything has the last colour.

    Raises:
        KeyError: paths or basins for a landscape that is not shown.
        TypeError, ValueError: something else than landscapes, paths, basins, places or numbers.
    """
    window, highest, targets = _view(window, highest, targets)
    alone = isinstance(landscapes, Landscape)
    ways = _ways(titled("paths", paths, alone))
    tints = {
        title: numbers("basins", values, (None, None)).astype(int)
        for title, values in titled("basins", basins, alone).items()
    }
    if isinstance(landscapes, Landscape):
        landscapes = {"": landscapes}
    landscapes = mapping_of("landscapes", landscapes, Landscape, '{"title": bv.MullerBrown()}')
    if unknown := [title for title in (*ways, *tints) if title not in landscapes]:
        raise KeyError(f"no landscape {unknown[0]!r} is shown; there are {', '.join(landscapes)}")

    picture, panels = _panels(landscapes, window)
    levels = highest * np.linspace(0, 1, 11) ** 2  # close together where walkers rest
    words = []
    for (title, landscape), axes in zip(landscapes.items(), panels, strict=True):
        x, y, points = window.grid(121)
        energy = landscape.energy_and_force(points)[0].numpy().reshape(len(y), len(x))
        energy = energy - energy.min()
        surface = axes.contourf(x, y, energy, levels, cmap=ENERGY, extend="max")
        axes.contour(x, y, energy, levels[1:], colors=GREY, linewidths=0.5, alpha=0.7)
        if title in tints:
            _tint(axes, tints[title], window)
        mine = ways.get(title, ())
        for path in mine:
            _draw(axes, path)
        _stars(axes, targets)
        words.append(_described(title, energy, points, mine, tints.get(title)))
    _colour_bar(picture, surface, panels, "energy above the lowest / eV")
    _legend(picture, ways, targets)
    aim = "; ".join(f"({x:.2f}, {y:.2f})" for x, y in targets)
    picture.alt_text = " ".join(words) + (f" Stars, where walkers should end: {aim}." * bool(aim))
    return picture


def plot_force_errors(
    truth: Landscape,
    models: Mapping[str, Landscape],
    paths: Mapping[str, Sequence[WalkerPath]] | None = None,
    targets: Sequence[tuple[float, float]] = (),
    window: Window | None = None,
    highest: float = 1.0,
) -> AccessibleFigure:
    """How wrong the forces of models are, place by place: |F - F_true| as colour, F - F_true as
    arrows.

    Args:
        truth: what the forces should be.
        models: title → landscape, a panel each.
        paths, targets, window: as in `plot_landscapes`.
        highest: error (eV/Å) above which everything has the last colour.

    Raises:
        KeyError: paths for a model that is not shown.
        TypeError, ValueError: something else than landscapes, paths, places or numbers.
    """
    window, highest, targets = _view(window, highest, targets)
    instance_of("truth", truth, Landscape, "bv.MullerBrown()")
    models = mapping_of("models", models, Landscape, '{"title": bv.NeuralLandscape()}')
    ways = _ways(titled("paths", paths, alone=False))
    if unknown := [title for title in ways if title not in models]:
        raise KeyError(f"no model {unknown[0]!r} is shown; there are {', '.join(models)}")
    picture, panels = _panels(models, window)
    levels = np.linspace(0, highest, 11)
    words = []
    for (title, model), axes in zip(models.items(), panels, strict=True):
        x, y, points = window.grid(81)
        error = force_difference(model, truth, points)
        size = np.linalg.norm(error, axis=1)
        surface = axes.contourf(
            x, y, size.reshape(len(y), len(x)), levels, cmap=FORCE, extend="max"
        )
        around = window.grid(13)[2]
        arrows = force_difference(model, truth, around)
        # A long arrow hides its neighbours: beyond the scale only the direction is of interest.
        arrows *= np.minimum(1, highest / np.linalg.norm(arrows, axis=1).clip(1e-12))[:, None]
        pitch = (window.x[1] - window.x[0]) / 13
        axes.quiver(
            *around.T.numpy(), *arrows.T, angles="xy", scale_units="xy", scale=highest / pitch,
            color=TEXT, width=0.0045, pivot="mid", alpha=0.75,
        )  # fmt: skip
        for path in ways.get(title, ()):
            _draw(axes, path)
        _stars(axes, targets)
        words.append(
            f"{title}: force error {np.median(size):.2g} eV/Å in the middle of the places shown, "
            f"{np.percentile(size, 90):.2g} or more in a tenth of them."
        )
    _colour_bar(picture, surface, panels, "force error |F - F$_{true}$| / eV/Å")
    _legend(picture, ways, targets)
    picture.alt_text = "Force errors over the plane. " + " ".join(words)
    return picture


def force_difference(model: Landscape, truth: Landscape, points: Tensor) -> np.ndarray:
    """F_model - F_true (P, 2) eV/Å at ``points`` (P, 2) Å."""
    return (model.energy_and_force(points)[1] - truth.energy_and_force(points)[1]).numpy()


def _view(
    window: Window | None, highest: float, targets: Sequence[tuple[float, float]]
) -> tuple[Window, float, list[tuple[float, float]]]:
    """Arguments of both pictures. Raises TypeError, ValueError where they are none."""
    window = Window() if window is None else instance_of("window", window, Window, "Window()")
    return window, positive("highest", highest), places("targets", targets)


def _ways(given: Mapping[str, object]) -> dict[str, list[WalkerPath]]:
    """Title → paths. Raises TypeError where they are none."""
    hint = "[WalkerPath(points)]"
    return {title: sequence_of("paths", ways, WalkerPath, hint) for title, ways in given.items()}


def _panels(titles: Mapping[str, object], window: Window) -> tuple[AccessibleFigure, np.ndarray]:
    """A picture with an empty panel a title; x and y on one scale."""
    if not titles:
        raise ValueError("there is no landscape to show")
    # A panel 3.8 inches wide, and what stands above and below: no empty band under the legend.
    height = 3.8 * (window.y[1] - window.y[0]) / (window.x[1] - window.x[0])
    around = 0.9 + 0.25 * any(titles)
    picture = AccessibleFigure((1.2 + 4.0 * len(titles), height + around))
    panels = picture.subplots(1, len(titles), sharex=True, sharey=True, squeeze=False)[0]
    for title, axes in zip(titles, panels, strict=True):
        despine(axes)
        axes.set(aspect="equal", xlim=window.x, ylim=window.y, xlabel="x / Å")
        axes.set_title(plain(title), loc="left", fontsize=11, color=TEXT)
    panels[0].set_ylabel("y / Å")
    return picture, panels


def _colour_bar(
    picture: AccessibleFigure, surface: ScalarMappable, panels: np.ndarray, label: str
) -> None:
    bar = picture.colorbar(surface, ax=list(panels), shrink=0.8, pad=0.02, aspect=25)
    bar.set_label(label, fontsize=9)
    bar.ax.tick_params(labelsize=9)
    bar.outline.set_visible(False)


def _stars(axes: Axes, targets: Sequence[tuple[float, float]]) -> None:
    for target in targets:
        axes.plot(*target, "*", ms=15, mfc="white", mec=TEXT, mew=1.3, zorder=6)


def _draw(axes: Axes, path: WalkerPath) -> None:
    points = path.seen()
    if not len(points):
        return
    line = (0, (4, 1.5)) if path.dashed else "solid"
    axes.plot(*points.T, color=path.colour, lw=1.5, ls=line, zorder=4, path_effects=HALO)
    axes.plot(*points[1:-1].T, ".", color=path.colour, ms=4, zorder=4)
    axes.plot(*points[0], "o", ms=5, mfc="white", mec=path.colour, mew=1.4, zorder=5)
    shape = "s" if path.dashed else "o"
    axes.plot(*points[-1], shape, ms=6, color=path.colour, mec="white", mew=0.8, zorder=7)


def _tint(axes: Axes, basins: np.ndarray, window: Window) -> None:
    """A colour a basin, and a line between them for whoever cannot tell the colours."""
    basins = np.asarray(basins)
    axes.imshow(
        np.ma.masked_less(basins, 0) % len(POTENTIALS), cmap=ListedColormap(POTENTIALS),
        vmin=-0.5, vmax=len(POTENTIALS) - 0.5, alpha=0.22, extent=window.extent, origin="lower",
        interpolation="nearest", aspect="equal", zorder=2,
    )  # fmt: skip
    centres = [
        np.linspace(low, high, 2 * n + 1)[1::2]
        for (low, high), n in zip((window.x, window.y), basins.shape[::-1], strict=True)
    ]
    for basin in np.unique(basins)[1:]:
        axes.contour(*centres, basins >= basin, [0.5], colors=TEXT, linewidths=0.8, zorder=3)


def _legend(
    picture: AccessibleFigure,
    paths: Mapping[str, Sequence[WalkerPath]],
    targets: Sequence[tuple[float, float]],
) -> None:
    lines = {
        path.label: Line2D(
            [], [], color=path.colour, ls="dashed" if path.dashed else "solid", lw=1.5,
            marker="s" if path.dashed else "o", ms=5, label=plain(path.label),
        )
        for some in paths.values() for path in some if path.label
    }  # fmt: skip
    handles = list(lines.values())
    if handles:
        handles.insert(
            0, Line2D([], [], ls="none", marker="o", mfc="white", mec=TEXT, label="start")
        )
    if len(targets):
        star: dict[str, Any] = {"marker": "*", "ms": 12, "mfc": "white", "mec": TEXT}
        handles.append(Line2D([], [], ls="none", **star, label="where they should end"))
    if handles:
        picture.legend(
            handles=handles, loc="outside upper left", ncols=4, fontsize=9, frameon=False
        )


def _described(
    title: str,
    energy: np.ndarray,
    points: Tensor,
    paths: Sequence[WalkerPath],
    basins: np.ndarray | None,
) -> str:
    x, y = points[int(energy.argmin())].tolist()
    words = f"{title or 'Landscape'}: lowest near ({x:.2f}, {y:.2f}) Å."
    for label in dict.fromkeys(path.label for path in paths):
        ways = [path.seen() for path in paths if path.label == label]
        ends = Counter("({:.2f}, {:.2f})".format(*way[-1]) for way in ways if len(way))
        walkers = "walker" if len(ways) == 1 else "walkers"
        words += f" {len(ways)} {walkers}{f', {label},' * bool(label)} to " + (
            "; ".join(f"{place}{f' ({n} of them)' * (n > 1)}" for place, n in ends.items()) + "."
        )
    if basins is not None:
        values, counts = np.unique(np.asarray(basins), return_counts=True)
        shares = [f"{100 * n / counts.sum():.0f} %" for v, n in zip(values, counts, strict=True)
                  if v >= 0]  # fmt: skip
        words += f" Basins cover {', '.join(shares)} of the window."
    return words
