#!/usr/bin/env python3
"""How good a trained run is: reconstruction, prior, leakage, samples, beside what is ideal.

Prints a table, writes DIR/evaluation.json, and adds a line to DIR/evaluations.jsonl. Classifiers
do the judging: one that was trained on real digits, and another that learns from generated ones.

example: ./evaluate.py
         ./evaluate.py --ckpt-dir mnist4.ckpt mnist8.ckpt sae4.ckpt
         ./evaluate.py --quick
"""

from mnist.commands.arguments import (
    EVALUATE_DEFAULTS,
    TRAINING_EXIT_CODES,
    Parser,
    main,
    tool_parser,
)


def parser() -> Parser:
    # It may train the judge first, and then ends as training does.
    parser = tool_parser(__doc__, None, EVALUATE_DEFAULTS, TRAINING_EXIT_CODES, several=True)
    add = parser.flag
    add("--judge", "a run of mnist-classifier.py; the usual is trained first", metavar="DIR")
    add("--quick", "fewer images, in half a minute", action="store_true")
    add(
        "--ex-post",
        "draw styles from a density fitted to the training styles, too",
        choices=["gmm"],
    )
    add(
        "--inception",
        "the usual Inception FID too (torchmetrics and torch-fidelity; slow on a processor)",
        action="store_true",
    )
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.evaluate import evaluate  # late: torch takes a second to import

    evaluate(arguments)


if __name__ == "__main__":
    main(parser(), run)
