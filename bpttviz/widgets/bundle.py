"""A widget's front end, written as several files for readers, as one text for browsers.

No bundler and no Node: the files import one another by relative paths, `bundle` follows those
imports, takes each file once, in the order in which they need one another, and leaves the import
lines out, and the comments that stand on lines of their own. What is left is one module. So that
this means the same as the separate modules did, files do not rename what they import, and no two of
them define the same name at their top level: both are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

FRONTEND = Path(__file__).parent / "frontend"

# import { a, b } from "./file.js";   export { a } from "./file.js";   import "./file.js";
IMPORT = re.compile(
    r"^(?:(?:import\b|export\s*(?=[{*]))(?P<names>[^\"';=(){]*(?:\{[^}]*\})?[^\"';=(){]*?)\bfrom\b"
    r"|import\b)\s*[\"'](?P<path>[^\"']+)[\"'];?[ \t]*\n",
    re.MULTILINE,
)
# What is written for readers of the files only: half of some.
COMMENT = re.compile(r"^[ \t]*/\*\*(?:(?!\*/).)*\*/[ \t]*\n", re.MULTILINE | re.DOTALL)
CSS_IMPORT = re.compile(r"^@import\s+[\"'](?P<path>[^\"']+)[\"'];[ \t]*\n", re.MULTILINE)
DECLARATION = re.compile(
    r"^(?:export\s+)?(?:default\s+)?(?:(?:async\s+)?function\b\s*\*?\s*|class\s+)(?P<one>[\w$]+)"
    r"|^(?:export\s+)?(?:const|let|var)\s+(?P<several>[^\n]*)",
    re.MULTILINE,
)


class BundleError(ValueError):
    """Files of a front end that cannot be joined."""


def bundle(*entries: str) -> str:
    """Entry files, and all that they import, as one ES module.

    Args:
        entries: paths below ``widgets/frontend``, such as ``"player/index.js"``.

    Raises:
        BundleError: two files define one name, import each other in a circle, or import in a way
            that leaving the line out would change: under another name, or from elsewhere.
    """
    files = _followed(entries, _javascript_imports)
    owners: dict[str, Path] = {}
    for path, text in files.items():
        for name in top_level_names(text):
            if owners.setdefault(name, path) != path:
                raise BundleError(
                    f"{_short(path)} and {_short(owners[name])} both define {name} at their top "
                    "level; in one module that cannot be: rename one of them"
                )
    return "\n".join(COMMENT.sub("", IMPORT.sub("", text)) for text in files.values())


def stylesheet(entry: str) -> str:
    """The ``style.css`` beside an entry file, with what it imports before it.

    Args:
        entry: as for `bundle`.
    """
    beside = str(Path(entry).with_name("style.css"))
    files = _followed((beside,), lambda _, text: (m["path"] for m in CSS_IMPORT.finditer(text)))
    return "\n".join(CSS_IMPORT.sub("", text) for text in files.values())


def top_level_names(text: str) -> set[str]:
    """Names that a file defines for all of a module, by its lines that are not indented."""
    names = set()
    for found in DECLARATION.finditer(text):
        if found["one"]:
            names.add(found["one"])
        else:
            names.update(_declared(text[found.start("several") :]))
    return names


def _declared(text: str) -> Iterator[str]:
    """The names of ``a = 1, b = [2, 3], ...;``, as far as the statement goes."""
    # Of what is between brackets and quotes nothing is a name of this statement; a pattern such as
    # { a, b } at the front of a part defines all of its words (at most too many: then we refuse).
    for part in _parts(text):
        target = part.split("=", 1)[0]
        yield from re.findall(r"[A-Za-z_$][\w$]*", target)


def _parts(text: str) -> list[str]:
    """A statement's parts between commas that are in no bracket, quote or comment."""
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    parts, depth, quote, begun = [], 0, "", 0
    for at, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote and text[at - 1] != "\\" else quote
        elif letter in "\"'`":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif depth == 0 and letter in ",;":
            parts.append(text[begun:at])
            begun = at + 1
            if letter == ";":
                return parts
    return [*parts, text[begun:]]


def _javascript_imports(path: Path, text: str) -> Iterator[str]:
    for found in IMPORT.finditer(text):
        names = (found["names"] or "").strip()
        if not re.fullmatch(r"(\{[\w$,\s]*\})?", names) or re.search(r"\bas\b", names):
            raise BundleError(
                f"{_short(path)} has {found[0].strip()!r}: in a bundle things keep the names that "
                "their files give them: import { them } as they are called"
            )
        yield found["path"]


def _followed(
    entries: tuple[str, ...], imports: Callable[[Path, str], Iterator[str]]
) -> dict[Path, str]:
    """Files and their texts, each after those that it imports."""
    done: dict[Path, str] = {}

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            circle = " → ".join(map(_short, (*above[above.index(path) :], path)))
            raise BundleError(f"these files import each other in a circle: {circle}")
        if path in done:
            return
        text = path.read_text(encoding="utf-8")
        for wanted in imports(path, text):
            if not wanted.startswith("."):
                raise BundleError(
                    f"{_short(path)} imports {wanted!r}; only files beside it can be bundled, by "
                    "a path that begins with ./ or ../"
                )
            visit((path.parent / wanted).resolve(), (*above, path))
        done[path] = text

    for entry in entries:
        visit((FRONTEND / entry).resolve(), ())
    return done


def _short(path: Path) -> str:
    return str(path.relative_to(FRONTEND)) if path.is_relative_to(FRONTEND) else path.name
