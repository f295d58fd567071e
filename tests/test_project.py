"""The project around the code: what is shipped, pinned, imported and left behind."""

import ast
import importlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import grimp
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bpttviz

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGE = ROOT / "bpttviz"
MODULES = {
    str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8")
    for path in sorted(PACKAGE.rglob("*.py"))
}
TREES = {name: ast.parse(text) for name, text in MODULES.items()}


# --- rooms ---------------------------------------------------------------------------------------


def test_importing_the_package_is_quick_and_loads_no_heavy_library():
    program = (
        "import sys, time; began = time.perf_counter(); import bpttviz; "
        "print(time.perf_counter() - began, *sys.modules)"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    seconds, *modules = printed.split()
    assert float(seconds) < 2
    assert not {"torch", "matplotlib", "chgnet", "ase", "pymatgen"}.intersection(modules)


def test_rooms_import_as_the_contracts_in_pyproject_say():
    command = [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-logo", "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_generator_reads_little_of_the_package():
    graph = grimp.build_graph("bpttviz", cache_dir=None)
    generator = {"bpttviz.datasets.generate"} | graph.find_descendants("bpttviz.datasets.generate")
    read = set().union(*map(graph.find_modules_directly_imported_by, generator)) - generator
    around = {"bpttviz.datasets." + name for name in ("labels", "names", "compression")}
    assert read <= {"bpttviz._files"} | around


def test_loading_a_shipped_set_executes_no_module_of_the_generator():
    program = (
        "import sys, bpttviz; bpttviz.load_dataset('si-defects'); "
        "print([name for name in sys.modules if name.startswith('bpttviz.datasets.generate')])"
    )
    printed = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True)
    assert printed.strip() == "[]"


def test_modules_and_functions_are_short():
    long = {name: n for name, text in MODULES.items() if (n := len(text.splitlines())) > 400}
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = node.end_lineno - node.lineno + 1
                if lines > 60:
                    long[f"{name}: {node.name}"] = lines
    assert long == {}


# --- public names --------------------------------------------------------------------------------


def stub_names(stub: Path) -> dict[str, tuple[str, str]]:
    """What a stub's lines ``from .module import name as name`` offer: name to (module, name)."""
    package = ".".join(stub.parent.relative_to(ROOT).parts)
    offered = {}
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            module = f"{package}.{node.module}" if node.module else package
            for alias in node.names:
                assert alias.asname == alias.name, "a type checker would not see it"
                offered[alias.name] = (module, alias.name)
    return offered


@pytest.mark.parametrize(
    "stub", sorted(PACKAGE.rglob("*.pyi")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_stub_names_what_its_package_offers(stub):
    package = importlib.import_module(".".join(stub.parent.relative_to(ROOT).parts))
    offered = stub_names(stub)
    print(f"{package.__name__}: {len(offered)} public names")
    assert sorted(offered) == sorted(package.__all__)
    for name, (module, attribute) in offered.items():
        assert getattr(package, name) is getattr(importlib.import_module(module), attribute)
        assert getattr(package, name).__doc__


def test_no_two_files_of_tests_share_a_name():
    """Pytest imports them by their names alone, and would leave the second one out."""
    names = sorted(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name in names if names.count(name) > 1] == []


def test_one_spelling_of_the_unit_of_delta_q():
    """ "amu^½ Å" in words: raised where it is drawn, by `typeset` (figure.py, dom.js)."""
    scripts = {str(path): path.read_text() for path in (PACKAGE / "widgets").rglob("*.js")}
    cells = {path.name: path.read_text() for path in NOTEBOOKS}
    other = re.compile(r"amu ?½|amu\^1/2|amu\^\{1/2\}|amu\$\^\{1/2\}\$ Å\\?[\"']")
    texts = MODULES | scripts | cells
    assert [name for name, text in texts.items() if other.search(text)] == []


def test_one_version_and_one_command():
    assert PROJECT["dynamic"] == ["version"]
    assert importlib.metadata.version("bpttviz") == bpttviz.__version__, "make .venv again"
    command = Path(sysconfig.get_path("scripts")) / "bpttviz"
    assert "usage: " in subprocess.check_output([command, "--help"], text=True)


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


def requirements(*extras: str) -> list[Requirement]:
    """The direct dependencies in pyproject.toml, those of `extras` included."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])]
    return [Requirement(line) for line in lines]


def constraints(name: str = "constraints.txt") -> dict[str, str]:
    """Version by canonical name, from a file of constraints and those that it includes.

    Fails on a line that is no exact pin, and on a package pinned twice.
    """
    pins = {}
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("-c "):
            pins |= constraints(line.removeprefix("-c "))
        elif line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            assert "+" not in pin.version, "a local build, which others cannot install"
            assert canonicalize_name(requirement.name) not in pins
            pins[canonicalize_name(requirement.name)] = pin.version
    return pins


@pytest.mark.parametrize("extra", EXTRAS)
def test_direct_dependencies_are_pinned_at_versions_they_allow(extra):
    # Only there is e3nn pinned: mace-torch pins it by itself.
    own = extra in ("sevennet", "nequix")
    pins = constraints("constraints-sevennet.txt" if own else "constraints.txt")
    assert [
        str(requirement)
        for requirement in requirements(extra)
        if not requirement.specifier.contains(pins[canonicalize_name(requirement.name)])
    ] == []


def test_what_is_imported_is_declared():
    # What a package is called where it is not called like the module; GPAW is the system's own, and
    # torch-sim is only timed beside us, where somebody has it.
    known = {
        "PIL": "pillow", "mace": "mace-torch", "otter": "otter-grader", "gpaw": None,
        "torch_sim": None,
    }  # fmt: skip
    used = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                used.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                used.add(node.module)
    outside = {name.split(".")[0] for name in used} - sys.stdlib_module_names - {"bpttviz"}
    packages = {canonicalize_name(known.get(name, name) or "") for name in outside} - {""}
    declared = {canonicalize_name(requirement.name) for requirement in requirements(*EXTRAS)}
    assert {"torch", "mace-torch", "lazy-loader"} <= packages
    assert packages - declared == set()


def test_binder_has_the_same_versions_and_all_direct_dependencies():
    listed = yaml.safe_load((ROOT / "binder" / "environment.yml").read_text())["dependencies"]
    assert "python=3.11" in listed
    (pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    binder = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in pip}
    pins = constraints()
    assert binder == {name: pins[name] for name in binder}
    needed = {canonicalize_name(requirement.name) for requirement in requirements()}
    # torch is conda's: pip's build for Linux would bring CUDA
    assert needed - set(binder) == {"torch"}
    (conda,) = (item for item in listed if isinstance(item, str) and "pytorch-cpu" in item)
    assert Requirement(conda).specifier.contains(pins["torch"])


@pytest.mark.parametrize("script", ["binder/postBuild", "binder/start", ".ci/run"])
def test_script_can_be_executed(script):
    assert os.access(ROOT / script, os.X_OK)
    assert (ROOT / script).read_text().startswith("#!/usr/bin/env bash\n")
