"""What a benchmark ran on."""

import platform
from pathlib import Path

import torch


def machine() -> str:
    """Processor, threads and versions, in a line."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return (
        f"{name}, {torch.get_num_threads()} thread(s), Python {platform.python_version()}, "
        f"torch {torch.__version__}"
    )
