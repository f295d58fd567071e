"""Colours that everyone can tell apart (Okabe and Ito), shared by plots and widgets."""

from __future__ import annotations

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, GREY, TEXT = "#56B4E9", "#CC79A7", "#8A8A8A", "#222222"

# One a potential, in the report's order: what one starts from, then what was made of it.
POTENTIALS = (ORANGE, BLUE, GREEN, PURPLE, VERMILION, SKY)

# Distance to the reference end: lightness falls all the way, so it reads without colour too.
DISTANCE = ("#F4EFE6", "#F9CE7B", "#EE8A2B", "#C2410C", "#5B1203")
GHOST = BLUE  # the reference end

# Forward through a relaxation, and the gradient's way back: lightness falls in both.
FORWARD = ("#F2F0EC", "#B9D7EA", "#56A3D3", BLUE, "#003B5C")
BACKWARD = ("#F2F0EC", "#F8CBA6", "#EE8F4F", VERMILION, "#6E2A00")
