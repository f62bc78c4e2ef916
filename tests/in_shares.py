"""Run by torchrun: steps of each method with rows shared, beside the same without.

Learning rates are next to nothing, or Adam would make large differences of the smallest, and the
numbers are of double precision. Writes JSON: the largest difference of gradients, and of what
batches leave in buffers, relative to the largest of them; of what validation finds; and states
that were made the first process's.
"""

import json
import sys

import torch
import torch.distributed as dist
from conftest import bundled

from mnist.data.mnist import MNIST
from mnist.data.types import Split
from mnist.methods import METHODS, Method, Step
from mnist.networks import shares
from mnist.training.processes import as_the_first, checksum, memory_of
from mnist.training.validation import validate

SMALL = {"hidden": [16, 8], "feature_size": 3, "lr": 1e-10}
CONVOLUTIONAL = {"width": 4, "feature_size": 3, "lr": 1e-10, "discriminator_lr": 1e-10}
AAE = SMALL | {"discriminator_lr": 1e-10}
CASES = {
    "aae": ("aae", AAE),
    "aae with writers": ("aae", AAE | {"writers": True}),
    "aae by convolutions": ("aae", AAE | {"network": "convolutional", "width": 4}),
    "aae of any posterior": ("aae", AAE | {"posterior": "universal"}),
    "aae with parts": (
        "aae",
        AAE | {"prior": "mixture", "guide_labels": 20, "labels": False, "feature_size": 2},
    ),
    "sae with a slope": ("sae", SMALL | {"code": "l2"}),
    "vae": ("vae", SMALL | {"likelihood": "gaussian", "decoder_variance": "rbf"}),
    "gan": ("gan", CONVOLUTIONAL),
    "gan with a penalty": ("gan", CONVOLUTIONAL | {"loss": "wgan-gp"}),
    "gan with energy": ("gan", CONVOLUTIONAL | {"loss": "ebgan"}),
    "bigan": ("bigan", CONVOLUTIONAL),
    "classifier": ("classifier", {"lr": 1e-10}),
    "categorical aae": ("categorical_aae", AAE | {"labelled": 20, "labelled_batch": 40}),
}
FLOAT32 = {"categorical aae", "aae with parts"}  # which make some numbers so themselves
BATCH = 47  # which neither two nor three processes can share evenly


def prepared(name: str, options: dict, precision: torch.dtype) -> tuple[Method, object]:
    """A method, and training images as it may know them."""
    method = METHODS[name](MNIST, **options)
    train = bundled().train
    if method.label_count is not None:
        train = train.with_few_labels(method.label_count, 0)
    method.to(precision).prepare(train)
    return method.train(), train


def off(case: str) -> dict[str, float]:
    """How far the steps with shared rows are from those without, by what was compared."""
    precision = torch.float32 if case in FLOAT32 else torch.float64
    torch.set_default_dtype(precision)
    (ours, train), (alone, _) = (prepared(*CASES[case], precision) for _ in range(2))
    for number in range(3):
        batch = train.batch(torch.arange(BATCH) * 80 + number)  # of all classes
        writers = torch.arange(BATCH) % 9
        batch = batch._replace(images=batch.images.to(precision), writers=writers)
        with shares.rows_shared():
            ours.step(batch, Step(number, 0.5))
        alone.step(batch, Step(number, 0.5))
    found = {}
    for name, player in alone.players.items():
        expected = {k: t for k, t in player.state().items() if "exp_avg" in k}
        found[name] = apart(ours.players[name].state(), expected)
    found["buffers"] = apart(dict(ours.named_buffers()), dict(alone.named_buffers()))
    return found | {"validation": validated_apart(ours.float().eval(), train.some(slice(2100)))}


def validated_apart(method: Method, split: Split) -> float:
    """The largest difference of its numbers about three batches, looked at with others and not."""
    torch.set_default_dtype(torch.float32)
    with shares.rows_shared():
        shared = validate(method, split)
    alone = validate(method, split)
    assert shared.keys() == alone.keys()
    return max((abs(shared[name] - alone[name]) for name in alone), default=0.0)


def states_after(differing: bool) -> list:
    """What each process has as its state and numbers once they are the first's, by checksums."""
    torch.set_default_dtype(torch.float32)
    method, train = prepared("sae", SMALL, torch.float32)
    method.step(train.batch(torch.arange(BATCH)), Step(0, 0.5))
    if differing:
        with torch.no_grad():
            next(method.parameters())[0] += dist.get_rank()
            method.players["autoencoder"].memory[1]["exp_avg"] += dist.get_rank()
    number = as_the_first(method, 10 + dist.get_rank())
    found = [None] * dist.get_world_size()
    state = checksum([*method.state_dict().values(), *memory_of(method)])
    dist.all_gather_object(found, (state, number))
    return found


def apart(found: dict, expected: dict) -> float:
    """The largest difference of tensors, relative to the largest number among them."""
    numbers = {k: t for k, t in expected.items() if t.is_floating_point() and t.numel()}
    largest = max((t.abs().max().item() for t in numbers.values()), default=0.0)
    differences = [(found[k] - t).abs().max().item() for k, t in numbers.items()]
    return max(differences, default=0.0) / max(largest, 1e-30)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    results = {case: off(case) for case in CASES}
    results["states"] = [states_after(differing) for differing in (True, False)]
    if dist.get_rank() == 0:
        with open(sys.argv[1], "w") as file:
            json.dump(results, file)
    dist.destroy_process_group()
