"""Places in a picture as numbers, and numbers as places: what makes a tokenizer right where it was never trained.

# B rows, C channels, H height, W width, P points, S image size
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class SpatialSoftmax(nn.Module):
    """Where in the picture each of P learned features is: the mean position under a softmax over all places.

    A position read so is right for places that the training frames never showed, since one filter serves them all.
    Source: deep spatial autoencoders, arXiv 1509.06113, section IV-A.
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.feature = nn.Conv2d(channels, points, 3, padding=1)
        self.sharpness = nn.Parameter(torch.zeros(points))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, 2 P) positions in [-1, 1]."""
        feature = self.feature(x).float()
        height, width = feature.shape[-2:]
        weight = (feature.flatten(2) * self.sharpness.exp().unsqueeze(-1)).softmax(-1).unflatten(-1, (height, width))
        rows = torch.linspace(-1, 1, height, device=x.device)
        columns = torch.linspace(-1, 1, width, device=x.device)
        return torch.cat(((weight.sum(3) * rows).sum(-1), (weight.sum(2) * columns).sum(-1)), dim=1)


class PointDecoder(nn.Module):
    """Paint the picture around P points that the latent places, and over a coarse sketch.

    The mirror image of SpatialSoftmax: a goal that no training frame showed is a point that moves a little further. A
    stack of transposed convolutions behind a dense layer learns the training goals by heart instead.
    Source: the Gaussian key-point renderer of arXiv 1806.07823, section 3.1, here driven by a latent.
    """

    PATCH = 4
    SKETCH = 16

    def __init__(self, latent: int, points: int, width: int, image_size: int) -> None:
        super().__init__()
        self.cells = image_size // self.PATCH
        self.place = nn.Linear(latent, 3 * points)
        nn.init.uniform_(self.place.bias[: 2 * points], -0.7, 0.7)
        nn.init.ones_(self.place.bias[2 * points :])
        self.spread = nn.Parameter(torch.full((points,), 2.0 / self.cells).log())
        self.sketch = nn.Linear(latent, self.SKETCH * (self.cells // 4) ** 2)
        self.mix = nn.Conv2d(points + self.SKETCH, width, 3, padding=1)
        self.refine = nn.Conv2d(width, width, 3, padding=1)
        self.paint = nn.Conv2d(width, 3 * self.PATCH**2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        """(B, latent) -> (B, 3, S, S)."""
        axis = torch.linspace(-1, 1, self.cells, device=latent.device)
        rows, columns, strength = self.place(latent).float().unsqueeze(-1).chunk(3, dim=1)  # each (B, P, 1)
        sharp = 0.5 * (-2 * self.spread).exp().unsqueeze(-1)
        blob_rows, blob_columns = (-(axis - rows).square() * sharp).exp(), (-(axis - columns).square() * sharp).exp()
        blobs = strength.unsqueeze(-1) * blob_rows.unsqueeze(-1) * blob_columns.unsqueeze(-2)
        sketch = self.sketch(latent).unflatten(1, (self.SKETCH, self.cells // 4, self.cells // 4))
        sketch = nn.functional.interpolate(sketch, scale_factor=4.0, mode="bilinear")
        x = silu(self.mix(torch.cat((blobs, sketch), dim=1)))
        x = x + silu(self.refine(x))
        return nn.functional.pixel_shuffle(self.paint(x), self.PATCH)
