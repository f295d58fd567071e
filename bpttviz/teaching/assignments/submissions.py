"""What students hand in: found in folders and archives, read whatever state it is in.

A notebook comes back from a class in many forms: exported by another program without its
metadata, with another kernel's name, with Windows' line ends, inside an archive, cut off on the
way. What can be graded is put into one form here; what cannot gets a sentence that says why.
"""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import nbformat

from bpttviz.teaching.assignments.unusual import unusual_code

ANSWER_TAG = "otter_answer_cell"
# Around a question, in cells of their own: where words are looked for when tags were lost.
BEGINS, ENDS = "<!-- BEGIN QUESTION -->", "<!-- END QUESTION -->"
NOTEBOOK, ARCHIVE = ".ipynb", ".zip"
LARGEST = 200_000_000  # bytes of a notebook; more is an accident, or meant to fill the memory
LONGEST_NAME = 200  # bytes: file systems allow 255, ends of names included
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}


class UnreadableSubmission(ValueError):
    """What was handed in cannot be graded; the sentence says why."""


@dataclass(frozen=True)
class Submission:
    """One notebook as it was handed in.

    Attributes:
        name: by which it is known in the table and in file names: its place, in one word.
        content: its bytes; none where there is a problem.
        problem: why it could not be read, "" where it could.
    """

    name: str
    content: bytes = b""
    problem: str = ""


@dataclass(frozen=True)
class ReadyNotebook:
    """A submission in the one form that is graded.

    Attributes:
        notebook: no outputs, the course's kernel, cells called "cell-1", "cell-2", ...
        words: what was written in the cells for words.
        code: all code without white space, by which copies are found.
        unusual: parts of the code that an answer has no use for.
    """

    notebook: nbformat.NotebookNode
    words: tuple[str, ...]
    code: str
    unusual: tuple[str, ...]


def find_submissions(folder: Path) -> tuple[list[Submission], list[Path]]:
    """The notebooks of a folder, of those in it and of archives, without checkpoints.

    Returns:
        the submissions by name, and the files that are neither notebook nor archive.

    Raises:
        FileNotFoundError: no folder, or none in it.
    """
    if not folder.is_dir():
        what = "a file, and a folder is asked for" if folder.exists() else "no such folder"
        raise FileNotFoundError(f"{folder}: {what}")
    found: dict[str, Submission] = {}
    others = []
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder)
        if file.is_dir() or (_hidden(place.parts) and file.name != NOTEBOOK):
            continue
        suffix = file.suffix.lower()
        if suffix == NOTEBOOK or (suffix != ARCHIVE and _holds_notebook(file)):
            _add(found, _from_file(file, place))
        elif suffix == ARCHIVE:
            for one in _from_archive(file, place):
                _add(found, one)
        else:
            others.append(file)
    if not found:
        raise FileNotFoundError(f"{folder}: no notebooks (*.ipynb) to grade")
    return list(found.values()), others


def _hidden(parts: tuple[str, ...]) -> bool:
    """Checkpoints, and what file managers leave in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def _holds_notebook(file: Path) -> bool:
    """Whether a file is a notebook, whatever its name ends with: mail programs add ".txt"."""
    try:
        with file.open("rb") as opened:
            if not opened.read(100).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
                return False
        return file.stat().st_size <= LARGEST and "cells" in json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False


def printable(name: str) -> str:
    """A file's name without bytes that are no text, as other systems' archives leave them."""
    return os.fsencode(name).decode(errors="replace")


def _add(found: dict[str, Submission], one: Submission) -> None:
    """Under its name, or a new one: no two submissions share a row or a file."""
    short = one.name.encode()[:LONGEST_NAME].decode(errors="ignore")
    name, count = short, 1
    while name in found:
        count += 1
        name = f"{short} ({count})"
    found[name] = Submission(name, one.content, one.problem)


def _name(place: PurePosixPath | Path) -> str:
    # Archives may say "/abs/x.ipynb", or have Windows' separators.
    shorter = place if place.name == NOTEBOOK else place.with_suffix("")
    parts = re.split(r"[/\\]+", printable(str(shorter)))
    return "__".join(part for part in parts if part)


def _from_file(file: Path, place: Path) -> Submission:
    try:
        if file.stat().st_size > LARGEST:
            return Submission(_name(place), problem=_too_large(file.stat().st_size))
        return Submission(_name(place), file.read_bytes())
    except OSError as error:
        return Submission(_name(place), problem=f"the file cannot be read: {error.strerror}")


def _from_archive(file: Path, place: Path) -> Iterator[Submission]:
    """The notebooks of a zip file, or one submission that says why there are none."""
    count = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                inside = PurePosixPath(member.filename)
                if inside.suffix.lower() != NOTEBOOK or _hidden(inside.parts):
                    continue
                count += 1
                name = f"{_name(place)}__{_name(inside)}"
                if member.file_size > LARGEST:
                    yield Submission(name, problem=_too_large(member.file_size))
                else:
                    yield _from_member(archive, member, name)
    except Exception as error:  # zipfile and what unpacks for it have errors of many kinds
        yield Submission(_name(place), problem=f"the archive cannot be opened: {error}")
    else:
        if not count:
            yield Submission(_name(place), problem="there is no notebook (.ipynb) in the archive")


def _from_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> Submission:
    try:
        return Submission(name, archive.read(member))
    except Exception as error:  # as above; the other notebooks of the archive are none the worse
        return Submission(name, problem=f"it cannot be unpacked from its archive: {error}")


def _too_large(size: int) -> str:
    return f"{size / 1e6:.0f} MB is too large: clear its outputs, and save it again"


def prepare(content: bytes, assignment: str | None) -> ReadyNotebook:
    """Bring a notebook into the form that is graded.

    Args:
        content: as it was handed in.
        assignment: the name that the autograder asks for; None: any.

    Raises:
        UnreadableSubmission: there is nothing in it that could be graded.
    """
    raw = _json(content)
    try:
        notebook = nbformat.from_dict(raw)
        notebook = nbformat.convert(notebook, 4) if raw.get("nbformat") != 4 else notebook
        cells = [_cell(number, cell) for number, cell in enumerate(notebook.cells, 1)]
    except Exception as error:  # any shape but that of a notebook breaks somewhere in here
        raise UnreadableSubmission(
            f"JSON, but no notebook: {type(error).__name__}: {error}"
        ) from None
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    if not code:
        raise UnreadableSubmission("a notebook without a code cell")
    named = notebook.get("metadata", {}).get("otter", {})
    named = named.get("assignment_name") if isinstance(named, dict) else None
    if assignment and named and named != assignment:
        raise UnreadableSubmission(f"this is {named}, and the autograder is that of {assignment}")
    metadata = {"kernelspec": dict(KERNEL), "otter": {"assignment_name": assignment}}
    ready = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    text = re.sub(r"\s", "", "\n".join(code))
    return ReadyNotebook(ready, _words(cells), text, unusual_code(code))


def _words(cells: list[nbformat.NotebookNode]) -> tuple[str, ...]:
    """What was written in the cells for words.

    Without their tags, as some programs save them: all text within a question.
    """
    texts = [cell for cell in cells if cell.cell_type == "markdown"]
    tagged = [c.source.strip() for c in texts if ANSWER_TAG in c.metadata.get("tags", [])]
    if tagged:
        return tuple(tagged)
    found, inside = [], False
    for cell in cells:
        inside = (inside or BEGINS in cell.source) and ENDS not in cell.source
        own = cell.source.replace(BEGINS, "").strip()
        if inside and cell.cell_type == "markdown" and own:
            found.append(own)
    return tuple(found)


def _json(content: bytes) -> dict[str, Any]:
    """The JSON of a notebook, whatever program wrote it.

    Raises:
        UnreadableSubmission: it is none.
    """
    if not content.strip():
        raise UnreadableSubmission("the file is empty")
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    text = content.decode("utf-16" if wide else "utf-8-sig", errors="replace")
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        begins = text.lstrip().startswith("{")
        said = "a notebook that breaks off or is damaged" if begins else "not a notebook"
        raise UnreadableSubmission(f"{said}: {error}") from None
    if not isinstance(raw, dict):
        raise UnreadableSubmission("JSON, but no notebook")
    return raw


def _cell(number: int, cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A fresh cell: what was in it is run, what was around it is not.

    Otter's mark, which would test an answer right after its cell, goes too: tests then come last,
    and see an answer wherever in the notebook it was written, as the public checks do.
    """
    source = cell.source if isinstance(cell.source, str) else "".join(cell.source)
    make = {
        "code": nbformat.v4.new_code_cell,
        "markdown": nbformat.v4.new_markdown_cell,
    }.get(cell.cell_type, nbformat.v4.new_raw_cell)
    made = make(source.replace("\r\n", "\n").replace("\r", "\n"), id=f"cell-{number}")
    tags = cell.get("metadata", {}).get("tags", [])
    made.metadata["tags"] = [tag for tag in tags if tag == ANSWER_TAG]
    return made
