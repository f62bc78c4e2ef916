"""The training methods, by name. A new one is a file here and a line in `METHODS`."""

from mnist.methods.aae import AAE
from mnist.methods.base import Method
from mnist.methods.classifier import Classification
from mnist.methods.sae import SAE

METHODS: dict[str, type[Method]] = {each.name: each for each in (SAE, AAE, Classification)}
