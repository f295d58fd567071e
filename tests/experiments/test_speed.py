"""Timings beside others: taken in turn, kept, and never mixed between machines."""

import json
from dataclasses import dataclass

import pytest
import torch

from bpttviz.cli.main import main
from bpttviz.experiments import speed
from bpttviz.experiments.growth import Size, measure_growth, silicon_of
from bpttviz.experiments.speed_record import SpeedRecord, write_origin
from bpttviz.experiments.speed_work import FixedSteps, OnDevice, Pair, ToRest, Work
from bpttviz.plotting.gradients import plot_growth


@dataclass(frozen=True)
class Counting(Work):
    """Counts; theirs counts three times as far."""

    name = "counting"
    against = "more of it"
    target = 2.0

    def prepare(self):
        def count(times):
            return sum(i * i for i in range(times))

        return Pair(lambda: count(300_000), lambda: count(900_000), lambda a, b: float(b > a))


class Absent(Counting):
    name = "absent"
    needs = ("no_such_package_anywhere",)


def test_rows_are_timed_in_turn_and_kept(tmp_path):
    file = tmp_path / "speed.json"
    rows = speed.measure_speed([Counting(), Absent()], file, repeats=3)
    assert [row.get("name") for row in rows] == [None, "counting", "absent"]
    assert len(rows[1]["ours"]) == len(rows[1]["theirs"]) == 3
    assert 1.5 < sum(rows[1]["theirs"]) / sum(rows[1]["ours"]) < 6
    assert rows[1]["apart"] == 1
    assert rows[2]["skipped"] == "no_such_package_anywhere is not installed"
    text = speed.speed_table(rows)
    assert "counting" in text
    assert "no_such_package_anywhere" in text
    before = file.read_text()
    assert speed.measure_speed([Counting()], file) == rows
    assert file.read_text() == before
    other = json.loads(before)
    other[0]["processor"] = "an abacus"
    file.write_text(json.dumps(other))
    with pytest.raises(ValueError, match="another machine"):
        speed.measure_speed([Counting()], file)


@pytest.mark.slow
def test_both_ways_to_rest_end_at_the_same_places(tmp_path):
    (_, row) = speed.measure_speed([ToRest(1, fmax=0.5, steps=12)], tmp_path / "s.json", repeats=1)
    assert row["apart"] < 1e-3
    assert min(*row["ours"], *row["theirs"]) > 0


def test_what_is_not_here_is_said():
    if not torch.cuda.is_available():
        assert OnDevice().missing() == "no CUDA device here"
    missing = FixedSteps().missing()
    assert missing is None or "not installed" in missing


@pytest.mark.slow
def test_growth_is_measured_once_and_fitted(tmp_path):
    sizes = [Size("structures", atoms=8, structures=n, steps=1) for n in (1, 6)]
    rows = measure_growth(tmp_path / "growth.json", sizes)
    assert [row["size"]["structures"] for row in rows] == [1, 6]
    assert measure_growth(tmp_path / "growth.json", sizes) == rows
    assert rows[1]["seconds"] > rows[0]["seconds"] > 0
    figure = plot_growth(rows)
    assert "over structures" in figure.alt_text
    assert len(figure.png()) > 5000


def test_only_cubes_of_silicon_grow():
    with pytest.raises(ValueError, match="8, 64, 216"):
        silicon_of(100)
    assert [len(silicon_of(n)[0].numbers) for n in (8, 64, 216)] == [8, 64, 216]


def test_a_record_tells_what_a_folder_holds_and_where_it_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no timings; `bpttviz speed --out`"):
        SpeedRecord.read(tmp_path)
    speed.measure_speed([Counting()], tmp_path / "speed.json", repeats=1)
    write_origin(tmp_path, "counting", "bpttviz speed --rows counting")
    sizes = [{"series": "steps", "atoms": 8, "structures": 1, "steps": k} for k in (5, 10, 20)]
    rows = [
        {"size": size, "device": "cpu", "seconds": 0.1 * size["steps"], "growth_bytes": 4_000_000}
        for size in sizes
    ]
    (tmp_path / "growth.json").write_text(json.dumps(rows))
    record = SpeedRecord.read(tmp_path)
    text = str(record)
    assert "counting" in text
    assert "over steps: time to the power 1.00, memory 0.00" in text
    assert "counting: `bpttviz speed --rows counting`, commit" in text
    assert record.to_markdown().count("```text") == 3


def test_what_is_committed_is_shown_without_a_folder(capsys):
    assert main(["speed"]) == 0
    told = capsys.readouterr().out
    for part in (
        "structures to rest, CHGNet",
        "torch-sim",
        "force-loss passes",
        "over atoms: time",
    ):
        assert part in told
    record = SpeedRecord.read()
    assert {row["size"]["series"] for row in record.growth} == {"atoms", "structures", "steps"}
    assert max(row["size"]["atoms"] for row in record.growth) == 1000
    measured = {row["name"] for rows in record.beside for row in rows[1:] if "ours" in row}
    assert measured | {"gradient", "growth"} == set(record.origins)
