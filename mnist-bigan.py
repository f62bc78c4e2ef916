#!/usr/bin/env python3
"""Train a bidirectional GAN of handwritten digits: a generator, and an encoder that inverts it.

A discriminator compares images and styles together (Donahue et al. 2016, arXiv 1605.09782; Dumoulin
et al. 2016, arXiv 1606.00704). No network is given the digit. The same command again continues a
run that was stopped.

example: ./mnist-bigan.py
"""

from mnist.commands.train import train_command

if __name__ == "__main__":
    train_command("bigan", __doc__, "bigan{feature_size}.ckpt")
