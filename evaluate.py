#!/usr/bin/env python3
"""How good a trained run is: reconstruction, prior, leakage, samples, beside what is ideal.

Prints a table, writes DIR/evaluation.json, and adds a line to DIR/evaluations.jsonl. Classifiers
do the judging: one that was trained on real digits, and another that learns from generated ones.

example: ./evaluate.py
         ./evaluate.py --ckpt-dir mnist4.ckpt mnist8.ckpt sae4.ckpt
         ./evaluate.py --quick
"""

from mnist.commands.arguments import TRAINING_EXIT_CODES, tool_command
from mnist.commands.flags import EvaluateFlags


def run(flags: EvaluateFlags) -> None:
    from mnist.commands.evaluate import evaluate  # late: torch takes a second to import

    evaluate(flags)


if __name__ == "__main__":
    # It may train the judge first, and then ends as training does.
    tool_command(__doc__, EvaluateFlags, run, TRAINING_EXIT_CODES)
