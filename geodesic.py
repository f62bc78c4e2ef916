#!/usr/bin/env python3
"""The geodesic between two styles, measured by the images on it, beside the straight one.

A straight line in the style space is not the shortest path in image space. Along the shortest one
images change evenly, and no more than they must.

example: ./geodesic.py --feature-size 8 --digit 5
         ./geodesic.py --from-test 8 15
         ./geodesic.py --monte-carlo 200
"""

from mnist.commands.arguments import (
    GEODESIC_DEFAULTS,
    TRAINING_EXIT_CODES,
    Parser,
    any_number,
    main,
    tool_parser,
    whole_number,
)


def parser() -> Parser:
    output = (
        "FILE.png, .svg or .pdf; other files go beside it (default: geodesic.png in the run's own, "
        "geodesic-monte-carlo.png there, or geodesic-compare.png here)"
    )
    # It may train a classifier first, and then ends as training does.
    parser = tool_parser(__doc__, output, GEODESIC_DEFAULTS, TRAINING_EXIT_CODES)
    add = parser.flag
    add("--digit", "which is written along the path", metavar="D")
    add("--from-test", "between two test images", type=whole_number(0), nargs=2, metavar=("I", "J"))
    add(
        "--between",
        "from one corner to another: all coordinates A, then B, in standard deviations",
        type=any_number,
        nargs=2,
        metavar=("A", "B"),
    )
    add(
        "--space",
        "what is measured: pixels, or a classifier's features",
        choices=["pixels", "features"],
    )
    add("--classifier", "whose features; the usual is trained first", metavar="DIR")
    add("--solver", "how geodesics are computed", choices=["gauss-newton", "adam"])
    add("--monte-carlo", "so many pairs: a table, a histogram", type=whole_number(2), metavar="N")
    add(
        "--pairs",
        "of --monte-carlo: random styles, or a step where the image changes fastest",
        choices=["random", "fastest"],
    )
    add("--compare", "the same pairs of test images in two runs", nargs=2, metavar=("A", "B"))
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.geodesic import geodesic  # late: torch takes a second to import

    geodesic(arguments)


if __name__ == "__main__":
    main(parser(), run)
