"""Which way the arrows point: a room uses those before it in this list, and none after it."""

import ast
import re
import sys

import pytest
from conftest import ROOT

PACKAGE = ROOT / "mnist"
ROOMS = ("data", "figures", "networks", "latent", "methods", "training", "evaluation", "commands")
EVERYWHERE = {"errors", "files", "options", "reading", "version"}  # what lies beside the rooms
TORCH = {"torch", "numpy"}


def imported(path):
    """(top-level packages, modules of mnist by their path below it) that a file imports."""
    packages, ours = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            whole = (PACKAGE.parent / node.module.replace(".", "/")).is_dir()
            names = [f"{node.module}.{a.name}" for a in node.names] if whole else [node.module]
        else:
            continue
        packages |= {name.split(".")[0] for name in names}
        ours |= {name.split(".", 1)[1] for name in names if name.startswith("mnist.")}
    return packages, ours


def files_of(*rooms):
    return sorted(path for room in rooms for path in (PACKAGE / room).glob("*.py"))


def files(*rooms):
    return pytest.mark.parametrize(
        "path", files_of(*rooms), ids=lambda p: f"{p.parent.name}/{p.stem}"
    )


def test_each_folder_is_a_room():
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()} == set(ROOMS)


@files(*ROOMS)
def test_a_room_uses_those_before_it_only(path):
    used = {module.split(".")[0] for module in imported(path)[1]}
    allowed = set(ROOMS[: ROOMS.index(path.parent.name) + 1])
    assert used <= allowed | EVERYWHERE


@pytest.mark.parametrize("name", sorted(EVERYWHERE))
def test_what_is_used_everywhere_uses_no_room(name):
    assert imported(PACKAGE / f"{name}.py")[1] <= EVERYWHERE


@files("methods")
def test_a_method_needs_torch_alone(path):
    standard = {"__future__", "abc", "collections", "contextlib", "math", "mnist", "typing"}
    assert imported(path)[0] <= TORCH | standard


@files("latent")
def test_latent_tools_know_nothing_of_runs(path):
    packages, ours = imported(path)
    assert {module.split(".")[0] for module in ours} <= {"latent", "networks"}
    standard = {"__future__", "collections", "dataclasses", "functools", "math", "mnist", "typing"}
    assert packages <= TORCH | standard | {"warnings"}


def test_one_module_imports_matplotlib():
    users = [p.stem for p in PACKAGE.rglob("*.py") if "matplotlib" in imported(p)[0]]
    assert users == ["plotting"]


def test_windows_and_onnx_alone_need_more_than_the_requirements():
    """Whatever else the package imports is in requirements.txt, and in no other list as well."""
    lists = ("requirements.txt", "vis-requirements.txt", "onnx-requirements.txt")
    always, vis, onnx = (
        {re.match(r"[\w-]+", line)[0].lower() for line in (ROOT / name).read_text().splitlines()}
        for name in lists
    )
    assert vis == {"pyqt5"}
    windows = "window", "display", "explorer_parts", "explorer_panels", "explorer_window"
    some = dict.fromkeys(windows, vis) | {"export": onnx}
    used = {p: imported(p)[0] - set(sys.stdlib_module_names) - {"mnist"} for p in files_of(*ROOMS)}
    distributions = {"pil": "pillow", "sklearn": "scikit-learn"}
    optional = {"torchmetrics"}  # evaluate.py --inception says how to install it
    for path, packages in used.items():
        needed = {distributions.get(each, each) for each in map(str.lower, packages)}
        assert needed <= always | optional | some.get(path.stem, set())


def test_the_loop_names_no_method():
    text = (PACKAGE / "training" / "loop.py").read_text().lower()
    assert "sae" not in text
    assert "aae" not in text


def test_nothing_unpickles():
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text().replace(".eval(", "").replace("safetensors.torch.load(", "")
        text = text.replace("ast.literal_eval(", "")
        for name in ("import pickle", "torch.load(", "np.load(", "eval("):
            assert name not in text, f"{path}: {name}"
