"""A run as the explorer's page knows it: networks in 12 bits, styles, names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mnist.commands.explored import Explored
from mnist.data.scan import is_like_mnist
from mnist.errors import UserError
from mnist.figures.exploration import TEXT
from mnist.figures.page import floats, layer, nibbles
from mnist.figures.plotting import COLOURS
from mnist.networks.decoder import Decoder
from mnist.networks.encoder import LEAST, MOST, Encoder
from mnist.training.run import Run

ACTIVATIONS = {nn.ReLU: "relu", nn.GELU: "gelu"}


def described(space: Explored) -> dict[str, Any]:
    """What the page knows of a run.

    Raises:
        UserError: its decoder is none that the page can compute.
    """
    run, spec, method = space.run, space.spec, space.run.method
    method.cpu()
    decoder = getattr(method, "decoder", None) or getattr(method, "generator", None)
    if not isinstance(decoder, Decoder) or decoder.convolutions:
        raise UserError(
            f"{run.name}: a page can compute perceptrons only, and this run's "
            f"{'decoder' if hasattr(method, 'decoder') else 'generator'} has convolutions"
        )
    tests = space.tests()
    return {
        "about": space.about,
        "class_names": spec.class_names,
        "class_word": spec.class_word,
        "image_shape": spec.image_shape,
        "pixels": spec.pixels,
        "conditional": run.conditional,
        "feature_size": run.prior.feature_size,
        "prior_std": run.prior.std,
        "quantiles": space.quantiles,
        "order": space.order,
        "samples": floats(space.samples.numpy()),
        "tests": tests
        and {
            "images": nibbles(tests.images.flatten().numpy()),
            "labels": tests.labels.tolist(),
            "styles": floats(tests.styles.numpy()),
        },
        "colours": COLOURS,
        "sharpness": run.sharpness,
        "usual_error": run.numbers.get("test_mse"),
        "as_mnist": is_like_mnist(space.dataset, spec),
        "text": TEXT if all(digit in spec.class_names for digit in TEXT) else "",
        "decoder": {
            "layers": layers_of(decoder.layers),
            "activation": activation_of(decoder),
            "scale": decoder.scale,
            "of_classes": decoder.of_classes,
        },
        "encoder": encoder_of(run),
    }


def encoder_of(run: Run) -> dict[str, Any] | None:
    """What the page needs to encode, if it can."""
    encoder = getattr(run.method, "encoder", None)
    if not isinstance(encoder, Encoder) or encoder.convolutions or encoder.noise:
        return None
    if (encoder.width and not encoder.standardise) or hasattr(run.method, "steepness"):
        return None
    norm = encoder.standardise
    return {
        "layers": layers_of(on_pixels(encoder)),
        "activation": activation_of(encoder),
        "std": encoder.std,
        "least": LEAST,
        "most": MOST,
        "standardise": norm
        and {
            "mean": norm.running_mean.tolist(),
            "variance": norm.running_var.tolist(),
            "epsilon": norm.eps,
        },
        "width": encoder.width and layers_of(nn.Sequential(encoder.width))[0],
    }


def on_pixels(encoder: Encoder) -> nn.Sequential:
    """An encoder's perceptron as it is of pixels: linear layers, one after the other, are one."""
    if not encoder.whitening:
        return encoder.layers
    first, *others = encoder.layers
    assert isinstance(first, nn.Linear)
    components, offset = encoder.whitening.components, encoder.whitening.offset
    of_components, of_classes = first.weight.split([len(offset), encoder.classes], 1)
    both = nn.Linear(components.shape[1] + encoder.classes, first.out_features)
    both.weight.data = torch.cat([of_components @ components, of_classes], 1)
    both.bias.data = first.bias + of_components @ offset
    return nn.Sequential(both.requires_grad_(False), *others)


def layers_of(perceptron: nn.Sequential) -> list[dict[str, Any]]:
    """Its linear layers, into which batch normalisations are multiplied."""
    found: list[tuple[Tensor, Tensor]] = []
    for each in perceptron:
        if isinstance(each, nn.Linear):
            found.append((each.weight, each.bias))
        elif isinstance(each, nn.BatchNorm1d):
            weight, bias = found.pop()
            assert each.running_mean is not None
            assert each.running_var is not None
            scale = each.weight / (each.running_var + each.eps).sqrt()
            found.append((weight * scale[:, None], scale * (bias - each.running_mean) + each.bias))
    return [layer(weight.numpy(), bias.numpy()) for weight, bias in found]


def activation_of(network: Encoder | Decoder) -> str:
    """What is between its layers, by the page's name."""
    kinds = {type(each) for each in network.layers} & ACTIVATIONS.keys()
    return ACTIVATIONS[kinds.pop()] if kinds else "none"
