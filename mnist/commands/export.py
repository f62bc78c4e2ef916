"""A run's networks for other programs, checked, and with a model card: what export.py does."""

from __future__ import annotations

import copy
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from mnist import files
from mnist.commands.evaluate import table
from mnist.commands.flags import ExportFlags
from mnist.commands.tools import check_output, open_run
from mnist.data import title_of
from mnist.errors import UserError, first_line
from mnist.methods import Classifies, Encodes
from mnist.networks.sharpness import sharpen
from mnist.training.environment import versions
from mnist.training.run import Run

DECODES = "styles, and at what sharpness (1: the mean of what a style may stand for), to images"
ENCODES = "images, in [0, 1] with 1 as ink, to their style"
OF_A_POSTERIOR = ": the mean and the standard deviation of its normal posterior"
READS = "images to log-probabilities of the classes"
READS_CLUSTERS = "images to log-probabilities of clusters, which are no classes"
INPUTS = 1000  # on which each file is checked
# Of a number by another program, at most: absolute, and relative to how large it is.
TOLERANCE = 1e-5
EXAMPLES = 2  # inputs at once, where the model card shows how to call it
MODEL_CARD, CONFIG = "README.md", "config.json"


class Network(NamedTuple):
    """A network as other programs call it."""

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]  # examples by name; all begin with the batch but a number
    outputs: Sequence[str]
    what: str  # for the model card


def export(flags: ExportFlags) -> None:
    """Do what the command line says.

    Raises:
        UserError: any user error.
    """
    formats = [name for name in FORMATS if getattr(flags, name)]
    if not formats:
        raise UserError("say in which format: --onnx, --torch-export or --safetensors")
    output = check_output(flags.output, ("",)) or flags.directory / "export"
    run = open_run(flags)
    run.method.cpu()  # where other programs' answers are compared
    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output} is there already: delete it, or name another by --output")
    networks = networks_of(run, flags.seed)
    written: dict[str, float] = {}
    try:
        with files.new_folder(output) as folder:
            for name in formats:
                written |= FORMATS[name](run, networks, folder)
            card = model_card(run, networks, formats, written, evaluation_of(run, flags.directory))
            (folder / MODEL_CARD).write_text(card, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {output} ({error.strerror})") from error
    for name, off in written.items():
        size = (output / name).stat().st_size
        print(f"{output / name}: {size / 1e6:.1f} MB, at most {off:.1g} off the run")
    print(output / MODEL_CARD)


# --- networks -------------------------------------------------------------------------------------


class Encoder(nn.Module):
    """From images and classes to styles; of a posterior to their means and deviations."""

    def __init__(self, method: Any):
        super().__init__()
        self.method = method

    def forward(self, images: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        encoded = self.method.encode(images, labels)
        return (encoded.mean, encoded.stddev) if isinstance(encoded, Distribution) else (encoded,)


class Decoder(nn.Module):
    """From styles and classes to images."""

    def __init__(self, method: Any):
        super().__init__()
        self.method = method

    def forward(
        self, style: Tensor, sharpness: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor]:
        return (sharpen(self.method.decode(style, labels), sharpness),)


class Classifier(nn.Module):
    """From images to log-probabilities."""

    def __init__(self, method: Any):
        super().__init__()
        self.method = method

    def forward(self, images: Tensor) -> tuple[Tensor]:
        return (self.method.classify(images).log_softmax(1),)


def networks_of(run: Run, seed: int) -> list[Network]:
    """What a run has of these, each with inputs of the kind that it is for.

    Styles are drawn from the prior; images are what it writes in them, and noise.

    Raises:
        UserError: it has none of them.
    """
    method, spec = run.method, run.spec
    rng = torch.Generator().manual_seed(seed)
    labels = torch.randint(spec.classes, (INPUTS,), generator=rng)
    told = {"labels": labels} if run.conditional else {}
    images = torch.rand(INPUTS, *spec.image_shape, generator=rng)
    networks = []
    if run.can_generate:
        style = run.prior.sample(INPUTS, rng)
        sharpness = torch.tensor(run.sharpness)
        images[::2] = run.decode(style, labels, sharpness=run.sharpness)[::2].cpu()
        inputs = {"style": style, "sharpness": sharpness} | told
        networks.append(Network("decoder", Decoder(method), inputs, ["images"], DECODES))
    if isinstance(method, Encodes):
        outputs = ["mean", "deviation"] if run.has_posterior else ["style"]
        what = ENCODES + (OF_A_POSTERIOR if run.has_posterior else "")
        networks.append(
            Network("encoder", Encoder(method), {"images": images} | told, outputs, what)
        )
    if isinstance(method, Classifies):
        what = READS_CLUSTERS if method.finds_classes else READS
        classifier = Classifier(method)
        networks.append(Network("classifier", classifier, {"images": images}, ["log_probs"], what))
    if not networks:
        raise UserError(f"{run.name} has no encoder, decoder or classifier to export")
    return [each._replace(module=only_used(each)) for each in networks]


@torch.no_grad()
def only_used(network: Network) -> nn.Module:
    """A copy of its module without the networks of the method that it does not call."""
    module = copy.deepcopy(network.module)
    called: set[nn.Module] = set()
    hooks = [each.register_forward_hook(lambda m, *_: called.add(m)) for each in module.modules()]
    module(**traced(network))
    for hook in hooks:
        hook.remove()
    drop_all_but(module, called)
    return module


def drop_all_but(module: nn.Module, called: set[nn.Module]) -> None:
    """Take out what is in a module, at whatever depth, and neither called nor holds what is."""
    for name, child in list(module.named_children()):
        if called.isdisjoint(child.modules()):
            delattr(module, name)
        else:
            drop_all_but(child, called)


def traced(network: Network) -> dict[str, Tensor]:
    """A few of its inputs: which operations there are does not depend on how many."""
    return {name: some(tensor, 2) for name, tensor in network.inputs.items()}


def some(tensor: Tensor, count: int) -> Tensor:
    """The first examples of a batch; of a number all of it."""
    return tensor[:count] if tensor.ndim else tensor


# --- formats --------------------------------------------------------------------------------------


def write_onnx(run: Run, networks: Sequence[Network], folder: Path) -> dict[str, float]:
    """A file for each network, and by how much each is off."""
    try:
        import onnx  # noqa: F401
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--onnx needs {error.name}: pip install -r onnx-requirements.txt"
        ) from error
    found = {}
    for each in networks:
        path = folder / f"{each.name}.onnx"
        with exporting(each.name):
            program = torch.onnx.export(
                each.module,
                kwargs=traced(each),
                input_names=[*each.inputs],
                output_names=[*each.outputs],
                dynamic_shapes=any_batch(each.inputs),
                dynamo=True,
                verbose=False,
            )
            assert program is not None
            program.save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

        def call(session: Any = session, **inputs: Tensor) -> list[Tensor]:
            arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
            return [torch.from_numpy(array) for array in session.run(None, arrays)]

        found[path.name] = difference(each, call, path.name)
    return found


def write_torch(run: Run, networks: Sequence[Network], folder: Path) -> dict[str, float]:
    """Likewise, as programs of torch.export."""
    found = {}
    for each in networks:
        path = folder / f"{each.name}.pt2"
        with exporting(each.name):
            program = torch.export.export(
                each.module, (), traced(each), dynamic_shapes=any_batch(each.inputs)
            )
            torch.export.save(program, path)
        found[path.name] = difference(each, torch.export.load(path).module(), path.name)
    return found


def write_safetensors(run: Run, networks: Sequence[Network], folder: Path) -> dict[str, float]:
    """The weights of all networks in one file, by their names in the method, and its configuration.

    A method is built by them as the model card says, and compared.
    """
    path = folder / "model.safetensors"
    weights: dict[str, Tensor] = {}
    for each in networks:
        weights |= {
            name.removeprefix("method."): tensor.contiguous()
            for name, tensor in each.module.state_dict().items()
        }
    safetensors.torch.save_file(weights, path)
    config = {
        "method": run.config["method"],
        "model": run.config["model"],
        "data": run.spec.as_config(),
        "versions": versions("torch", "safetensors"),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    method = type(run.method)(run.spec, **run.config["model"])
    method.load_state_dict(safetensors.torch.load_file(path), strict=False)
    method.eval()
    worst = max(difference(each, type(each.module)(method), path.name) for each in networks)
    return {path.name: worst}


FORMATS: dict[str, Callable[[Run, Sequence[Network], Path], dict[str, float]]] = {
    "onnx": write_onnx,
    "torch_export": write_torch,
    "safetensors": write_safetensors,
}


def any_batch(inputs: dict[str, Tensor]) -> dict[str, dict[int, torch.export.Dim]]:
    """Of which inputs the first dimension may be of any size."""
    batch = torch.export.Dim("batch")
    return {name: {0: batch} if tensor.ndim else {} for name, tensor in inputs.items()}


@torch.no_grad()
def difference(network: Network, call: Callable[..., Sequence[Tensor]], name: str) -> float:
    """By how much a file's answers are off, at most, on all inputs, and on a single one.

    Raises:
        UserError: by more than rounding explains.
    """
    worst = 0.0
    for count in (INPUTS, 1):
        inputs = {name: some(tensor, count) for name, tensor in network.inputs.items()}
        for ours, theirs in zip(network.module(**inputs), call(**inputs), strict=True):
            if not torch.allclose(ours, theirs, TOLERANCE, TOLERANCE):
                off = (ours - theirs).abs().max().item()
                raise UserError(f"{name} would be off by {off:.2g}, and is not written")
            worst = max(worst, (ours - theirs).abs().max().item())
    return worst


@contextmanager
def exporting(name: str) -> Iterator[None]:
    """A context in which torch exports a network, and says nothing of it but that it cannot.

    Raises:
        UserError: it cannot.
    """
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except OSError:
        raise
    except Exception as error:  # of whatever kind: torch has many
        raise UserError(
            f"torch cannot export this run's {name} ({first_line(error)}): --safetensors can"
        ) from error
    finally:
        logging.disable(level)


# --- the model card -------------------------------------------------------------------------------


def model_card(
    run: Run,
    networks: Sequence[Network],
    formats: Sequence[str],
    differences: dict[str, float],
    evaluation: str,
) -> str:
    """Markdown: what it is, of what data, how good, and how to use it."""
    training = run.config["training"]
    dataset = title_of(training["dataset"])
    names = ", ".join(run.spec.class_names)
    inputs = "\n".join(
        f"- **{each.name}**: {each.what}.\n"
        f"  In: {described(each.inputs)}. Out: {', '.join(each.outputs)}."
        for each in networks
    )
    usage = "\n\n".join(usage_of(each, networks[0]) for each in formats)
    known = ", ".join(f"{name} {version}" for name, version in versions("torch", "numpy").items())
    return f"""\
---
license: mit
library_name: mnist-style
tags: [{run.config["method"]}, {dataset}]
---

# {run.config["method"]} of {dataset}

{run.method.summary()}, trained by mnist-style for {run.epoch} epochs.

{inputs}

B is any batch size. Images are float32 [B, {", ".join(map(str, run.spec.image_shape))}].
Classes, from 0: {names}.
{SHARPNESS.format(sharpness=run.sharpness) if run.can_decode else ""}
## Data and licence

Trained on {dataset}, SHA-256 {training["dataset_sha256"]}.
{LICENCE_OF_MNIST if dataset.startswith("mnist") else LICENCE_OF_OTHERS}
The program is under the MIT licence.

## How good it is

{evaluation}

## How to use it

{usage}

Each file was compared with the run on {INPUTS:,} inputs before it was written. Largest differences:
{", ".join(f"{name} {off:.1g}" for name, off in differences.items())}. By {known}.
"""


SHARPNESS = """
Decoded at sharpness 1 an image is the mean of all that a style may stand for; at {sharpness:.3f}
images are as black and white as real ones.
"""
LICENCE_OF_MNIST = """\
MNIST is by Yann LeCun and Corinna Cortes, CC BY-SA 3.0 (http://yann.lecun.com/exdb/mnist)."""
LICENCE_OF_OTHERS = "Whose images these are, and under what licence, is for you to say here."
NOT_EVALUATED = "Not evaluated: run evaluate.py, and export it again."


def described(inputs: dict[str, Tensor]) -> str:
    """Names, types and shapes of inputs."""
    kinds = {torch.float32: "float32", torch.int64: "int64"}
    return ", ".join(
        f"{name} {kinds[tensor.dtype]} [{', '.join(['B', *map(str, tensor.shape[1:])])}]"
        if tensor.ndim
        else f"{name} {kinds[tensor.dtype]}, a number"
        for name, tensor in inputs.items()
    )


def evaluation_of(run: Run, directory: Path) -> str:
    """What evaluate.py found, if it was of this epoch."""
    try:
        found = json.loads((directory / "evaluation.json").read_text(encoding="utf-8"))
        if found["epochs"] == run.epoch:
            return f"By evaluate.py:\n\n```\n{table([found])}\n```"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # none, or one that was edited
    return NOT_EVALUATED


def usage_of(form: str, network: Network) -> str:
    """Some lines of Python that call a network out of a file of this format."""
    if form == "safetensors":
        call = {
            "decoder": "decode({style}{labels}).sigmoid()",
            "encoder": "encode({images}{labels})",
            "classifier": "classify({images}).softmax(1)",
        }[network.name]
        given = {name: example(name, each, "torch") for name, each in network.inputs.items()}
        given["labels"] = f", {given['labels']}" if "labels" in given else ""
        lines = [
            "import json",
            "import torch",
            "from safetensors.torch import load_file",
            "from mnist.data import DataSpec",
            "from mnist.methods import METHODS",
            "",
            f'config = json.load(open("{CONFIG}"))',
            'spec = DataSpec.from_config(config["data"])',
            'method = METHODS[config["method"]](spec, **config["model"])',
            'method.load_state_dict(load_file("model.safetensors"), strict=False)',
            f"answer = method.eval().{call.format(**given)}",
        ]
        return code(lines)
    library = "np" if form == "onnx" else "torch"
    given = {name: example(name, each, library) for name, each in network.inputs.items()}
    if form == "onnx":
        inputs = ", ".join(f'"{name}": {each}' for name, each in given.items())
        return code(
            [
                "import numpy as np",
                "import onnxruntime",
                "",
                f'{network.name} = onnxruntime.InferenceSession("{network.name}.onnx")',
                f"answer = {network.name}.run(None, {{{inputs}}})",
            ]
        )
    inputs = ", ".join(f"{name}={each}" for name, each in given.items())
    return code(
        [
            "import torch",
            "",
            f'{network.name} = torch.export.load("{network.name}.pt2").module()',
            f"answer = {network.name}({inputs})",
        ]
    )


def example(name: str, tensor: Tensor, library: str) -> str:
    """Python for an input like this, of zeros: by NumPy ("np") or torch."""
    if not tensor.ndim:
        number = f"{tensor.item():.3f}"
        return (
            f"torch.tensor({number})" if library == "torch" else f"np.array({number}, np.float32)"
        )
    if name == "labels":
        return f"{library}.arange({EXAMPLES})"
    shape = ", ".join(map(str, [EXAMPLES, *tensor.shape[1:]]))
    return f"torch.zeros({shape})" if library == "torch" else f"np.zeros(({shape}), np.float32)"


def code(lines: Sequence[str]) -> str:
    """Lines of Python in Markdown."""
    return "\n".join(["```python", *lines, "```"])
