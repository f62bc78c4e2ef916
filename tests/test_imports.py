"""Which way the arrows point: nothing in a lower room knows of a higher one."""

import ast

import pytest
from conftest import ROOT

TORCH = {"torch", "numpy"}
ALLOWED = {  # module -> what of the package it may import
    "__init__": {"run"},
    "errors": set(),
    "data": {"errors"},
    "layers": {"data"},
    "encoder": {"data", "layers"},
    "decoder": {"data", "layers"},
    "discriminator": {"data", "layers"},
    "classifier": {"data", "layers"},
    "prior": set(),
    "inception": {"data", "errors"},
    "losses": set(),
    "player": set(),
    "metrics": set(),
    "augment": {"data"},
    "pictures": {"data"},
    "report": set(),
    "signals": {"errors"},
    "cli": {"", "errors"},
    "files": {"", "errors"},
    "checkpoint": {"errors", "files", "methods"},
    "session": {"checkpoint", "errors", "files", "methods"},
    "run": {"checkpoint", "classifier", "data", "decoder", "errors", "methods", "prior", "session"},
    "animation": {"errors"},
    "scan": {"data", "errors"},
    "plotting": set(),
    "display": set(),
    "window": {"files", "plotting"},
    "tools": {"cli", "data", "display", "errors", "files", "run"},
    "generate_all": {"cli", "data", "display", "errors", "files", "latent", "pictures", "run"}
    | {"scan", "tools", "window"},
    "encoder_vis": {"cli", "data", "display", "errors", "latent", "metrics", "plotting", "run"}
    | {"tools", "window"},
    "space": {"data", "decoder", "run"},
    "survey": {"data", "latent", "metrics", "pictures", "run", "space", "tools"},
    "guide": {"animation", "cli", "data", "display", "errors", "latent", "pictures", "plotting"}
    | {"readers", "run", "space", "survey", "tools", "window"},
    "readers": {"cli", "data", "errors", "launch", "run", "session", "tools"},
    "geodesic": {"animation", "cli", "data", "errors", "latent", "pictures", "plotting"}
    | {"readers", "run", "tools"},
    "measure": {"data", "errors", "inception", "methods", "metrics", "prior", "run"},
    "evaluate": {"cli", "errors", "inception", "launch", "measure", "readers", "run", "tools"},
    "training": {"checkpoint", "data", "errors", "files", "methods", "report", "session"}
    | {"signals"},
    "launch": {"", "checkpoint", "cli", "data", "errors", "methods", "report", "session"}
    | {"training"},
}
METHOD = {
    "augment",
    "classifier",
    "data",
    "decoder",
    "discriminator",
    "encoder",
    "layers",
    "losses",
    "metrics",
}
METHOD |= {"pictures", "player", "prior"}


def imported(path):
    """(top-level packages, modules of mnist) that a file imports anywhere in it."""
    packages, ours = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
            ours |= {a.name.split(".")[1] for a in node.names if a.name.startswith("mnist.")}
        elif isinstance(node, ast.ImportFrom):
            packages.add(node.module.split(".")[0])
            if node.module == "mnist":
                names = {alias.name for alias in node.names}
                ours |= {"" if name == "__version__" else name for name in names}
            elif node.module.startswith("mnist."):
                ours.add(node.module.split(".")[1])
    return packages, ours


@pytest.mark.parametrize("path", sorted((ROOT / "mnist").glob("*.py")), ids=lambda p: p.stem)
def test_a_module_imports_only_from_rooms_below(path):
    assert imported(path)[1] <= ALLOWED[path.stem]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "mnist" / "methods").glob("*.py")), ids=lambda p: p.stem
)
def test_a_method_knows_networks_and_losses_only(path):
    packages, ours = imported(path)
    assert ours <= METHOD | {"methods"}
    assert packages <= TORCH | {"__future__", "abc", "collections", "math", "mnist", "typing"}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "mnist" / "latent").glob("*.py")), ids=lambda p: p.stem
)
def test_latent_tools_know_nothing_of_runs(path):
    packages, ours = imported(path)
    assert ours <= {"latent"}
    standard = {"__future__", "collections", "dataclasses", "math", "typing", "warnings"}
    assert packages <= TORCH | standard | {"mnist"}


def test_one_module_imports_matplotlib():
    users = [p.stem for p in (ROOT / "mnist").rglob("*.py") if "matplotlib" in imported(p)[0]]
    assert users == ["plotting"]


def test_the_loop_names_no_method():
    text = (ROOT / "mnist" / "training.py").read_text().lower()
    assert "sae" not in text
    assert "aae" not in text


def test_nothing_unpickles():
    for path in (ROOT / "mnist").rglob("*.py"):
        text = path.read_text().replace(".eval(", "").replace("safetensors.torch.load(", "")
        for name in ("import pickle", "torch.load(", "np.load(", "eval("):
            assert name not in text, f"{path}: {name}"
