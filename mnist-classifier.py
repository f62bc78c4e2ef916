#!/usr/bin/env python3
"""Train a classifier of handwritten digits: a small convolutional network, or a perceptron.

It is what guide.py asks whether an image shows the digit that is wanted. The same command again
continues a run that was stopped.

example: ./mnist-classifier.py
         ./mnist-classifier.py --layers 3 --ckpt-dir perceptron.ckpt
         ./mnist-classifier.py --outliers --seed 1 --ckpt-dir mnist-second-opinion.ckpt
"""

from mnist.commands.train import train_command

if __name__ == "__main__":
    train_command("classifier", __doc__, "mnist-classifier.ckpt")
