"""The README's moving picture: python notebooks/site/moving_picture.py writes it, and its words."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import figures

import bpttviz as bv

PICTURE = HERE.parent / "pictures" / "relaxation.gif"

if __name__ == "__main__":
    print(bv.plotting.animate_relaxations(figures.before_and_after(), figures.DEFECT, PICTURE))
