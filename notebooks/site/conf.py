"""Sphinx's settings for the course's site. `build` writes the pages that this reads."""

import os
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "bpttviz"
author = copyright = "The bpttviz developers"
language = "en"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml"]
exclude_patterns = ["executed/**"]

# Notebooks are executed before, by papermill, whose check cells must pass.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict] = {}  # the widgets in these pages bring their own scripts
nb_render_markdown_format = "myst"  # tables too
nb_render_image_options = {"align": "left"}
myst_enable_extensions = ["dollarmath", "deflist", "attrs_inline", "attrs_block"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

autodoc_typehints = "none"  # docstrings say what arguments are, with shapes and units
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True  # else attributes of records are described twice
default_role = "py:obj"  # a link where `name` is one of ours, code where it is not

# Furo: one stylesheet and 5 kB of script, light and dark, no font from elsewhere. The book theme
# brings 8 MB of Bootstrap and icon fonts, half a megabyte of it on every page.
html_theme = "furo"
html_title = "bpttviz"
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # a summary is fetched, which pages from disk may not
pygments_style, pygments_dark_style = "friendly", "native"
# Docstrings are Markdown in spirit: `name` and plain lists. Anything else stops the build.
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure"]
os.environ.setdefault("PYTHONWARNINGS", "ignore")

# |F| and runs/*.traj mean what they say; reStructuredText would read marks of its own in them.
MARKS = re.compile(
    r"``[^`]*``|`[^`]*`|(?<!\S)\*[^*\s][^*]*\*|\*\*|(?P<mark>[|*])"  # code, *emphasis*, **names
)
INITIAL = re.compile(r"^(\s*)([A-Z]\. )")  # of an author, no list
SECTION = re.compile(r"[A-Z][a-z]+:$")


def readable(app, what, name, obj, options, lines):
    """A docstring's indented examples as code, and marks outside of code as they are."""
    done, code, above, last = [], False, True, ""
    for before, line in zip(["", *lines], lines, strict=False):
        above = above and not SECTION.match(line)
        inside = above and line.startswith("    ")
        if inside and not code and not before.strip():
            code = True
            if not last.endswith("::"):
                done += [".. code-block:: python", ""]
        code = code and (inside or not line.strip())
        mark = (lambda m: m[0]) if code else (lambda m: "\\" + m[0] if m["mark"] else m[0])
        line = INITIAL.sub(r"\1\\\2", line)
        done.append(MARKS.sub(mark, line))
        last = line.strip() or last
    lines[:] = done


def linked(app, env, node, content):
    """What `name`, `bv.name` or `name()` in a docstring of any room means: a public name."""
    if node.get("reftype") != "obj":
        return None
    name = node["reftarget"].removesuffix("()").removeprefix("bv.").removeprefix("bpttviz.")
    for full in (f"bpttviz.{name}", f"bpttviz.plotting.{name}"):
        if full in env.domains.python_domain.objects and node["reftarget"] != full:
            node["reftarget"] = full
            domain = env.domains.python_domain
            return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", full, node, content)
    return None


def setup(app):
    """Before napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", readable, priority=400)
    app.connect("missing-reference", linked)
