#!/usr/bin/env python3
"""See the style space of a trained run: each number of the style against every other, by digit.

In the window: hover over a point to see the image and its reconstruction; drag to mark points in
all panels; click a digit in the legend to isolate it. Keys: s saves, d next digit, q quits.

example: ./encoder-vis.py --feature-size 4
         ./encoder-vis.py --projection tsne --output map.pdf
         ./encoder-vis.py --manifold --digit 3
"""

from mnist.commands.arguments import tool_command
from mnist.commands.flags import EncoderVisFlags


def run(flags: EncoderVisFlags) -> None:
    from mnist.commands.encoder_vis import encoder_vis  # late: torch takes a second to import

    encoder_vis(flags)


if __name__ == "__main__":
    tool_command(__doc__, EncoderVisFlags, run)
