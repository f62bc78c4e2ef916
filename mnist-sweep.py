#!/usr/bin/env python3
"""Train a method at several settings and seeds, as many runs at once as there are cores.

Every flag of the method's own script may be given several values, and each combination becomes a
run of that script in a directory of its own. At the end a table and a figure say what came out. The
same command again goes on where it was stopped.

example: ./mnist-sweep.py --feature-size 2 4 8 16 --seeds 0-4
"""

from mnist.commands.sweep import sweep_command

if __name__ == "__main__":
    sweep_command(__doc__, "aae")
