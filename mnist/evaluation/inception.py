"""The Fréchet inception distance that others report, where its weights can be had."""

from __future__ import annotations

import socket
from http.client import HTTPException
from typing import Any

from torch import Tensor

from mnist.data import Split
from mnist.data.download import TIMEOUT
from mnist.data.on_disk import in_memory
from mnist.errors import UserError

PART = 100  # images, which the network takes at 299×299 pixels


class InceptionDistance:
    """Heusel et al. 2017 (arXiv 1706.08500), by torchmetrics and the weights of torch-fidelity.

    Raises:
        UserError: the packages are not installed, or the weights neither here nor to be fetched.
    """

    def __init__(self) -> None:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(TIMEOUT)  # torch-fidelity's download has none of its own
        try:
            from torchmetrics.image.fid import FrechetInceptionDistance

            self.metric: Any = FrechetInceptionDistance(feature=2048)
        except (OSError, HTTPException) as error:
            raise UserError(
                "--inception needs the weights of torch-fidelity's Inception network, which are "
                f"not on this machine and could not be fetched ({error}): leave it out, or put "
                "them into torch's hub directory"
            ) from error
        except (ImportError, RuntimeError) as error:
            raise UserError(
                "--inception needs torchmetrics and torch-fidelity: pip install torchmetrics "
                f"torch-fidelity ({' '.join(str(error).split())[:200]})"
            ) from error
        finally:
            socket.setdefaulttimeout(before)

    def distance(self, real: Split, generated: Split) -> float:
        """FID of two sets of images."""
        self.metric.reset()
        for split, is_real in ((real, True), (generated, False)):
            for start in range(0, len(split), PART):
                images = in_memory(split.images[start : start + PART])
                self.metric.update(three_colours(images), real=is_real)
        return self.metric.compute().item()


def three_colours(images: Tensor) -> Tensor:
    """uint8 [B, H, W] or [B, H, W, 3] -> [B, 3, H, W]."""
    return images.unsqueeze(1).expand(-1, 3, -1, -1) if images.ndim == 3 else images.movedim(3, 1)
