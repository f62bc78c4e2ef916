"""Methods and a data set from outside the package, which knows none of them: three small examples.

They are to show what the package takes, not to be good: each trains within a second.
"""

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mnist.data import Batch, Dataset, DataSpec, Split
from mnist.methods import Method, Step
from mnist.networks.decoder import Decoder
from mnist.networks.layers import class_code, mlp
from mnist.networks.losses import accuracy
from mnist.networks.player import Player
from mnist.networks.prior import Gaussian
from mnist.options import Count, Positive

BETAS, PENALTY = (0.0, 0.9), 10.0  # of the WGAN: Adam's, and the weight of its gradient penalty


class ToyWGAN(Method):
    """A generator and a critic (Gulrajani et al. 2017, arXiv 1704.00028): no encoder, no headline.

    Five steps improve the critic, and the sixth the generator, of which an average is kept.

    Args (besides those of `Method`):
        feature_size: N, dimensions of the style.
        hidden: units of the hidden layers.
    """

    name = "toy-wgan"
    epochs = (2, 2)
    conditional = True

    def __init__(
        self, spec, *, feature_size: Count = 2, hidden: Count = 24, lr: Positive = 1e-3, **common
    ):
        super().__init__(spec, lr=lr, **common)
        self.prior = Gaussian(feature_size)
        with self.seeded("generator"):
            self.generator = Decoder(spec.image_shape, spec.classes, feature_size, [hidden])
        with self.seeded("critic"):
            self.critic = mlp([spec.pixels + spec.classes, hidden, 1])
        self.players["critic"] = Player(self.critic, lr=lr, betas=BETAS)
        self.players["generator"] = Player(self.generator, lr=lr, betas=BETAS)
        average = get_ema_multi_avg_fn(0.9)
        self.averages["generator"] = AveragedModel(self.generator, multi_avg_fn=average)

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.generator(style, labels)

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        real, labels = batch.images, batch.labels
        style = self.prior.sample(len(real), self.rng).to(self.device)
        fake = self.decode(style, labels).sigmoid()
        if step.number % 6 == 5:
            loss = -self.criticise(fake, labels).mean()
            self.players["generator"].update(loss)
            self.averages["generator"].update_parameters(self.generator)
            return {"generator": loss.detach()}
        share = torch.rand(len(real), 1, 1, 1, generator=self.rng).to(self.device)
        between = torch.lerp(real, fake.detach(), share).requires_grad_()
        outputs = self.criticise(between, labels).sum()
        (slopes,) = torch.autograd.grad(outputs, between, create_graph=True)
        penalty = (slopes.flatten(1).norm(dim=1) - 1).square().mean()
        real, fake = (self.criticise(each, labels).mean() for each in (real, fake.detach()))
        distance = real - fake
        self.players["critic"].update(PENALTY * penalty - distance)
        return {"distance": distance.detach(), "penalty": penalty.detach()}

    def criticise(self, images: Tensor, labels: Tensor) -> Tensor:
        code = class_code(labels, self.spec.classes)
        return self.critic(torch.cat([images.flatten(1), code], 1))

    def summary(self) -> str:
        return f"a generator from {self.prior.feature_size} numbers, and its critic"


class ToyVAE(Method):
    """Kingma & Welling 2013 (arXiv 1312.6114), without labels: it encodes to a distribution.

    Args (besides those of `Method`):
        feature_size: N, dimensions of the style.
        hidden: units of the hidden layers.
    """

    name = "toy-vae"
    headline = "elbo"
    larger_is_better = True
    epochs = (2, 2)

    def __init__(
        self,
        spec: DataSpec,
        *,
        feature_size: Count = 3,
        hidden: Count = 24,
        lr: Positive = 2e-3,
        **common,
    ):
        super().__init__(spec, lr=lr, **common)
        self.prior = Gaussian(feature_size)
        with self.seeded("networks"):
            self.encoder = mlp([spec.pixels, hidden, 2 * feature_size])
            self.decoder = Decoder(spec.image_shape, 0, feature_size, [hidden])
        self.players["both"] = Player(self.encoder, self.decoder, lr=lr)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Normal:
        mean, log_std = self.encoder(images.flatten(1)).float().chunk(2, 1)
        return Normal(mean, log_std.exp())

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(style)

    def elbo(self, images: Tensor, posterior: Normal, style: Tensor) -> Tensor:
        unlike = F.binary_cross_entropy_with_logits(self.decode(style), images, reduction="none")
        divergence = torch.distributions.kl_divergence(posterior, Normal(0.0, self.prior.std))
        return -(unlike.sum((1, 2, 3)) + divergence.sum(1)).mean()

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        posterior = self.encode(batch.images)
        # Not `rsample`, which draws from torch's own generator: that is not saved with the run.
        noise = torch.randn(posterior.mean.shape, generator=self.rng).to(self.device)
        elbo = self.elbo(batch.images, posterior, posterior.mean + posterior.stddev * noise)
        self.players["both"].update(-elbo)
        return {"elbo": elbo.detach()}

    def validate(self, batch: Batch, style: Tensor | None) -> dict[str, Tensor]:
        return {"elbo": self.elbo(batch.images, self.encode(batch.images), style)}

    def summary(self) -> str:
        return f"a posterior of {self.prior.feature_size} numbers"


class ToySemi(Method):
    """An autoencoder whose style is read by a classifier, from images with labels and without.

    It has no prior, and its classifier begins to learn when half of the training is over.
    """

    name = "toy-semi"
    headline = "accuracy"
    larger_is_better = True
    epochs = (2, 2)

    def __init__(self, spec: DataSpec, *, lr: Positive = 3e-3, **common):
        super().__init__(spec, lr=lr, **common)
        with self.seeded("networks"):
            self.encoder = mlp([spec.pixels, 32, 8])
            self.decoder = Decoder(spec.image_shape, 0, 8, [32])
            self.head = mlp([8, 32, spec.classes])
        self.players["autoencoder"] = Player(self.encoder, self.decoder, lr=lr)
        self.players["classifier"] = Player(self.encoder, self.head, lr=lr)

    def encode(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.encoder(images.flatten(1))

    def decode(self, style: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.decoder(style)

    def classify(self, images: Tensor) -> Tensor:
        return self.head(self.encode(images).relu())

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        logits = self.decode(self.encode(batch.images))
        unlike = F.binary_cross_entropy_with_logits(logits, batch.images)
        self.players["autoencoder"].update(unlike)
        labelled = batch.labels >= 0
        if step.progress < 0.5 or not labelled.any():
            return {"unlike": unlike.detach()}
        logits, labels = self.classify(batch.images[labelled]), batch.labels[labelled]
        loss = F.cross_entropy(logits, labels)
        self.players["classifier"].update(loss)
        numbers = {"unlike": unlike, "loss": loss, "accuracy": accuracy(logits, labels)}
        return {name: number.detach() for name, number in numbers.items()}

    def summary(self) -> str:
        return "a style of 8 numbers that a classifier reads"


LETTERS = DataSpec((3, 20, 24), tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"), "letter")


def toy_letters(data_dir: str | None = None) -> Dataset:
    """26 "letters", coloured blobs: some are rare, and every eighth training image has no label."""
    generator = torch.Generator().manual_seed(0)

    def drawn(labels: Tensor) -> Split:
        row, column = labels // 6, labels % 6
        y, x = (
            4 * place + 2 + 1.5 * torch.rand(len(labels), generator=generator)
            for place in (row, column)
        )
        far = (torch.arange(20.0).view(-1, 1) - y.view(-1, 1, 1)).square()
        far = far + (torch.arange(24.0) - x.view(-1, 1, 1)).square()
        colour = torch.stack([labels % 3, labels % 4, labels % 5], 1) / torch.tensor([2, 3, 4])
        ink = torch.exp(-far / 6).unsqueeze(3) * (0.3 + 0.7 * colour).view(-1, 1, 1, 3)
        writers = torch.randint(0, 9, labels.shape, generator=generator)
        return Split((255 * ink).to(torch.uint8), labels, writers)

    often = 4 + 8 * (torch.arange(26) % 3)
    train = drawn(torch.arange(26).repeat_interleave(often))
    train.labels[::8] = -1
    test = drawn(torch.arange(26).repeat(4))
    return Dataset("toy-letters", LETTERS, train, test, "a drawing")
