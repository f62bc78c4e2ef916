#!/usr/bin/env python3
"""Train a classifier of handwritten digits: a small convolutional network, or a perceptron.

It is what guide.py asks whether an image shows the digit that is wanted. The same command again
continues a run that was stopped.

example: ./mnist-classifier.py
         ./mnist-classifier.py --layers 3 --ckpt-dir perceptron.ckpt
         ./mnist-classifier.py --outliers --seed 1 --ckpt-dir mnist-second-opinion.ckpt
"""

from mnist.commands.cli import CLASSIFIER_DEFAULTS, Parser, main, training_parser, whole_number


def parser() -> Parser:
    parser = training_parser(__doc__, CLASSIFIER_DEFAULTS)
    parser.flag(
        "--layers",
        "a perceptron of so many layers instead of the convolutional network",
        type=whole_number(1),
        metavar="L",
    )
    parser.flag(
        "--outliers",
        "learn an eleventh class besides: what is no digit (smudges, mixtures, scribbles, ...)",
        action="store_true",
    )
    parser.flag(
        "--patience",
        "stop after so many epochs that were no better on images held out for that, every twelfth "
        "training image; the last epoch's weights are kept",
        type=whole_number(1),
        metavar="P",
    )
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.launch import train_run  # late: torch takes a second or two to import

    train_run("classifier", arguments, CLASSIFIER_DEFAULTS)


if __name__ == "__main__":
    main(parser(), run)
