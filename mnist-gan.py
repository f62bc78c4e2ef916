#!/usr/bin/env python3
"""Train a generative adversarial network of handwritten digits.

A generator makes images of noise, and learns from a discriminator that tells them from real ones
(Goodfellow et al. 2014, arXiv 1406.2661), by the loss and the condition asked for. The same command
again continues a run that was stopped.

example: ./mnist-gan.py --loss wgan-gp --condition acgan
"""

from mnist.commands.train import train_command

if __name__ == "__main__":
    train_command("gan", __doc__, "gan-{loss}-{condition}.ckpt")
