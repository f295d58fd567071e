"""What the headers of the small potentials' weights say, as a page."""

from __future__ import annotations

from pathlib import Path

from bpttviz.potentials.small.weights import read_header


def cards(folder: Path) -> str:
    """The README of a folder of weights, from what the files' headers say (Markdown)."""
    lines = [
        "# Small pretrained potentials",
        "",
        "Made by `bpttviz.experiments.pretrain`. A teacher, CHGNet, first learned the PBE forces",
        "of a few silicon relaxations, then labelled disturbed frames of them, of bulk silicon and",
        "of random alloys. The student learned its forces, then those of the relaxations and as",
        "many of the teacher's together. Energies were not learned: their differences within one",
        "composition follow from the forces, their zero from least squares. This page is written",
        "from the headers of the files, which hold the same as JSON.",
    ]
    for path in sorted(folder.glob("*.safetensors")):
        lines += _of_one(path)
    return "\n".join(lines) + "\n"


def _of_one(path: Path) -> list[str]:
    """The lines on one file of weights."""
    header = read_header(path)
    card, recipe = header["card"], header["card"]["recipe"]
    stages = {
        name: ", ".join(f"{epochs} × {rate:g}" for rate, epochs in recipe[name])
        for name in ("teach", "distil", "fit")
    }
    config = {key: value for key, value in header["config"].items() if key != "elements"}
    lines = [
        "",
        f"## {header['class']}",
        "",
        f"`bv.{header['class']}.pretrained()`, {path.stat().st_size / 1e6:.1f} MB, "
        f"{', '.join(f'{key} {value}' for key, value in config.items())}",
        "",
        "| what | value |",
        "|---|---|",
        f"| teacher | {card['teacher']['class']} {card['teacher']['config']} |",
        f"| frames labelled | {recipe['frames']}, and {recipe['held_out']} held out |",
        f"| relaxations seen | {', '.join(card['relaxations'])} |",
        f"| elements seen | {', '.join(card['elements'])} |",
        f"| epochs × learning rate, teacher on PBE forces | {stages['teach']} |",
        f"| epochs × learning rate, teacher's forces | {stages['distil']} |",
        f"| epochs × learning rate, PBE and teacher's forces | {stages['fit']} |",
        f"| structures an update, seed | {recipe['batch_size']}, {recipe['seed']} |",
        f"| command | `{card['command']}` (torch {card['torch']}) |",
        f"| licence | {card['licence']} |",
        "",
        "Mean absolute error of a force component, eV/Å. That the teacher is taught first, and",
        "how many frames it labels, was decided after errors on other groups had been seen.",
        "",
        "| frames | teacher | distilled | then fitted | no forces at all |",
        "|---|---|---|---|---|",
    ]
    for name, error in card["errors"].items():
        figures = " | ".join(f"{value:.3f}" for value in error.values())
        lines.append(f"| {name} | {figures} |")
    return lines
