"""How long an epoch of a training script takes, as it says itself."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def second_epoch(
    flags: list[object], environment: Mapping[str, str], starter: list[object] | None = None
) -> tuple[float, float]:
    """Seconds of the second of two epochs of ./mnist-aae.py on MNIST, and of its steps alone.

    Args:
        flags: of the script, besides.
        environment: of its process.
        starter: what starts it in Python's place, as arguments of Python.
    """
    with tempfile.TemporaryDirectory() as folder:
        script = [ROOT / "mnist-aae.py", "--json", "--dataset", "mnist", "--epochs", 2]
        command = [sys.executable, *(starter or []), *script, *flags]
        done = subprocess.run(
            list(map(str, [*command, "--ckpt-dir", Path(folder) / "run"])),
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    events = [json.loads(line) for line in done.stdout.splitlines()]
    second = [event for event in events if event["event"] == "epoch"][1]
    return second["seconds"], second["in_steps"]
