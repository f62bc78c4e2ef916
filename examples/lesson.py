#!/usr/bin/env python3
"""Make docs/lesson.ipynb out of docs/lesson.md; with --run its pictures, too, by its commands.

example: examples/lesson.py --run
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
LESSON = ROOT / "docs" / "lesson.md"
WIDEST = 760  # pixels of a picture in the lesson
SETUP = """
import os
import sys
import tempfile
from pathlib import Path

from IPython.display import Image

if "project" not in globals():
    project = Path.cwd().parent  # a notebook starts in its own folder, docs
    os.chdir(tempfile.mkdtemp())  # what the commands write is kept out of the project
"""
STEP = re.compile(
    r"^    \./(?P<command>.+)\n\n!\[.*?\]\((?P<picture>lesson/.+?)\)\n", flags=re.MULTILINE
)


def shown(command: str, picture: str) -> tuple[str, str]:
    """A command of the lesson as it runs without a window, and the picture that it leaves."""
    words = shlex.split(command)
    if "--dataset" in words:  # it trains, and leaves a picture after each epoch
        folder, epochs = (words[words.index(flag) + 1] for flag in ("--ckpt-dir", "--epochs"))
        return f"{command} --quiet", f"{folder}/samples/epoch-{int(epochs):03}.png"
    name = Path(picture).name
    return f"{command} --output {name}", name


def cell(kind: str, source: str) -> dict[str, Any]:
    """A cell of a notebook, whose number is not yet known."""
    made = {"cell_type": kind, "metadata": {}, "source": source.strip().splitlines(keepends=True)}
    return made if kind == "markdown" else made | {"execution_count": None, "outputs": []}


def notebook(lesson: str) -> str:
    """The lesson as a notebook: its commands are cells, whose pictures appear when they are run."""
    cells, end = [cell("code", SETUP)], 0
    for step in STEP.finditer(lesson):
        cells.append(cell("markdown", lesson[end : step.start()]))
        command, picture = shown(step["command"], step["picture"])
        run = f'!"{{sys.executable}}" "{{project}}"/{command}'
        cells.append(cell("code", f'{run}\nImage("{picture}", width={WIDEST})'))
        end = step.end()
    cells.append(cell("markdown", lesson[end:]))
    cells[:2] = cells[1::-1]  # the introduction comes before the set-up
    for number, each in enumerate(cells):
        each["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def run(lesson: str) -> None:
    """Run the commands, and put their pictures where the lesson has them."""
    with tempfile.TemporaryDirectory() as folder:
        for step in STEP.finditer(lesson):
            command, picture = shown(step["command"], step["picture"])
            script, *flags = shlex.split(command)
            print(f"./{command}", flush=True)
            subprocess.run([sys.executable, ROOT / script, *flags], cwd=folder, check=True)
            with Image.open(Path(folder) / picture) as found:
                small = found.convert("RGB")
            small.thumbnail((WIDEST, 10 * WIDEST), Image.Resampling.LANCZOS)
            few = small.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
            few.save(LESSON.parent / step["picture"], optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", action="store_true", help="run the commands for their pictures")
    arguments = parser.parse_args()
    lesson = LESSON.read_text(encoding="utf-8")
    if arguments.run:
        run(lesson)
    LESSON.with_suffix(".ipynb").write_text(notebook(lesson), encoding="utf-8")


if __name__ == "__main__":
    main()
