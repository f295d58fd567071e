"""Loading packages that are built on e3nn so that their models can be differentiated twice."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

import torch


def import_extra(module: str, package: str, extra: str) -> ModuleType:
    """Import what an optional extra of bpttviz brings.

    Raises:
        ImportError: it is not installed; says what to install.
    """
    # e3nn reads a table of its own whose only unusual content is slices. Without this its import
    # fails unless torch.load is made to run code, which is what some packages do.
    with torch.serialization.safe_globals([slice]), quiet():
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != module.split(".")[0]:
                raise
            raise ImportError(
                f"this potential needs the package {package}, which is not installed; "
                f"pip install 'bpttviz[{extra}]'"
            ) from error


@contextmanager
def without_codegen() -> Iterator[None]:
    """Build e3nn modules as plain PyTorch, without the TorchScript they would generate.

    Its second derivatives are unreliable. (The spherical harmonics are a scripted function of the
    library itself and stay one; the contract's second derivatives hold through it.)
    """
    import e3nn

    before = e3nn.get_optimization_defaults()["jit_script_fx"]
    e3nn.set_optimization_defaults(jit_script_fx=False)
    try:
        with quiet():
            yield
    finally:
        e3nn.set_optimization_defaults(jit_script_fx=before)


@contextmanager
def quiet() -> Iterator[None]:
    """Without what these packages print and warn of (torch.load, TorchScript) while they build."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
