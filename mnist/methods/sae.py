"""SAE, the simple autoencoder: reconstruction, and nothing that shapes the style."""

from torch import Tensor

from mnist.data.types import Batch
from mnist.methods.autoencoder import Autoencoder
from mnist.methods.base import Step, cosine
from mnist.networks import losses


class SAE(Autoencoder):
    """Encoder and decoder trained to give the image back (Hinton & Salakhutdinov 2006).

    Its styles have the prior's mean and scale (see `Encoder`), but whatever shape suits them.
    """

    name = "sae"

    def step(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        with self.autocast():
            style = self.encoder(batch.images, batch.labels)
            logits = self.decoder(style, batch.labels)
        loss = losses.reconstruction(logits, batch.images)
        self.players["autoencoder"].update(loss, lr_scale=cosine(step.progress))
        return {"reconstruction": loss.detach(), "mse": losses.mse(logits.detach(), batch.images)}
