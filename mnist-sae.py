#!/usr/bin/env python3
"""Train a simple autoencoder of handwritten digits: reconstruction, and nothing else.

The digit is told to encoder and decoder. The styles take whatever shape suits them; to make it a
known Gaussian, use mnist-aae.py, which may go on from a directory trained by this script.
The same command again continues a run that was stopped.

example: ./mnist-sae.py --feature-size 4
"""

from mnist.commands.cli import autoencoder_parser, main


def run(arguments: dict) -> None:
    from mnist.commands.launch import train_run  # late: torch takes a second or two to import

    train_run("sae", arguments)


if __name__ == "__main__":
    main(autoencoder_parser(__doc__), run)
