"""`Run`: what a fine-tuning produced, and how it comes back from disk (see `checkpoint`)."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import bpttviz
from bpttviz._checks import file_path, instance_of
from bpttviz._files import plain, refusal
from bpttviz._tensor_checks import require_device
from bpttviz.potentials.base import Potential
from bpttviz.provenance import specification
from bpttviz.training import checkpoint
from bpttviz.training.average import WeightAverage, load_average
from bpttviz.training.checkpoint import FILE, RunError, load_into, load_optimizer, part
from bpttviz.training.export import CHANGES, add_changes, save_changes
from bpttviz.training.shipped import card_of, shipped_folder, shipped_runs

__all__ = ["FILE", "Progress", "Run", "RunError", "check_settings", "load_run"]


NO_LONGER = (
    "The length of a schedule counts from the first update on (that of a recipe comes from its "
    "epochs), so that with another one a run cannot be prolonged. "
)


@dataclass(eq=False)
class Run:
    """What a fine-tuning produced, finished or not.

    Attributes:
        potential: the fine-tuned potential: best by validation where there was one, else the last;
            averages of weights, where they were to be averaged.
        rule: the update rule with its learned step sizes, or None for an objective without one.
        history: one dictionary an update: update, epoch, loss (mean over its structures; None where
            none was usable), gradient_norm (before clipping), sensitivity ([step t, norm of dL/dX_t
            over its structures], where the objective records it), seconds, peak_bytes (the most
            memory held so far, see `bpttviz.profiling.memory_peak`), structures (names), left_out
            (names), undone (whether the weights were put back, as the new ones were not finite).
        validations: one dictionary a validation: update, epoch, value (mean loss; None where a
            structure was lost), lost (names), seconds, and what else was to be measured.
        settings: all that the result depends on; JSON-able.
        status: "running", "interrupted", "stopped early" or "finished".
        path: folder on disk, or None.
        card: what is to be known before it is used (Markdown); "" but for shipped runs.
    """

    potential: Potential
    rule: nn.Module | None
    history: list[dict] = field(default_factory=list)
    validations: list[dict] = field(default_factory=list)
    settings: dict = field(default_factory=dict)
    status: str = "running"
    path: Path | None = None
    card: str = ""

    def export(self, folder: str | Path, pretrained: Potential | None = None) -> None:
        """Write what is needed to use and to look at this run, an eighth of what resuming takes.

        The folder holds the weights as half-precision changes to the pretrained ones, the history
        and the settings. `load_run` reads it; `finetune` cannot resume it.

        Args:
            folder: a new or empty one, or one that an export was written to.
            pretrained: the potential as it was before; needed where bpttviz does not define its
                class.

        Raises:
            TypeError, ValueError: no path.
            RunError: other pretrained weights, a folder with something else in it, or the disk
                refused.
        """
        place = file_path("folder", folder)
        if pretrained is None:
            description = self.settings["potential"]
            pretrained = rebuild(description, Potential, "cpu", "pretrained", "run.export(folder")
        instance_of("pretrained", pretrained, Potential, "bv.CHGNet()")
        if (place / FILE).exists():
            if not part(checkpoint.read(place)[1], CHANGES):
                raise RunError(f"{place} holds a run that can be resumed; choose another folder")
        elif place.is_dir() and any(place.iterdir()):
            raise RunError(f"{place} holds other files; choose another folder")
        # The weights are the best or the average by now: nothing is left to go on from.
        reached = {"status": self.status, "epoch": 0, "position": 0}
        header = {"settings": self.settings, "validations": self.validations, **reached}
        save_changes(
            place, self.potential, pretrained, self.rule, {**header, "history": self.history}
        )

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
        batches: updates that make an epoch.
        best: weights of the potential and of the rule at the best validation, or None.
        average: of the weights, where they are to be averaged; None otherwise.
        epoch: epochs completed. position: batches done in the next one.
    """

    run: Run
    optimizer: torch.optim.Optimizer
    batches: int
    best: tuple[dict[str, Tensor], dict[str, Tensor]] | None = None
    average: WeightAverage | None = None
    epoch: int = 0
    position: int = 0

    def save(self) -> None:
        """Write to ``run.path``.

        Raises:
            RunError: the disk refused; the state saved before is intact.
        """
        run = self.run
        assert run.path is not None
        tensors = {f"potential/{k}": v for k, v in run.potential.state_dict().items()}
        tensors |= {f"rule/{k}": v for k, v in run.rule_state().items()}
        for prefix, weights in zip(("best", "best rule"), self.best or (), strict=False):
            tensors |= {f"{prefix}/{k}": v for k, v in weights.items()}
        for index, slots in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{k}": v for k, v in slots.items()}
        if self.average is not None:
            tensors |= {f"average/{k}": v for k, v in self.average.values.items()}
        header = {
            "settings": run.settings,
            "rule": None if run.rule is None else specification(run.rule),
            "history": run.history,
            "validations": run.validations,
            "status": run.status,
            "epoch": self.epoch,
            "position": self.position,
        }
        checkpoint.write(run.path, header, tensors)

    def restore(self, path: Path) -> None:
        """Take the state saved in ``path`` into this one, in place. Raises as `take`."""
        self.take(*checkpoint.read(path), path)

    def take(self, header: dict, tensors: dict[str, Tensor], path: Path) -> None:
        """Take a state into this one, in place, as `checkpoint.read` gives it.

        Raises:
            RunError: the state of an exported run, of one with other settings, or a damaged one.
        """
        if part(tensors, CHANGES):
            raise RunError(
                f"{path} holds an exported run, without what resuming needs. Choose another "
                "folder; to go on from its weights, fine-tune load_run(path).potential"
            )
        check_settings(header["settings"], self.run.settings, path)
        run = self.run
        best, best_rule = part(tensors, "best"), part(tensors, "best rule")
        if best:  # checked on the way: it is what load_run gives
            load_into(run.potential, best, "potential", path)
            if run.rule is not None:
                load_into(run.rule, best_rule, "rule", path)
        load_into(run.potential, part(tensors, "potential"), "potential", path)
        if run.rule is not None:
            load_into(run.rule, part(tensors, "rule"), "rule", path)
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        load_optimizer(self.optimizer, parameters, part(tensors, "optimizer"), path)
        if self.average is not None:
            self.average.restore(part(tensors, "average"), path)
        updates = len(header["history"])
        reached = header["epoch"] * self.batches + header["position"]
        if header["position"] > self.batches or reached != updates:
            raise RunError(
                f"{path} is damaged: it is at batch {header['position']} of epoch "
                f"{header['epoch'] + 1}, and has a history of {updates} updates"
            )
        self.best = (best, best_rule) if best else None
        self.epoch, self.position = header["epoch"], header["position"]
        run.history, run.validations = header["history"], header["validations"]
        run.status = header["status"]


def load_run(
    path: str | Path,
    potential: Potential | None = None,
    rule: nn.Module | None = None,
    device: str | torch.device = "cpu",
) -> Run:
    """Read a run back, finished or not, or one that comes with bpttviz.

    Args:
        path: the folder given as ``out`` to `finetune`, or the name of a shipped run:
            "si-defects/chgnet" (a folder called so is "./si-defects/chgnet"; where it holds a run
            too, a warning says which was taken).
        potential, rule: take the weights; needed where bpttviz does not define their classes.
        device: where the potential goes when it is rebuilt from the file.

    Raises:
        TypeError: no path, or a potential or rule that is none.
        ValueError: there is no such device.
        RunError: no run there, a file that is not ours or damaged, weights that do not fit or are
            not finite, or a potential that needs to be passed.

    Warns:
        UserWarning: the potential or rule passed is not what the weights are from; a rule was
            passed, and the run has none; a name is that of a shipped run and of one's own.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"load_run takes the folder of a run, got a {type(path).__name__}")
    device = require_device(device)  # else rebuilding would fail, and ask for what is no help
    path, header, tensors = _read_named(path)
    if potential is None:
        potential = rebuild(header["settings"]["potential"], Potential, device, "potential")
    else:
        instance_of("potential", potential, Potential, "bv.CHGNet()")
        _say_if_other(potential, header["settings"]["potential"], "potential", path)
    if rule is not None:
        instance_of("rule", rule, nn.Module, "bv.GradientDescent()")
        _say_if_other(rule, header["rule"], "rule", path)
    if header["rule"] is None:
        rule = None
    elif rule is None:
        rule = rebuild(header["rule"], nn.Module, device, "rule")
    _fill(potential, rule, header, tensors, path)
    return Run(
        potential,
        rule,
        header["history"],
        header["validations"],
        header["settings"],
        header["status"],
        path,
        card_of(path),
    )


def _read_named(name: str | Path) -> tuple[Path, dict, dict[str, Tensor]]:
    """(folder, header, tensors) of a run by its folder, or of a shipped one by its name."""
    path = (shipped_folder(name) if isinstance(name, str) else None) or Path(name)
    try:
        return path, *checkpoint.read(path)
    except RunError as error:
        if path.exists():
            raise
        raise RunError(f"{error}. Shipped runs: {', '.join(shipped_runs())}") from error


def _fill(
    potential: Potential,
    rule: nn.Module | None,
    header: dict,
    tensors: dict[str, Tensor],
    path: Path,
) -> None:
    """Give a potential and its rule the weights that a run led to: the best, else the average."""
    best, best_rule = part(tensors, "best"), part(tensors, "best rule")
    average = {} if best else part(tensors, "average")
    if changes := part(tensors, CHANGES):
        add_changes(potential, changes, header["settings"]["initial_weights"], path)
    else:
        load_into(potential, best or part(tensors, "potential"), "potential", path)
    load_average(potential, part(average, "potential"), path)
    if rule is not None:
        load_into(rule, best_rule or part(tensors, "rule"), "rule", path)
        load_average(rule, part(average, "rule"), path)


def _say_if_other(given: nn.Module, saved: Any, role: str, path: Path) -> None:
    """Warn where what is to take the weights is not what they are from, or there are none."""
    if saved is None:
        warnings.warn(
            f"the run in {path} has no {role}: the one passed takes nothing from it, and is not "
            "in the run that is returned",
            stacklevel=3,
        )
        return
    # Weights are taken over: what depends on them is no difference.
    now, otherwise = (plain({role: s}) for s in (specification(given), _with_other_weights(given)))
    before = plain({role: saved})
    for described in (now, otherwise, before):  # a type that the weights do not fit is refused
        told = described[role]
        if isinstance(told, dict) and isinstance(told.get("config"), dict):
            told["config"].pop("dtype", None)
    reason = refusal(_where_alike(before, now, otherwise), _where_alike(now, now, otherwise))
    if reason:
        warnings.warn(
            f"the run in {path} was made with another {role} ({reason}): the weights are taken, "
            "and may mean something else in this one",
            stacklevel=3,
        )


def _with_other_weights(module: nn.Module) -> Any:
    """What `specification` would say of a module with other weights; it has its own again after."""
    before = [(p, p.detach().clone()) for p in module.parameters() if p.is_floating_point()]
    try:
        with torch.no_grad():
            for parameter, _ in before:
                parameter.add_(1.0)
        return specification(module)
    finally:
        with torch.no_grad():
            for parameter, value in before:
                parameter.copy_(value)


def _where_alike(described: Any, one: Any, other: Any) -> Any:
    """A description with a word in place of those parts in which two others differ."""
    if one == other:
        return described
    parts = (described, one, other)
    if all(isinstance(part, dict) for part in parts):
        return {k: _where_alike(v, one.get(k), other.get(k)) for k, v in described.items()}
    listed = all(isinstance(part, list) and len(part) == len(one) for part in parts)
    if listed and any(isinstance(member, dict) for member in one):  # not numbers
        return [_where_alike(*members) for members in zip(*parts, strict=True)]
    return "weights"


def check_settings(saved: dict, wanted: dict, path: Path) -> None:
    """Raise `RunError` where a saved run was made with settings other than those wanted."""
    reason = refusal(saved, wanted)
    if reason:
        longer = _length(saved) != _length(wanted)
        raise RunError(
            f"{path} holds a run with other settings ({reason}). "
            + (NO_LONGER if longer else "")
            + "Choose another folder, delete this one, or repeat the old settings to resume it"
        )


def _length(settings: dict) -> list[Any]:
    """What says how long a schedule is; a recipe's gets it from its epochs."""
    schedule = settings.get("schedule")
    config = schedule.get("config") if isinstance(schedule, dict) else None
    return [settings.get("epochs"), config.get("updates") if isinstance(config, dict) else None]


def rebuild(
    description: Any, base: type, device: str | torch.device, role: str, call: str = "load_run(path"
) -> Any:
    """An object from what `specification` says of it; only classes that bpttviz itself offers.

    Raises:
        RunError: another class, or arguments that it refuses.
    """
    name, config = description.get("class"), description.get("config")
    offered = getattr(bpttviz, "__all__", [])
    found: Any = getattr(bpttviz, name) if name in offered else None
    if config is None or not (isinstance(found, type) and issubclass(found, base)):
        raise RunError(
            f"this run's {name or description} is not defined by bpttviz or cannot rebuild itself; "
            f"pass it: {call}, {role}=...)"
        )
    try:
        config = {key: _rebuilt(value, device) for key, value in config.items()}
        if hasattr(found, "from_config"):
            return found.from_config(config, device)
        made: Any = found(**config)
        return made.to(device)
    except RunError:
        raise
    except Exception as error:  # whatever a class does with arguments that are not its own
        raise RunError(
            f"this run's {name} cannot be made again ({type(error).__name__}: {error}); pass it: "
            f"{call}, {role}=...)"
        ) from error


def _rebuilt(value: Any, device: str | torch.device) -> Any:
    """A constructor's argument; a potential inside another is rebuilt too."""
    if isinstance(value, dict) and isinstance(value.get("class"), str):
        return rebuild(value, nn.Module, device, "potential")
    return value
