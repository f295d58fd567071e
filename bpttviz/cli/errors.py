"""What went wrong, in a sentence that a user can do something about."""

from __future__ import annotations

import pickle
import urllib.error

# Their messages are written for users, all through the package.
WRITTEN_FOR_USERS = (
    "ValueError",
    "ImportError",
    "RunError",
    "TrainingError",
    "FolderInUse",
    "ImplicitError",
    "DownloadError",
    "AssignmentError",
    "NoEnd",
    "NoCluster",
)


# What functions call their arguments, and what the command line calls them.
HERE = {
    "skip_bad=True": "--skip-bad",
    "format=": "--format",
    "group= of read_relaxations": "--groups",
    "group=": "--groups",
    "use read_pairs": "use --pairs",
}


def sentence(error: Exception) -> str:
    """What to tell a user of an error that ended a command."""
    text = _sentence(error)
    for there, here in HERE.items():
        text = text.replace(there, here)
    return text


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        # torch's own message advises to let the file execute code.
        return (
            "a model file could not be read: it is damaged, is of another kind, or holds more than "
            "weights, which opening it would execute"
        )
    if isinstance(error, urllib.error.URLError):
        return f"something had to be downloaded, and could not be: {error.reason}"
    if isinstance(error, OSError):
        return _of_system(error, text)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return (
            "there is not enough memory; take smaller structures or fewer at a time, or fewer "
            f"steps ({text})"
        )
    if any(cls.__name__ in WRITTEN_FOR_USERS for cls in type(error).__mro__):
        return text
    return (
        f"{type(error).__name__}: {text} (this should not happen: please report it, with what the "
        "same command says with --traceback)"
    )


def _of_system(error: OSError, text: str) -> str:
    """What the operating system refused, and where."""
    kind = type(error).__name__
    if "Connection" in kind or "Timeout" in kind or "HTTP" in kind:
        return f"something had to be downloaded, and could not be: {text}"
    why = error.strerror or text
    return f"{error.filename}: {why}" if error.filename else why
