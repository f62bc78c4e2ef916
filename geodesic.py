#!/usr/bin/env python3
"""The geodesic between two styles, measured by the images on it, beside the straight one.

A straight line in the style space is not the shortest path in image space. Along the shortest one
images change evenly, and no more than they must.

example: ./geodesic.py --feature-size 8 --digit 5
         ./geodesic.py --from-test 8 15
         ./geodesic.py --monte-carlo 200
"""

from mnist.commands.arguments import TRAINING_EXIT_CODES, tool_command
from mnist.commands.flags import GeodesicFlags


def run(flags: GeodesicFlags) -> None:
    from mnist.commands.geodesic import geodesic  # late: torch takes a second to import

    geodesic(flags)


if __name__ == "__main__":
    # It may train a classifier first, and then ends as training does.
    tool_command(__doc__, GeodesicFlags, run, TRAINING_EXIT_CODES)
