#!/usr/bin/env python3
"""Train a variational autoencoder of handwritten digits.

Encoder and decoder are conditional on the digit, so what is left for the latent vector is
handwriting (Kingma & Welling 2013, arXiv 1312.6114); with --no-labels as in the literature. The
same command again continues a run that was stopped.

example: ./mnist-vae.py --feature-size 8
"""

from mnist.commands.train import train_command

if __name__ == "__main__":
    train_command("vae", __doc__, "vae{feature_size}.ckpt")
