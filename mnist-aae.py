#!/usr/bin/env python3
"""Train an adversarial autoencoder of handwritten digits, whose latent vector is style.

The digit is told to every network, so what is left for the latent vector is handwriting; a
discriminator makes its distribution a known Gaussian (Makhzani et al. 2015, arXiv 1511.05644).
The same command again continues a run that was stopped.

example: ./mnist-aae.py --feature-size 4
"""

from mnist.commands.cli import autoencoder_parser, main


def run(arguments: dict) -> None:
    from mnist.commands.launch import train_run  # late: torch takes a second or two to import

    train_run("aae", arguments)


if __name__ == "__main__":
    main(autoencoder_parser(__doc__), run)
