"""What the training loop, the run directory and the tools need of a training method."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    runtime_checkable,
)

import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.optim.swa_utils import AveragedModel

from mnist.data.spec import DataSpec
from mnist.data.types import Batch, Dataset, Split
from mnist.networks.averaging import moving_average
from mnist.networks.player import Player
from mnist.networks.prior import Prior
from mnist.networks.random import child_seed, seeded
from mnist.options import Positive, Whole, configuration

T = TypeVar("T", float, Tensor)


def cosine(progress: float) -> float:
    """Learning-rate scale over training: 1 at its start, 0 at its end.

    Half a cosine (Loshchilov & Hutter 2016, arXiv 1608.03983, without restarts). For a game of
    two players the end matters most: as the steps shrink, the discriminator catches up with an
    encoder that hardly moves any more, and tells it the truth.
    """
    return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def warmed_up(progress: float, warm_up: float) -> float:
    """`cosine` after a share of the training in which the scale rises from 0 to 1 along a line.

    Adam's first steps go by few gradients (Liu et al. 2020, arXiv 1908.03265); after them a larger
    learning rate is borne than would be from the start.
    """
    if progress < warm_up:
        return progress / warm_up
    return cosine((progress - warm_up) / (1 - warm_up)) if warm_up < 1 else 0.0


class Step(NamedTuple):
    """Where in the training a step is.

    Attributes:
        number: steps done before it, in all epochs.
        progress: share of the training done, from 0 to 1.
    """

    number: int
    progress: float

    def given(self, make: Callable[[Step], T]) -> T:
        """What the host makes anew for each step: a number, such as a learning rate's, or a tensor
        on the CPU, such as random numbers.

        `make` is called with the step. In a captured step (`mnist/training/capture.py`) its result
        is on the device, a number as a scalar.
        """
        return make(self)


class Preset(NamedTuple):
    """Defaults that go together.

    Attributes:
        options: what these are.
        epochs: how long it is to be trained then, as `Method.epochs`.
        batch_size: by how many images a step; None for `Method.batch_size`.
    """

    options: Mapping[str, Any]
    epochs: tuple[int, int]
    batch_size: int | None = None


# --- what a method may be able to do --------------------------------------------------------------


@runtime_checkable
class Encodes(Protocol):
    """It has a style for each image."""

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor | Distribution:
        """images [B, C, H, W] in [0, 1], labels int64 [B] -> styles [B, N], or their posterior."""


@runtime_checkable
class Decodes(Protocol):
    """It has an image for each style; with a prior, it generates."""

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """style [B, N], labels as `class_code` takes them -> logits [B, C, H, W] of pixels."""


@runtime_checkable
class HasLikelihood(Protocol):
    """It says how likely an image is, given the style."""

    def log_likelihood(self, images: Tensor, style: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x|z) of images [B, C, H, W] in styles [B, N], labels int64 [B] -> nats [B]."""


@runtime_checkable
class Classifies(Protocol):
    """It tells classes apart."""

    def classify(self, images: Tensor) -> Tensor:
        """images [B, C, H, W] in [0, 1] -> logits of the classes [B, K].

        One that can say "none of them" has another logit for that, the last.
        """


# --- a method -------------------------------------------------------------------------------------


class Method(nn.Module, ABC):
    """Networks, and a way to train them.

    A subclass writes `step`; its `__init__` builds the networks and puts its players into
    `self.players`. What it can do besides it says by having `encode`, `decode` or `classify` (see
    the protocols above), a `prior`, and whether it is `conditional`.

    The keyword-only parameters of its `__init__` are the run's configuration, `self.config`, and
    the flags of its script, see `mnist/options.py`.

    Args:
        spec: of the data set.
        lr: learning rate at the start.
        seed: of the initial weights and of every random number drawn in training.
        precision: of matrix products: bf16 runs them in bfloat16, weights staying float32.
    """

    name: ClassVar[str]
    headline: ClassVar[str | None] = None  # the number that says most, if there is one
    larger_is_better: ClassVar[bool] = False  # of the headline
    # Whether its generated images are looked at after each epoch (`mnist/training/diagnosis.py`),
    # as those of a method that has no error on test images should be.
    diagnosed: ClassVar[bool] = False
    batch_size: ClassVar[int] = 250  # images a step, by default
    epochs: ClassVar[tuple[int, int]] = (30, 60)  # by default: on a large data set, on a small one
    starts_from: ClassVar[tuple[str, ...]] = ()  # methods whose networks this one may go on from
    # Options that a run shares with the one that it starts from by `--from`, if it can.
    taken_over: ClassVar[tuple[str, ...]] = ()
    script: ClassVar[str | None] = None  # of the training script, where that has another name
    # What an option was in all runs made before there was one, where that is not its default.
    earlier: ClassVar[Mapping[str, Any]] = {}
    # Options that there were once, and that only decided the defaults of others.
    dropped: ClassVar[tuple[str, ...]] = ()
    # Options that say something only where others have some value, or True: any but None and zero.
    only_with: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    config: dict[str, Any]
    prior: Prior | None = None  # of the styles
    conditional: bool = False  # whether the networks are given the class
    decodes_std: bool = False  # whether it knows how sure a pixel is: `decode_std`, as `decode`
    label_count: int | None = None  # training images whose class it may know; None: all of them
    finds_classes: bool = False  # whether its classes are clusters, found without labels
    codes: int = 0  # first numbers of the style that each stand for something by themselves
    needs_labels: bool = False  # whether some training images have to have a class
    needs_writers: bool = False  # whether it learns from who wrote the images
    # Whether every step is the same operations on the device, but for its batch and what it is
    # given by `Step.given`: then a CUDA graph may run it.
    capturable: bool = False

    if TYPE_CHECKING:
        # What only some can do, such as `encode`, is asked of those that are known to.
        def __getattr__(self, name: str) -> Any: ...

    @classmethod
    def preset(cls, options: Mapping[str, Any], images: int) -> Preset:
        """Defaults that go together where options are as these, of which some may be missing, and
        so many images are to be trained on."""
        return Preset({}, cls.epochs)

    @classmethod
    def defaults_for(cls, dataset: Dataset, options: Mapping[str, Any]) -> dict[str, Any]:
        """Defaults that depend on the data, and on what was given of the other options."""
        return dict(cls.preset(options, len(dataset.train)).options)

    def __new__(cls, *_: Any, **options: Any) -> Method:
        method = super().__new__(cls)
        method.__dict__["config"] = configuration(cls, options)  # nn.Module is not there yet
        return method

    def __init__(
        self,
        spec: DataSpec,
        *,
        lr: Positive,
        seed: Whole = 0,
        precision: Literal["fp32", "bf16"] = "fp32",
    ):
        super().__init__()
        self.spec = spec
        self.seed = seed
        self.precision = precision
        # On the CPU whatever the device: the numbers are few, and a run draws the same everywhere.
        # Not named `generator`: that is what a method calls a network.
        self.rng = torch.Generator().manual_seed(child_seed(seed, "training"))
        self.players: dict[str, Player] = {}
        # Averaged weights of networks, `AveragedModel` each, by the attribute's name; `step`
        # updates them.
        self.averages = nn.ModuleDict()

    def prepare(self, train: Split) -> None:
        """Look at the training images, on the device, before a training begins or goes on.

        What is kept of them belongs to no checkpoint: it has to come out the same every time.
        """

    def fit(self, train: Split) -> None:
        """Fit to the training images, on the device, what no step fits: after each epoch."""

    @abstractmethod
    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Train on one batch: the algorithm.

        Args:
            batch: images, labels (−1 where there is none), and where they come from.
            step: where in the training it is.

        Returns:
            Losses and other numbers about this batch, as detached scalars on the device. They may
            differ from step to step.
        """

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        """Numbers about images not trained on, besides those that its capabilities give.

        `style` [B, N] is what `encode` gives, or drawn from it, for a method that encodes.
        """
        return {}

    @property
    def title(self) -> str:
        """Its name as pictures and logs have it: "AAE", "CATEGORICAL AAE"."""
        return self.name.replace("_", " ").upper()

    @abstractmethod
    def summary(self) -> str:
        """What is trained, in a few words."""

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next(self.parameters()).device

    def seeded(self, name: str) -> Any:
        """A context in which the weights of the network of this name are made: its own stream."""
        return seeded(child_seed(self.seed, name))

    def autocast(self) -> torch.autocast:
        """The context in which networks run, according to `precision`."""
        return torch.autocast(
            self.device.type,
            torch.bfloat16,
            enabled=self.precision == "bf16",
            # A player may learn between two uses of its network, and the cache would not notice.
            cache_enabled=False,
        )

    def gradient_norms(self) -> dict[str, Tensor]:
        """Largest Euclidean norm of each player's gradients at its updates since the last call."""
        return {
            f"{name}_gradient": norm
            for name, player in self.players.items()
            if (norm := player.largest_gradient()) is not None
        }

    def keep_average(self, name: str, keep: float) -> None:
        """From now on average the weights of the network of this name; 0 for no average.

        `keep` is the share of itself that the average keeps in a step (`update_averages`).
        """
        if keep:
            self.averages[name] = AveragedModel(
                getattr(self, name), avg_fn=moving_average(keep), use_buffers=True
            )

    def update_averages(self) -> None:
        """Let the averages follow their networks, after a step of these."""
        for name, average in self.averages.items():
            average.update_parameters(getattr(self, name))  # type: ignore[operator]

    def use_averages(self) -> None:
        """Put averaged weights in the place of those that they are averages of."""
        for name, average in self.averages.items():
            getattr(self, name).load_state_dict(average.get_submodule("module").state_dict())

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Evaluation mode, with averaged weights where there are any; then all is as before."""
        kept = {
            name: {key: tensor.clone() for key, tensor in getattr(self, name).state_dict().items()}
            for name in self.averages
        }
        self.eval()
        self.use_averages()
        try:
            yield
        finally:
            for name, state in kept.items():
                getattr(self, name).load_state_dict(state)
            self.train()

    def trainer_state(self) -> dict[str, Tensor]:
        """All that training needs besides weights: optimisers and the random generator."""
        state = {"generator": self.rng.get_state()}
        for name, player in self.players.items():
            state |= {f"{name}.{key}": tensor for key, tensor in player.state().items()}
        return state

    def load_trainer_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `trainer_state` returned."""
        self.rng.set_state(state["generator"].cpu())
        for name, player in self.players.items():
            prefix = f"{name}."
            player.load_state(
                {key.removeprefix(prefix): t for key, t in state.items() if key.startswith(prefix)}
            )
