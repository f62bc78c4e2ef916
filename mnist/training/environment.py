"""What a run is computed on and with: device, precision, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import torch

from mnist.errors import UserError
from mnist.networks import shares
from mnist.version import __version__


def choose_device(name: str) -> torch.device:
    """The device by that name; for "auto" the fastest there is.

    Raises:
        UserError: this machine or this build of torch has none.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there[name]:
        raise UserError(f"--device {name} was given, but torch finds none here: use --device cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """ "fp32" or "bf16"; for "auto" bf16 on processors with instructions for it.

    There it was measured faster (benchmarks/throughput.py), and on a GPU slower
    (docs/performance.md).
    """
    if name != "auto":
        return name
    has = torch.cpu.get_capabilities()
    native = has.get("avx512_bf16") or has.get("amx_bf16")
    return "bf16" if native and device.type == "cpu" else "fp32"


def versions(*packages: str) -> dict[str, str]:
    """Those of mnist-style, Python and some packages."""
    ours = {"mnist-style": __version__, "python": platform.python_version()}
    return ours | {package: version(package) for package in packages}


def machine(device: torch.device) -> dict[str, Any]:
    """What the last bits of a run's numbers depend on."""
    threads = torch.get_num_threads() if device.type == "cpu" else None
    found = {"device": device.type, "threads": threads, "torch": torch.__version__}
    return found | ({"processes": shares.count()} if shares.count() > 1 else {})


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """A context in which numbers below 1e-38 are zero, as they are on a GPU.

    Weights of pixels that hardly ever have ink get gradients that small, and a processor takes a
    hundred times as long for each (docs/LOG.md). It holds for this thread, which is as it was
    afterwards, and for those that it starts meanwhile.
    """
    before = (torch.tensor(1e-30) * 1e-10).item() == 0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def be_deterministic() -> None:
    """Let torch use only algorithms that give the same bits every time, where it has a choice.

    On the CPU it has none that matters here; on a GPU they are slower.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS needs for that
    torch.use_deterministic_algorithms(True)
