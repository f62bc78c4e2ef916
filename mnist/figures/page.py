"""The explorer as one HTML file, which computes its images itself and loads nothing.

Its parts lie in explorer/: a template, a style sheet, and the page's JavaScript in three files.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import Any

import numpy as np

PARTS = Path(__file__).parent / "explorer"
SCRIPTS = "network.js", "preparation.js", "page.js"
# Weights have 12 bits, from -2047 to 2047 times the scale of a row: three quarters of float16's
# size. Of 8 bits the steps would be seen in sums of a thousand.
LARGEST = 2047


def page(title: str, run: dict[str, Any]) -> bytes:
    """The page of a run.

    Args:
        title: of the page.
        run: what network.js and page.js know of it, as JSON has it.
    """
    script = '"use strict";\n' + "".join(read(name) for name in SCRIPTS)
    style = read("page.css")
    run = run | {"wasm": text_of((PARTS / "layer.wasm").read_bytes())}
    # Whatever is run or shown is in the file, and known by its hash: nothing else is allowed.
    policy = (
        f"default-src 'none'; script-src '{hash_of(script)}' 'wasm-unsafe-eval'; "
        f"style-src '{hash_of(style)}'; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "title": html.escape(title),
        "style": style,
        "run": json.dumps(run, allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    before, *pieces = read("page.html").split("{{")
    content = [before]
    for piece in pieces:  # once through the template: what is put in is not looked at again
        name, after = piece.split("}}", 1)
        content += [parts[name], after]
    return "".join(content).encode()


def read(name: str) -> str:
    """A part of the page."""
    return (PARTS / name).read_text(encoding="utf-8")


def hash_of(text: str) -> str:
    """As a Content-Security-Policy has it."""
    return f"sha256-{text_of(hashlib.sha256(text.encode()).digest())}"


def text_of(content: bytes) -> str:
    """Bytes in base64."""
    return base64.b64encode(content).decode()


def floats(numbers: np.ndarray) -> str:
    """Numbers of any shape as network.js's `floats` reads them."""
    return text_of(np.ascontiguousarray(numbers, "<f4").tobytes())


def nibbles(levels: np.ndarray) -> str:
    """Numbers from 0 to 1, in sixteen steps, as network.js's `levels` reads them."""
    steps = np.round(15 * levels).astype(np.uint8)
    even, odd = np.pad(steps, (0, len(steps) % 2)).reshape(-1, 2).T
    return text_of((even | odd << 4).tobytes())


def layer(weights: np.ndarray, bias: np.ndarray) -> dict[str, Any]:
    """A linear layer, weights [J, K] and bias [J], as network.js takes it, in 12 bits a weight."""
    outputs, inputs = weights.shape
    scales = (np.abs(weights).max(1) / LARGEST).astype(np.float32)
    steps = np.round(weights / np.where(scales > 0, scales, 1)[:, None])
    return {
        "inputs": inputs,
        "outputs": outputs,
        "weights": text_of(packed(steps.astype(np.int64).ravel() + LARGEST + 1)),
        "scales": floats(scales),
        "bias": floats(bias),
    }


def packed(numbers: np.ndarray) -> bytes:
    """Numbers of 12 bits, two in three bytes."""
    low, high = np.pad(numbers, (0, len(numbers) % 2)).reshape(-1, 2).T
    three = np.stack([low & 255, (low >> 8) | ((high & 15) << 4), high >> 4], 1)
    return three.astype(np.uint8).tobytes()
