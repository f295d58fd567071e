"""The overview of a data set shows the numbers that it holds."""

import numpy as np
import pytest

import bpttviz as bv


@pytest.mark.parametrize("name", ["si-defects", "crystals"])
def test_an_overview_counts_every_relaxation_once(name):
    data = bv.load_dataset(name)
    picture = bv.plotting.plot_dataset(data, name)
    counts, distances, forces = picture.axes
    assert sum(bar.get_width() for bar in counts.patches) == len(data)
    points = [line for line in distances.lines if line.get_linestyle() == "None"]
    shown = np.sort(np.concatenate([line.get_xdata() for line in points]))
    expected = bv.delta_q(data.all.starts(), data.all.ends()).numpy()
    assert shown == pytest.approx(np.sort(expected))
    assert len(forces.lines) == len(data)
    ends = sorted(line.get_ydata()[-1] for line in forces.lines)
    assert ends[-1] < 0.01
    families = [label.get_text() for label in counts.get_yticklabels()]
    assert set(families) == {reference.family for reference in data.all}
    assert f"{len(data)} relaxations by family" in picture.alt_text
    assert picture.png().startswith(b"\x89PNG")


def test_ends_alone_have_an_overview_too():
    shipped = bv.load_dataset().all
    pairs = [bv.ReferenceRelaxation(r.name, r.group, r.start, r.end) for r in shipped[:4]]
    picture = bv.plotting.plot_dataset(bv.DatasetSplits(bv.RelaxationDataset(pairs)))
    assert not picture.axes[2].lines
    assert "4 relaxations by family" in picture.alt_text
