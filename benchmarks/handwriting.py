#!/usr/bin/env python3
"""The handwriting of several runs side by side: a table, and a picture of what more images bring.

From what ./evaluate.py left in their directories.

example: python benchmarks/handwriting.py --runs mnist8.ckpt hands8.ckpt --output page.png
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mnist.evaluation.handwriting import SEVERAL  # noqa: E402
from mnist.figures.plotting import COLOURS, DPI, MARKERS  # noqa: E402

Numbers = dict[str, Any]
OFF = ("own", "likeliest", "another", "zero", "same")  # whose style a digit is written in


def evaluated(run: Path) -> Numbers:
    """What was measured of a run.

    Raises:
        SystemExit: nothing, or not its handwriting.
    """
    try:
        numbers = json.loads((run / "evaluation.json").read_text())
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}; ./evaluate.py --ckpt-dir {run} writes it")
    if numbers.get("writer_found_ratio") is None:
        sys.exit(
            f"{run} was evaluated without QMNIST's labels, or by an older version: "
            f"./evaluate.py --ckpt-dir {run} measures it again"
        )
    return numbers


def table(found: dict[str, Numbers]) -> str:
    """Markdown: what is known of a writer by pixels, by an embedding and by each run's styles."""
    lines = [
        "| run | test MSE | leakage | AUC | AUC, ratio | top 10 | top 10, ratio "
        "| MSE own / likeliest / another's / zero / same | own wins | transfer |"
    ]
    lines.append("|---" * 10 + "|")
    one = next(iter(found.values()))
    auc, nearest = one["writer_auc_pixels"], one["writer_found_pixels"]
    lines.append(f"| pixels | | | {auc:.3f} | | {nearest:.1%} | | | | |")
    if "writer_auc_embedding" in one:
        auc, nearest = one["writer_auc_embedding"], one["writer_found_embedding"]
        lines.append(f"| embedding | | | | {auc:.3f} | {nearest:.1%} | | | | |")
    for name, n in found.items():
        off = " / ".join(f"{n[f'hand_{whose}']:.4f}" for whose in OFF)
        lines.append(
            f"| {name} | {n['mse']:.4f} | {n['leakage_mlp']:.1%} | {n['writer_auc']:.3f} "
            f"| {n['writer_auc_ratio']:.3f} | {n['writer_found']:.1%} "
            f"| {n['writer_found_ratio']:.1%} | {off} "
            f"| {n['hand_wins']:.1%} | {n['hand_transfer']:.1%} |"
        )
    lines += ["", "| images known | " + " | ".join(map(str, SEVERAL)) + " |"]
    lines.append("|---" * (1 + len(SEVERAL)) + "|")
    for name, n in found.items():
        cells = [f"{n[f'hand_from_{count}']:.4f}" for count in SEVERAL]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(found: dict[str, Numbers], output: Path) -> None:
    """The second table as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for (name, n), colour, marker in zip(found.items(), COLOURS, MARKERS, strict=False):
        off = [n[f"hand_from_{count}"] for count in SEVERAL]
        axes.plot(SEVERAL, off, marker=marker, color=colour, label=name)
    axes.set_xscale("log")
    axes.set_xticks(SEVERAL, labels=map(str, SEVERAL))
    axes.minorticks_off()
    axes.set_xlabel("images of other digits by the same writer")
    axes.set_ylabel("squared error of a digit (axis does not start at 0)")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(output, dpi=DPI / 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--names", nargs="+", help="of the runs (default: their directories)")
    parser.add_argument("--output", type=Path, help="a picture of the second table")
    arguments = parser.parse_args()
    names = arguments.names or [run.name for run in arguments.runs]
    if len(names) != len(arguments.runs) or len(names) > len(MARKERS):
        sys.exit(f"--names: one for each of at most {len(MARKERS)} runs")
    found = {name: evaluated(run) for name, run in zip(names, arguments.runs, strict=True)}
    print(table(found))
    if arguments.output:
        draw(found, arguments.output)


if __name__ == "__main__":
    main()
