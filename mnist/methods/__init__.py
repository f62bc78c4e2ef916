"""The training methods, by name. A new one is a file here and a line in `METHODS`."""

from mnist.methods.aae import AAE
from mnist.methods.base import Classifies, Decodes, Encodes, HasLikelihood, Method, Step
from mnist.methods.bigan import BiGAN
from mnist.methods.categorical_aae import CategoricalAAE
from mnist.methods.classifier import Classifier
from mnist.methods.gan import GAN
from mnist.methods.sae import SAE
from mnist.methods.vae import VAE

__all__ = [
    "CLASSIFIER",
    "METHODS",
    "Classifies",
    "Decodes",
    "Encodes",
    "HasLikelihood",
    "Method",
    "Step",
]

CLASSIFIER = Classifier.name  # what tools train for an opinion of images
METHODS: dict[str, type[Method]] = {
    each.name: each for each in (SAE, AAE, CategoricalAAE, VAE, BiGAN, GAN, Classifier)
}
