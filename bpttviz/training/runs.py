"""Fine-tuning runs on disk: one safetensors file with everything needed to use or resume them.

``run.safetensors`` holds the weights, the optimiser's state and, as JSON in its header, all the
rest; ``run.json`` beside it repeats the JSON for human eyes. Loading reads tensors and JSON only
and never executes code. A file is written under another name first and then put in place, so that
a full disk or a killed process leaves the previous one readable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

import bpttviz
from bpttviz._files import write_in_one_move
from bpttviz.potentials.base import Potential
from bpttviz.provenance import specification
from bpttviz.relaxation.rules import GradientDescent

FORMAT, VERSION = "bpttviz-run", 1
FILE = "run.safetensors"


class RunError(RuntimeError):
    """A run that cannot be saved, loaded or resumed: says why and what to do."""


@dataclass(eq=False)
class Run:
    """What a fine-tuning produced, finished or not.

    Attributes:
        potential: the fine-tuned potential: best by validation where there was one, else the last.
        rule: the update rule with its learned step sizes, or None for an objective without one.
        history: one dictionary an update: update, epoch, loss (mean over its structures; None where
            none was usable), gradient_norm (before clipping), sensitivity ([step t, norm of dL/dX_t
            over its structures], where the objective records it), seconds, peak_bytes (the most
            memory held so far, see `bpttviz.profiling.memory_peak`), structures (names) and left_out.
        validations: one dictionary a validation: update, epoch, value (mean loss; None where a
            structure was lost), lost (names), seconds, and what else was to be measured. Runs saved
            by earlier versions lack sensitivity, peak_bytes, left_out and a validation's seconds.
        settings: all that the result depends on; JSON-able.
        status: "running", "interrupted", "stopped early" or "finished".
        path: folder on disk, or None.
    """

    potential: Potential
    rule: GradientDescent | None
    history: list[dict] = field(default_factory=list)
    validations: list[dict] = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    status: str = "running"
    path: Path | None = None

    def rule_state(self) -> dict[str, Tensor]:
        """The rule's weights; none where there is no rule."""
        return {} if self.rule is None else self.rule.state_dict()

    def __repr__(self) -> str:
        losses = [h["loss"] for h in self.history if h["loss"] is not None]
        last = f", last loss {losses[-1]:.3f}" if losses else ""
        return (
            f"<Run of {type(self.potential).__name__}: {self.status} after {len(self.history)} "
            f"updates{last}{f', in {self.path}' if self.path else ''}>"
        )


@dataclass(eq=False)
class Progress:
    """The state of a training in progress: everything that a resumed one must have back.

    Attributes:
        run: the run so far; its potential holds the *current* weights.
        optimizer: over the trained parameters.
        best: weights of the potential and of the rule at the best validation, or None.
        epoch: epochs completed. position: batches done in the next one.
    """

    run: Run
    optimizer: torch.optim.Optimizer
    best: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
    epoch: int = 0
    position: int = 0

    def save(self) -> None:
        """Write to ``run.path``.

        Raises:
            RunError: the disk refused; the state saved before is intact.
        """
        run = self.run
        tensors = {f"potential/{k}": v for k, v in run.potential.state_dict().items()}
        tensors |= {f"rule/{k}": v for k, v in run.rule_state().items()}
        for prefix, weights in zip(("best", "best rule"), self.best or (), strict=False):
            tensors |= {f"{prefix}/{k}": v for k, v in weights.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v for k, v in slots.items()}
        header = {
            "format": FORMAT,
            "version": VERSION,
            "settings": run.settings,
            "rule": None if run.rule is None else specification(run.rule),
            "history": run.history,
            "validations": run.validations,
            "status": run.status,
            "epoch": self.epoch,
            "position": self.position,
        }
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        text = json.dumps(header, indent=1)
        earlier = (run.path / FILE).exists()
        try:
            run.path.mkdir(parents=True, exist_ok=True)
            write_in_one_move(run.path / FILE, lambda p: save_file(tensors, p, {"bpttviz": text}))
            write_in_one_move(run.path / "run.json", lambda p: p.write_text(text, encoding="utf-8"))
        except (OSError, SafetensorError) as error:
            kept = "the state saved before is intact" if earlier else "nothing was saved yet"
            raise RunError(
                f"could not write {run.path / FILE} ({error}); {kept}. Free some space or choose "
                "another folder, then call finetune again"
            ) from error

    def restore(self, path: Path) -> None:
        """Take the state saved in ``path`` into this one, in place.

        Raises:
            RunError: the file is not a run, or one with other settings.
        """
        header, tensors = read(path)
        check_settings(header["settings"], self.run.settings, path)
        run = self.run
        run.potential.load_state_dict(_part(tensors, "potential"))
        if run.rule is not None:
            run.rule.load_state_dict(_part(tensors, "rule"))
        state = self.optimizer.state_dict()
        for key, value in _part(tensors, "optimizer").items():
            index, slot = key.split("/")
            state["state"].setdefault(int(index), {})[slot] = value
        self.optimizer.load_state_dict(state)
        best = _part(tensors, "best")
        self.best = (best, _part(tensors, "best rule")) if best else None
        self.epoch, self.position = header["epoch"], header["position"]
        run.history, run.validations = header["history"], header["validations"]
        run.status = header["status"]


def load_run(
    path: str | Path,
    potential: Potential | None = None,
    rule: nn.Module | None = None,
    device: str | torch.device = "cpu",
) -> Run:
    """Read a run back, finished or not.

    Args:
        path: the folder given as ``out`` to `finetune`.
        potential, rule: take the weights; needed where bpttviz does not define their classes.
        device: where the potential goes when it is rebuilt from the file.

    Raises:
        RunError: no run there, a file that is not ours or damaged, or a potential that needs to be
            passed.
    """
    path = Path(path)
    header, tensors = read(path)
    if potential is None:
        potential = _rebuild(header["settings"]["potential"], Potential, device, "potential")
    weights = _part(tensors, "best") or _part(tensors, "potential")
    try:
        potential.load_state_dict(weights)
    except RuntimeError as error:
        raise RunError(f"the weights in {path} do not fit this potential: {error}") from error
    if header["rule"] is not None:
        if rule is None:
            rule = _rebuild(header["rule"], nn.Module, device, "rule")
        best_rule = _part(tensors, "best rule") if _part(tensors, "best") else {}
        rule.load_state_dict(best_rule or _part(tensors, "rule"))
    return Run(
        potential,
        rule,
        header["history"],
        header["validations"],
        header["settings"],
        header["status"],
        path,
    )


def read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """(header, tensors) of the run in a folder. Raises `RunError` as `load_run` does."""
    file = path / FILE if path.is_dir() else path
    if not file.exists():
        raise RunError(f"there is no run in {path}: {FILE} is missing")
    try:
        with safe_open(file, "pt") as content:
            text = (content.metadata() or {}).get("bpttviz")
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(
            f"{file} is not a safetensors file, or a damaged one ({error}). Only bpttviz runs are "
            "loaded; pickled checkpoints (.pt, .pth) can execute code and are not opened"
        ) from error
    try:
        header = json.loads(text)
        ours = header["format"] == FORMAT
    except (TypeError, ValueError, KeyError):
        ours = False
    if not ours:
        raise RunError(f"{file} is a safetensors file, but not a bpttviz run")
    if header["version"] > VERSION:
        raise RunError(
            f"{file} was written by a newer bpttviz (format {header['version']}, this one reads "
            f"{VERSION}); update bpttviz"
        )
    return header, tensors


def check_settings(saved: dict, wanted: dict, path: Path) -> None:
    """Raise `RunError` where a saved run was made with settings other than those wanted."""
    differing = [k for k in sorted(saved.keys() | wanted.keys()) if saved.get(k) != wanted.get(k)]
    if differing:
        details = "; ".join(
            f"{k}: saved {saved.get(k)!r}, now {wanted.get(k)!r}" for k in differing
        )
        raise RunError(
            f"{path} holds a run with other settings ({details}). Choose another folder, delete "
            "this one, or repeat the old settings to resume it"
        )


def _rebuild(description: dict, base: type, device, role: str):
    """An object from its class's name and arguments; only classes that bpttviz itself offers."""
    name, config = description["class"], description["config"]
    found = getattr(bpttviz, name) if name in bpttviz.__all__ else None
    if config is None or not (isinstance(found, type) and issubclass(found, base)):
        raise RunError(
            f"this run's {name} is not defined by bpttviz or cannot rebuild itself; pass it: "
            f"load_run(path, {role}=...)"
        )
    if hasattr(found, "from_config"):
        return found.from_config(config, device)
    return found(**config).to(device)


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.split("/", 1)[1]: v for k, v in tensors.items() if k.startswith(prefix + "/")}
