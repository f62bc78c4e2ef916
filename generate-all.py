#!/usr/bin/env python3
"""Write all ten digits in one handwriting: a style drawn from the prior, given, or an image's.

example: ./generate-all.py --feature-size 4
         ./generate-all.py --from-image my-seven.jpg --digit 7 --output mine.png
         ./generate-all.py --count 10000 --output data.npz
"""

from mnist.commands.arguments import tool_command
from mnist.commands.flags import GenerateAllFlags


def run(flags: GenerateAllFlags) -> None:
    from mnist.commands.generate_all import generate_all  # late: torch takes a second to import

    generate_all(flags)


if __name__ == "__main__":
    tool_command(__doc__, GenerateAllFlags, run)
