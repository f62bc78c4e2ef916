#!/usr/bin/env python3
"""Write all ten digits in one handwriting: a style drawn from the prior, given, or an image's.

example: ./generate-all.py --feature-size 4
         ./generate-all.py --from-image my-seven.jpg --digit 7 --output mine.png
         ./generate-all.py --count 10000 --output data.npz
"""

from mnist.commands.arguments import (
    Parser,
    main,
    numbers,
    positive_number,
    tool_parser,
    whole_number,
)


def parser() -> Parser:
    parser = tool_parser(
        __doc__,
        "FILE.png or .jpg, FILE.npz (arrays) or DIR (a PNG per image, a CSV); without it a window "
        "opens",
    )
    add = parser.flag
    add("--count", "styles to draw from the prior", type=whole_number(1), metavar="K")
    add("--style", "a style instead, as 0.3,-1.2,0,2", type=numbers, metavar="NUMBERS")
    add("--from-image", "the style of your own picture of a digit", metavar="FILE")
    add("--digit", "which digit, or other class, --from-image shows", metavar="D")
    add("--digits", "only these, as 3,8", metavar="LIST")
    add("--from-test", "the style of a test image", type=whole_number(0), metavar="INDEX")
    add(
        "--blend",
        "styles on the line from A to B, each a style or a test image such as test17",
        nargs=3,
        metavar=("A", "B", "STEPS"),
    )
    add(
        "--sharpness",
        "1 for the mean of what a style may stand for, more for black and white (default: the "
        "run's own, at which digits look as real ones do)",
        type=positive_number,
        metavar="K",
    )
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.generate_all import generate_all  # late: torch takes a second to import

    generate_all(arguments)


if __name__ == "__main__":
    main(parser(), run)
