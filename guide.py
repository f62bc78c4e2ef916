#!/usr/bin/env python3
"""Ask for a digit, and watch a latent point walk until a classifier reads it in what is decoded.

The decoder and the classifier stay as they are; what descends the classifier's -log p(digit) is
the point: its style, and for a conditional run, the class code that the decoder is given.

example: ./guide.py --digit 5
         ./guide.py --digit 8 --from-digit 3 --output three-to-eight.gif
         ./guide.py --survey
"""

from mnist.commands.arguments import TRAINING_EXIT_CODES, tool_command
from mnist.commands.flags import GuideFlags


def run(flags: GuideFlags) -> None:
    from mnist.commands.guide import guide  # late: torch takes a second to import

    guide(flags)


if __name__ == "__main__":
    # It may train classifiers first, and then ends as training does.
    tool_command(__doc__, GuideFlags, run, TRAINING_EXIT_CODES)
