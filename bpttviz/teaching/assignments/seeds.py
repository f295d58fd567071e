"""The instructor's seed: what is drawn from it nobody else can draw."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

import numpy as np

from bpttviz._files import write_atomic

SEED_FILE = "instructor_seed.txt"
ENDS_FILE = "withheld_ends.extxyz"  # of A3's challenge
INSTRUCTOR_ONLY = (SEED_FILE, ENDS_FILE)
SHORTEST = 12  # characters: shorter ones could be found by trying


def draws(seed: str, purpose: str) -> np.random.Generator:
    """Random numbers for one purpose, which tell nothing of those for another."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def hidden_draws(question: str, folder: str | Path = ".") -> np.random.Generator:
    """What a hidden test draws its inputs from, where it is run by the autograder.

    Raises:
        FileNotFoundError: no seed in the folder, as everywhere but in grading.
    """
    return draws((Path(folder) / SEED_FILE).read_text(encoding="utf-8").strip(), question)


def instructor_seed(file: Path) -> str:
    """The seed in a file, which is made from the system's randomness where there is none.

    Raises:
        ValueError: the file holds no seed, or one that is short enough to be guessed.
    """
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, secrets.token_hex(16) + "\n")
        file.chmod(0o600)
    seed = file.read_text(encoding="utf-8").strip()
    if len(seed) < SHORTEST:
        raise ValueError(
            f"the seed in {file} has {len(seed)} characters; one of fewer than {SHORTEST} could be "
            "guessed. Delete the file to have one drawn"
        )
    return seed
