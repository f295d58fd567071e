"""Colours that everyone can tell apart (Okabe and Ito), shared by plots and widgets."""

from __future__ import annotations

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY, TEXT = "#56B4E9", "#CC79A7", "#8A8A8A", "#222222"

# One a potential, in the report's order: what one starts from, then what was made of it.
POTENTIALS = (ORANGE, BLUE, GREEN, PURPLE, VERMILION, SKY)

# Distance to the reference end: lightness falls all the way, so it reads without colour too.
DISTANCE = ("#F4EFE6", "#F9CE7B", "#EE8A2B", "#C2410C", "#5B1203")
GHOST = BLUE  # the reference end
