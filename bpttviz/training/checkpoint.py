"""The file of a run: one safetensors file, whose header is checked whole before it is believed.

``run.safetensors`` holds the weights, the optimiser's state and, as JSON in its header, all the
rest; ``run.json`` beside it repeats the JSON for human eyes. Reading takes tensors and JSON only
and never executes code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import Tensor, nn

from bpttviz._files import UNDESCRIBED, write_atomic

FORMAT, VERSION = "bpttviz-run", 2
FILE = "run.safetensors"
STATUSES = ("running", "interrupted", "stopped early", "finished")
VALIDATION_FIELDS = ("update", "epoch", "value", "lost", "seconds")  # not free for metrics


class RunError(RuntimeError):
    """A run that cannot be saved, loaded or resumed: says why and what to do."""


def write(folder: Path, header: dict, tensors: dict[str, Tensor]) -> None:
    """Put a run in its folder; what was there stays whole until the new one is.

    Raises:
        RunError: the disk refused; the state saved before is intact.
    """
    text = json.dumps({"format": FORMAT, "version": VERSION, **header}, indent=1, allow_nan=False)
    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    earlier = (folder / FILE).exists()
    if not earlier and not _is_ours(folder / "run.json"):
        raise RunError(
            f"{folder / 'run.json'} is there already, and not from a run; it would be written "
            "over: choose another folder"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / FILE, safetensors_bytes(tensors, {"bpttviz": text}))
        write_atomic(folder / "run.json", text)
    except (OSError, SafetensorError) as error:
        kept = "the state saved before is intact" if earlier else "nothing was saved yet"
        raise RunError(
            f"could not write {folder / FILE} ({error}); {kept}. Free some space or choose "
            "another folder, then call finetune again"
        ) from error


def _is_ours(file: Path) -> bool:
    """Whether the JSON beside a run is one of ours, or is not there."""
    if not file.exists():
        return True
    try:
        return json.loads(file.read_text(encoding="utf-8")).get("format") == FORMAT
    except (OSError, ValueError, AttributeError):
        return False


def read(path: Path) -> tuple[dict, dict[str, Tensor]]:
    """(header, tensors) of the run in a folder, every field of the header as it should be.

    Raises:
        RunError: no run there, or a file that is not ours, damaged or of another version.
    """
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
        header = json.loads(text or "", parse_constant=_no_number)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise RunError(f"{file} is a safetensors file, but not a bpttviz run")
    _require_version(file, header.get("version"))
    problem = _HEADER(header, "")
    if problem:
        raise RunError(
            f"{file} is damaged: in its header {problem}. Take a copy of the run, or train again "
            "in another folder"
        )
    return header, tensors


def _require_version(file: Path, version: Any) -> None:
    if version == VERSION:
        return
    if isinstance(version, int) and version > VERSION:
        raise RunError(
            f"{file} was written by a newer bpttviz (format {version}, this one reads {VERSION}); "
            "update bpttviz"
        )
    raise RunError(
        f"{file} has format {version!r}, of before the first release; this bpttviz reads "
        f"{VERSION}: train again in another folder"
    )


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one part of the run, by their own names."""
    return {k.split("/", 1)[1]: v for k, v in tensors.items() if k.startswith(prefix + "/")}


def load_into(module: nn.Module, tensors: dict[str, Tensor], what: str, path: Path) -> None:
    """Take weights from a file: all of them, of the right shapes and kinds of number, and finite.

    Raises:
        RunError: otherwise; the module is as it was.
    """
    wanted = module.state_dict()
    wrong = [
        f"{name} is {_kind(tensors.get(name))} in the file, {_kind(wanted.get(name))} here"
        for name in sorted(wanted.keys() | tensors.keys())
        if _kind(wanted.get(name)) != _kind(tensors.get(name))
    ]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise RunError(f"the weights in {path} do not fit this {what}: {wrong[0]}{more}")
    for name, value in wanted.items():
        # What is infinite by intention (a mask, a limit) is so here too.
        if isinstance(value, Tensor) and all_finite([value]) and not all_finite([tensors[name]]):
            raise RunError(
                f"{path} holds weights of the {what} that are not finite ({name}): nothing can be "
                "computed with them; train again in another folder"
            )
    try:
        module.load_state_dict(tensors)
    except (RuntimeError, KeyError, TypeError, ValueError) as error:  # extra state of own modules
        raise RunError(f"the weights in {path} do not fit this {what}: {error}") from error


def load_optimizer(
    optimizer: torch.optim.Optimizer, parameters: list, tensors: dict[str, Tensor], path: Path
) -> None:
    """Take Adam's state from a file.

    Raises:
        RunError: it is not that of these parameters, or not finite.
    """
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, slot = key.partition("/")
        number = int(index) if index.isdecimal() and int(index) < len(parameters) else None
        if number is None or slot not in ("step", "exp_avg", "exp_avg_sq"):
            raise RunError(f"{path} holds an optimiser's state ({key}) that does not fit")
        shape = () if slot == "step" else tuple(parameters[number].shape)
        fits = value.is_floating_point() and tuple(value.shape) == shape and all_finite([value])
        # Of the three only the mean gradient may be negative.
        if not fits or (slot != "exp_avg" and bool((value < 0).any())):
            raise RunError(f"{path} holds an optimiser's state ({key}) that does not fit")
        state.setdefault(number, {})[slot] = value
    if any(len(slots) != 3 for slots in state.values()):
        raise RunError(f"{path} holds half of an optimiser's state")
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no number in any of the tensors is NaN or infinite."""
    found = [torch.isfinite(tensor).all() for tensor in tensors]
    # One question to the device, not one a tensor; what is on the CPU (Adam's counts) comes along.
    place = next((answer.device for answer in found if answer.device.type != "cpu"), None)
    return not found or bool(torch.stack([answer.to(place) for answer in found]).all())


def _kind(tensor: Any) -> str:
    """A tensor's shape and kind of number, in words; float32 and float64 are one kind."""
    if tensor is None:
        return "missing"
    if not isinstance(tensor, Tensor):
        return "no tensor"
    number = "complex" if tensor.is_complex() else str(tensor.dtype).removeprefix("torch.")
    number = "floating-point" if tensor.is_floating_point() else number
    return f"{number} {tuple(tensor.shape)}"


# --- what a header has to hold -------------------------------------------------------------------
# A check is a function of a value and its place; it returns what is wrong with it, or "".

Check = Callable[[Any, str], str]


def _simple(test: Callable[[Any], bool], wanted: str) -> Check:
    def check(value: Any, at: str) -> str:
        if test(value):
            return ""
        shown = repr(value)
        return f"{at} is {shown if len(shown) < 60 else shown[:57] + '...'}, not {wanted}"

    return check


def _none_or(check: Check) -> Check:
    return lambda value, at: "" if value is None else check(value, at)


def _list_of(member: Check) -> Check:
    def check(value: Any, at: str) -> str:
        if not isinstance(value, list):
            return f"{at} is no list"
        problems = (member(one, f"{at}[{index}]") for index, one in enumerate(value))
        return next(filter(None, problems), "")

    return check


def _record(
    fields: dict[str, Check],
    others: Check | None = None,
    optional: dict[str, Check] | None = None,
) -> Check:
    """An object with all of ``fields``; further ones are checked by ``others``, or refused.

    ``optional`` fields may be missing.
    """

    def check(value: Any, at: str) -> str:
        if not isinstance(value, dict):
            return f"{at or 'it'} is no object with fields"
        prefix = f"{at}." if at else ""
        for name, field in fields.items():
            if name not in value:
                return f"{prefix}{name} is missing"
            if problem := field(value[name], prefix + name):
                return problem
        for name in value.keys() - fields.keys():
            if optional is not None and name in optional:
                if problem := optional[name](value[name], prefix + name):
                    return problem
                continue
            problem = f"{prefix}{name} is unknown" if others is None else ""
            problem = problem or (others(value[name], prefix + name) if others else "")
            if problem:
                return problem
        return ""

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_step(value: Any) -> bool:
    """[t, |dL/dX_t|]"""
    return (
        isinstance(value, list)
        and len(value) == 2
        and _is_count(value[0])
        and (value[1] is None or _is_number(value[1]))
    )


def _is_part(value: Any) -> bool:
    """What `bpttviz.provenance.specification` says of an object."""
    return isinstance(value, dict) and (
        isinstance(value.get("class"), str) or isinstance(value.get(UNDESCRIBED), str)
    )


_NUMBER = _simple(_is_number, "a number")
_COUNT = _simple(_is_count, "a whole number")
_TEXT = _simple(lambda value: isinstance(value, str), "a text")
_FLAG = _simple(lambda value: isinstance(value, bool), "true or false")
_PART = _simple(_is_part, "a part with its class")

_HEADER = _record(
    {
        "format": _TEXT,
        "version": _COUNT,
        "settings": _record(
            {
                "potential": _PART,
                "initial_weights": _TEXT,
                "frozen": _list_of(_TEXT),
                "objective": _PART,
                "learning_rate": _NUMBER,
                "clip": _none_or(_NUMBER),
                "batch_size": _COUNT,
                "seed": _COUNT,
                "train": _list_of(_TEXT),
                "validation": _list_of(_TEXT),
                "data": _list_of(_TEXT),
            },
            optional={
                "schedule": _PART,
                "epochs": _COUNT,
                "average": _NUMBER,
                "l2_sp": _NUMBER,
                "memory": _record({"budget": _COUNT, "kept_steps": _COUNT}),
            },
        ),
        "rule": _none_or(_PART),
        "history": _list_of(
            _record(
                {
                    "update": _COUNT,
                    "epoch": _COUNT,
                    "loss": _none_or(_NUMBER),
                    "gradient_norm": _none_or(_NUMBER),
                    "sensitivity": _list_of(_simple(_is_step, "a step and a number")),
                    "seconds": _NUMBER,
                    "peak_bytes": _none_or(_NUMBER),
                    "structures": _list_of(_TEXT),
                    "left_out": _list_of(_TEXT),
                    "undone": _FLAG,
                }
            )
        ),
        "validations": _list_of(
            _record(
                {
                    "update": _COUNT,
                    "epoch": _COUNT,
                    "value": _none_or(_NUMBER),
                    "lost": _list_of(_TEXT),
                    "seconds": _NUMBER,
                },
                others=_none_or(_NUMBER),
            )
        ),
        "status": _simple(lambda value: value in STATUSES, f"one of {', '.join(STATUSES)}"),
        "epoch": _COUNT,
        "position": _COUNT,
    }
)
