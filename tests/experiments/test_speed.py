"""Timings beside others: taken in turn, kept, and never mixed between machines."""

import json
from dataclasses import asdict, dataclass

import pytest
import torch

from bpttviz.cli.main import main
from bpttviz.experiments import speed
from bpttviz.experiments.cost import silicon_of
from bpttviz.experiments.growth import Size, measure_growth
from bpttviz.experiments.machine import machine_here
from bpttviz.experiments.speed_record import SpeedRecord, write_origin
from bpttviz.experiments.speed_work import FixedSteps, OnDevice, Pair, ToRest, Work
from bpttviz.plotting.gradients import plot_growth


@dataclass(frozen=True)
class Counting(Work):
    """Counts; theirs counts three times as far."""

    far: int = 300_000
    name = "counting"
    against = "more of it"
    target = 2.0

    def prepare(self):
        def count(times):
            return sum(i * i for i in range(times))

        return Pair(lambda: count(self.far), lambda: count(3 * self.far), lambda a, b: float(b > a))


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
    with pytest.raises(ValueError, match=r"'counting' with other settings .*300000.*, not .*8"):
        speed.measure_speed([Counting(far=8)], file)
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


def test_growth_on_another_device_or_machine_is_not_mixed_in(tmp_path):
    size = Size("structures", atoms=8, steps=1)
    rows = [
        {"size": asdict(size), "device": device, "machine": machine_here(torch.device(device)),
         "seconds": 1.0, "growth_bytes": 2}
        for device in ("cpu", "cuda")
    ]  # fmt: skip
    (tmp_path / "growth.json").write_text(json.dumps(rows))
    assert measure_growth(tmp_path / "growth.json", [size]) == rows[:1]
    assert measure_growth(tmp_path / "growth.json", [size], "cuda") == rows[1:]
    (tmp_path / "growth.json").write_text(json.dumps([rows[0] | {"machine": "an abacus"}]))
    with pytest.raises(ValueError, match=r"growth\.json was measured on another machine \(an abac"):
        measure_growth(tmp_path / "growth.json", [size])


@pytest.mark.parametrize("measure", [measure_growth, speed.measure_speed])
def test_a_damaged_file_is_named(tmp_path, measure):
    file = tmp_path / "kept.json"
    file.write_text("[{")
    with pytest.raises(ValueError, match=r"kept\.json is damaged"):
        measure([], file) if measure is speed.measure_speed else measure(file, [])


def test_only_cubes_of_silicon_grow():
    with pytest.raises(ValueError, match="8, 64, 216"):
        silicon_of(100)
    assert [len(silicon_of(n)[0].numbers) for n in (8, 64, 216)] == [8, 64, 216]


def test_a_record_tells_what_a_folder_holds_and_where_it_comes_from(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no timings; `bpttviz speed --out`"):
        SpeedRecord.read(tmp_path)
    speed.measure_speed([Counting()], tmp_path / "speed.json", repeats=1)
    write_origin(tmp_path, "counting", "bpttviz speed --rows counting", "cpu")
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


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("growth.json", [1]), ("growth.json", [{"size": {}}]), ("paired.json", [1]),
        ("speed.json", [1]), ("speed.json", {"a": 1}), ("speed.json", [{"name": "x"}]),
    ],
)  # fmt: skip
def test_files_of_another_kind_are_no_timings(tmp_path, name, content):
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(ValueError, match="named as timings are, but of other contents"):
        SpeedRecord.read(tmp_path)


def test_growth_of_one_size_has_no_law(tmp_path):
    row = {"size": {"series": "steps", "atoms": 8, "structures": 1, "steps": 5}, "seconds": 1.0,
           "growth_bytes": 2e6}  # fmt: skip
    (tmp_path / "growth.json").write_text(json.dumps([row]))
    text = str(SpeedRecord.read(tmp_path))
    assert "0.00" in text
    assert "to the power" not in text


def test_rows_are_not_measured_without_a_folder(capsys):
    assert main(["speed", "--rows", "growth"]) == 1
    assert "give --out" in capsys.readouterr().err
