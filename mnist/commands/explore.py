"""A style space to play with: what explore.py does."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mnist.commands.flags import ExploreFlags
from mnist.commands.tools import check_output, open_run, write
from mnist.data import Unavailable, load_same_dataset, title_of
from mnist.data.scan import is_like_mnist
from mnist.errors import UserError, warn
from mnist.figures.display import no_display
from mnist.figures.page import floats, layer, page
from mnist.figures.plotting import COLOURS
from mnist.networks.decoder import Decoder
from mnist.networks.encoder import LEAST, MOST, Encoder
from mnist.networks.prior import Marginals
from mnist.training.run import Run, Styles, balanced_sample

PAGE = "explore.html"  # in the run's own directory
SAMPLES = 1000  # styles of the prior, of which the page takes one at random
SHOWN = 500  # test images on its map
QUANTILES = 0.025, 0.5, 0.975
ACTIVATIONS = {nn.ReLU: "relu", nn.GELU: "gelu"}
TEXT = "31415926"


def explore(flags: ExploreFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    output = check_output(flags.html, (".html", ".htm"), "--html") or flags.directory / PAGE
    run = open_run(flags, "generate")
    run.method.cpu()
    title = f"{run.spec.class_word}s in any style: {Path(run.name).name}"
    content = page(title[0].upper() + title[1:], described(run, flags))
    write(output, content)
    print(f"page written to {output}: {len(content) / 1e6:.1f} MB")
    if flags.html is None:
        obstacle = no_display()  # without one a browser of texts might open
        if obstacle or not webbrowser.open(output.absolute().as_uri()):
            print(f"open it in a browser: none was opened, as {obstacle or 'there is none here'}")


def described(run: Run, flags: ExploreFlags) -> dict[str, Any]:
    """What the page knows of a run.

    Raises:
        UserError: its decoder is none that the page can compute.
    """
    spec, method = run.spec, run.method
    decoder = getattr(method, "decoder", None) or getattr(method, "generator", None)
    if not isinstance(decoder, Decoder) or decoder.convolutions:
        raise UserError(
            f"{run.name}: a page can compute perceptrons only, and this run's "
            f"{'decoder' if hasattr(method, 'decoder') else 'generator'} has convolutions"
        )
    samples = run.prior.sample(SAMPLES, torch.Generator().manual_seed(flags.seed))
    shown = styles_shown(run, flags)
    dataset = title_of(run.config["training"]["dataset"])
    return {
        "about": f"{method.summary()}; {run.epoch} epochs on {dataset}",
        "class_names": spec.class_names,
        "class_word": spec.class_word,
        "image_shape": spec.image_shape,
        "pixels": spec.pixels,
        "conditional": run.conditional,
        "feature_size": run.prior.feature_size,
        "prior_std": run.prior.std,
        "quantiles": quantiles(run, samples),
        "start": samples[0].tolist(),
        "samples": floats(samples.numpy()),
        "test_styles": floats(shown.styles),
        "test_labels": shown.labels.tolist(),
        "colours": COLOURS,
        "sharpness": run.sharpness,
        "usual_error": run.numbers.get("test_mse"),
        "as_mnist": is_like_mnist(run.config["training"]["dataset"], spec),
        "text": TEXT if all(digit in spec.class_names for digit in TEXT) else "",
        "decoder": {"layers": layers_of(decoder.layers), "activation": activation_of(decoder)},
        "encoder": encoder_of(run),
    }


def styles_shown(run: Run, flags: ExploreFlags) -> Styles:
    """Those of some test images; none, with a warning, where their data is not found."""
    none = np.zeros(0, np.int64)
    nothing = Styles(none, none, np.zeros((0, run.prior.feature_size), np.float32))
    if not run.has_encoder:
        return nothing
    try:
        test = load_same_dataset(run.config["training"], flags.data_dir).test
        count = min(SHOWN, len(test))
        return run.styles_of(test, balanced_sample(test.labels, count, flags.seed))
    except Unavailable as missing:
        warn(f"the map has no test images: {missing}")
        return nothing


def quantiles(run: Run, samples: Tensor) -> list[list[float]]:
    """Of each dimension of the prior, exactly where that is known."""
    shares = torch.tensor(QUANTILES)
    if isinstance(run.prior, Marginals):
        return [run.prior.icdf(shares).tolist()] * run.prior.feature_size
    return samples.quantile(shares, 0).T.tolist()


def encoder_of(run: Run) -> dict[str, Any] | None:
    """What the page needs to encode, if it can."""
    encoder = getattr(run.method, "encoder", None)
    if not isinstance(encoder, Encoder) or encoder.convolutions or encoder.noise:
        return None
    if (encoder.width and not encoder.standardise) or hasattr(run.method, "steepness"):
        return None
    norm = encoder.standardise
    return {
        "layers": layers_of(encoder.layers),
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
