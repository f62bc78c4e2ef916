#!/usr/bin/env python3
"""Train an adversarial autoencoder of handwritten digits, whose latent vector is style.

Every network is conditional on the digit, so what is left for the latent vector is handwriting; a
discriminator makes its distribution a known Gaussian (Makhzani et al. 2015, arXiv 1511.05644).
The same command again continues a run that was stopped.

A style of up to 4 numbers has other defaults than those named below, where there are 20,000 images
or more: docs/training.md lists them.

example: ./mnist-aae.py --feature-size 4
"""

from mnist.commands.train import Variant, train_command

VARIANTS = {
    "labelled": Variant("categorical_aae", "labelled{labelled}.ckpt"),
    "clusters": Variant("categorical_aae", "clusters{clusters}.ckpt"),
}

if __name__ == "__main__":
    train_command("aae", __doc__, "mnist{feature_size}.ckpt", VARIANTS)
