#!/usr/bin/env python3
"""Train a simple autoencoder of handwritten digits: reconstruction, and no adversary.

Encoder and decoder are conditional on the digit. The styles take whatever shape suits them, or by
--code l2 (Ghosh et al. 2020, arXiv 1903.12436) one that a mixture of Gaussians fits; to make
them a known Gaussian, use mnist-aae.py, which may go on from a directory trained by this script.
The same command again continues a run that was stopped.

example: ./mnist-sae.py --feature-size 4
"""

from mnist.commands.train import train_command

if __name__ == "__main__":
    train_command("sae", __doc__, "mnist{feature_size}.ckpt")
