"""The project around the code: what is shipped, pinned, imported and left behind."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# Modules in reading order: each may import only what stands above it. A package stands for all
# that is in it; inside a package, what is imported must not import back.
ORDER = [
    "geometry",
    "structures",
    "linear",
    "meters",
    "calculator",
    "potentials",
    "contract",
    "check",
    "zero_modes",
    "rules",
    "iterate",
    "adjoints",
    "relax",
    "losses",
    "diagnose",
    "datasets",
    "defect",
    "runs",
    "objectives",
    "finetune",
    "background",
    "learning",
    "report",
    "evaluate",
    "cost",
    "basins",
    "palette",
    "frames",
    "plane",
    "picture",
    "scene",
    "plane_plots",
    "plots",
    "landscape_plots",
    "atom_plots",
    "data_plots",
    "terrain",
    "valleys",
    "widgets",
    "lesson",
    "pretrain",
    "reproduce",
    "compare",
    "outcomes",
    "named",
    "commands",
    "__main__",
]


# --- imports -------------------------------------------------------------------------------------


def test_importing_the_package_is_quick_and_loads_no_heavy_library():
    program = (
        "import sys, time; began = time.perf_counter(); import bpttviz; "
        "print(time.perf_counter() - began, *sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    seconds, *modules = printed.split()
    assert float(seconds) < 2
    assert not {"torch", "matplotlib", "chgnet", "ase", "pymatgen"}.intersection(modules)


def module_name(path: Path) -> str:
    """`potentials.chgnet` for bpttviz/potentials/chgnet.py, `potentials` for its __init__.py."""
    parts = path.relative_to(ROOT / "bpttviz").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted((ROOT / "bpttviz").rglob("*.py"))}
SOURCES.pop("", None)  # the package's own __init__.py imports by name, on first use


def imports_of(name: str) -> set[str]:
    """Modules of this package that module `name` imports, anywhere in its text."""
    path = SOURCES[name]
    package = ["bpttviz", *name.split(".")]
    if path.name != "__init__.py":
        package.pop()
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            # `from package import module` names the module last
            found.update({f"{base}.{alias.name}" for alias in node.names} | {base})
    inside = {target.removeprefix("bpttviz.") for target in found if target.startswith("bpttviz.")}
    return inside & set(SOURCES) - {name}


def test_the_order_of_modules_names_every_module():
    assert {name.split(".")[0] for name in SOURCES} <= set(ORDER)


@pytest.mark.parametrize("name", SOURCES)
def test_a_module_imports_only_what_stands_above_it(name):
    def place(module):
        return ORDER.index(module.split(".")[0])

    assert [target for target in imports_of(name) if place(target) > place(name)] == []


def test_no_module_imports_itself_through_others():
    reached = {name: imports_of(name) for name in SOURCES}
    for name in SOURCES:
        if SOURCES[name].name == "__init__.py":  # a package's front gathers what is behind it
            continue
        seen, frontier = set(), set(reached[name])
        while frontier:
            module = frontier.pop()
            seen.add(module)
            frontier |= reached[module] - seen
        assert name not in seen


# --- notebooks -----------------------------------------------------------------------------------


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    """A notebook of the repository as the JSON it is."""
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_the_quickstart_is_there():
    assert "00_quickstart" in [path.stem for path in NOTEBOOKS]


def test_notebook_is_stripped(notebook):
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    assert "widgets" not in notebook["metadata"]


def test_notebook_names_no_path_of_a_machine(notebook):
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"])
    text += json.dumps(notebook["metadata"])
    assert re.findall(r"(?<![\w.])/(?:home|root|tmp|Users|work|mnt)/\S*", text) == []


def test_notebook_has_one_cell_of_parameters_and_is_short(notebook):
    tags = [cell["metadata"].get("tags", []) for cell in notebook["cells"]]
    assert sum("parameters" in cell_tags for cell_tags in tags) == 1
    assert len(notebook["cells"]) <= 40


def test_notebook_asks_for_the_kernel_that_every_environment_has(notebook):
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


# --- files and versions --------------------------------------------------------------------------


def test_no_tracked_file_is_large():
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    sizes = {
        name: (ROOT / name).stat().st_size
        for name in listed.stdout.split("\0")
        if (ROOT / name).is_file()
    }
    assert sizes
    assert {name: size for name, size in sizes.items() if size > 1.5e6} == {}


def requirements() -> list[Requirement]:
    """Every direct dependency in pyproject.toml, extras included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [Requirement(line) for lines in (project["dependencies"], *extras) for line in lines]


def constraints() -> dict[str, str]:
    """Version by canonical name, from constraints.txt; fails on a line that is no exact pin."""
    pins = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            assert "+" not in pin.version, "a local build, which others cannot install"
            pins[canonicalize_name(requirement.name)] = pin.version
    return pins


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_direct_dependency_is_pinned_at_a_version_it_allows(requirement):
    version = constraints()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(version)


def test_binder_has_the_same_versions_and_all_direct_dependencies():
    listed = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())["dependencies"]
    assert "python=3.11" in listed
    (pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    binder = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in pip}
    pins = constraints()
    assert binder == {name: pins[name] for name in binder}
    core = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    needed = {canonicalize_name(Requirement(line).name) for line in core}
    # torch is conda's: pip's build for Linux would bring CUDA
    assert needed - set(binder) == {"torch"}
    (conda,) = (item for item in listed if isinstance(item, str) and "pytorch-cpu" in item)
    assert Requirement(conda).specifier.contains(pins["torch"])


@pytest.mark.parametrize("script", ["binder/postBuild", "binder/start", ".ci/run"])
def test_script_can_be_executed(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/usr/bin/env bash\n")
