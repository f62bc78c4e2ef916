#!/usr/bin/env python3
"""A style space to play with: sliders, a map and a pad to draw on, in a window or a browser.

With --html it is one file, which holds the networks and loads nothing: it opens by a double click,
without a network, on a phone as well. Where there can be no window that is DIR/explore.html.

example: ./explore.py
         ./explore.py --feature-size 8 --html page.html
"""

from mnist.commands.arguments import tool_command
from mnist.commands.flags import ExploreFlags


def run(flags: ExploreFlags) -> None:
    from mnist.commands.explore import explore  # late: torch takes a second to import

    explore(flags)


if __name__ == "__main__":
    tool_command(__doc__, ExploreFlags, run)
