#!/usr/bin/env python3
"""See the style space of a trained run: each number of the style against every other, by digit.

In the window: hover over a point to see the image and its reconstruction; drag to mark points in
all panels; click a digit in the legend to isolate it. Keys: s saves, d next digit, q quits.

example: ./encoder-vis.py --feature-size 4
         ./encoder-vis.py --projection tsne --output map.pdf
         ./encoder-vis.py --manifold --digit 3
"""

from mnist.commands.arguments import Parser, main, numbers, tool_parser, whole_number, whole_numbers


def parser() -> Parser:
    parser = tool_parser(__doc__, "FILE.png, FILE.svg or FILE.pdf; without it a window opens")
    add = parser.flag
    add("--sample-size", "test images to draw", type=whole_number(1), metavar="K")
    add("--dims", "dimensions to draw, as 0,3,7", type=whole_numbers, metavar="LIST")
    add(
        "--projection",
        "all pairs of dimensions, or the plane of a PCA or t-SNE",
        choices=["matrix", "pca", "tsne"],
    )
    add("--space", "what PCA and t-SNE see of an image", choices=["style", "pixels"])
    add("--csv", "write image number, digit and style there too", metavar="FILE")
    add("--manifold", "decoded styles instead: a map, or a line per dimension", action="store_true")
    add("--digit", "which digit --manifold writes, instead of all", metavar="D")
    add("--style", "the style that --manifold's lines cross", type=numbers, metavar="NUMBERS")
    return parser


def run(arguments: dict) -> None:
    from mnist.commands.encoder_vis import encoder_vis  # late: torch takes a second to import

    encoder_vis(arguments)


if __name__ == "__main__":
    main(parser(), run)
