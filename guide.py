#!/usr/bin/env python3
"""Ask for a digit, and watch a latent point walk until a classifier reads it in what is decoded.

The decoder and the classifier stay as they are; what descends the classifier's -log p(digit) is
the point: its style, and for a conditional run, the class code that the decoder is given.

example: ./guide.py --digit 5
         ./guide.py --digit 8 --from-digit 3 --output three-to-eight.gif
         ./guide.py --survey
"""

from mnist.commands.arguments import (
    GUIDE_DEFAULTS,
    TRAINING_EXIT_CODES,
    Parser,
    main,
    number_between,
    numbers,
    positive_number,
    tool_parser,
    whole_number,
    whole_numbers,
)


def parser() -> Parser:
    output = "FILE.gif, FILE.mp4 or FILE.png, a contact sheet (default: guide.gif in the run's own)"
    # It may train classifiers first, and then ends as training does.
    parser = tool_parser(__doc__, output, GUIDE_DEFAULTS, TRAINING_EXIT_CODES)
    add = parser.flag
    add("--digit", "which to ask for", metavar="D")
    add("--classifier", "a run of mnist-classifier.py; the usual is trained first", metavar="DIR")
    add("--free", "what moves, in a run with labels", choices=["both", "style", "digit"])
    add(
        "--from-digit",
        "what the decoder is given at the start, instead of a mixture; with --free style always",
        metavar="D",
    )
    add("--style", "the style to start from, as 0.3,-1.2,0,2", type=numbers, metavar="NUMBERS")
    add("--start-image", "start from this test image", type=whole_number(0), metavar="INDEX")
    add("--starts", "random starts, shown best first", type=whole_number(1), metavar="K")
    add("--steps", "of descent, at most", type=whole_number(1), metavar="S")
    add("--lr", "learning rate", type=positive_number, metavar="LR")
    add("--optimizer", "how to descend", choices=["adam", "sgd"])
    add(
        "--stop-at",
        "probability that will do, looked at when a round of 20 steps ends",
        type=number_between(0.1, 1),
        metavar="P",
    )
    add(
        "--stay-likely",
        "weight of the style's log-density, which keeps it where the decoder was trained",
        type=number_between(0, 1000),
        metavar="W",
    )
    add("--dims", "the two dimensions to draw, as 0,3", type=whole_numbers, metavar="LIST")
    add("--survey", "all ten digits from many starts: a table, a picture", action="store_true")
    add(
        "--independent",
        "a second opinion, of mnist-classifier.py --outliers; a survey trains the usual first",
        metavar="DIR",
    )
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.guide import guide  # late: torch takes a second to import

    guide(arguments)


if __name__ == "__main__":
    main(parser(), run)
