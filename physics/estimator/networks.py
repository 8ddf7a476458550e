"""The network that reads one frame: where the robot's marks are, and from these its pose.

Marks are found as centres of mass of learned maps, which are exact to a fraction of a pixel (spatial softmax: Levine et
al., 1504.00702; integral regression: Sun et al., 1711.08229). Where a camera follows the robot, weighted sums over the
picture's rows show the ground's pattern.

# B frames, C channels, M maps, P numbers of a code
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE = 64
CHANNELS = 24
HIDDEN = 192
SPARE_MAPS = 8  # maps that are told no mark, for whatever else helps
PROFILES = 6
PROFILE_FEATURES = 64


class PoseNet(nn.Module):
    """Frames (B, 64, 64, 3) uint8 to codes (B, P) and marks (B, M, 2).

    Args:
        background: (64, 64, 3) what is seen where the robot is not, in 0 to 255.
        marks: M.
        code: P.
        ground: Whether the ground's pattern is read.
    """

    background: Tensor
    grid: Tensor

    def __init__(self, background: Tensor, *, marks: int, code: int, ground: bool) -> None:
        super().__init__()
        self.marks, maps = marks, marks + SPARE_MAPS
        self.register_buffer("background", background.float())
        line = (torch.arange(SIZE // 2) + 0.5) / (SIZE // 4) - 1
        grid = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], -1).reshape(-1, 2)
        self.register_buffer("grid", grid, persistent=False)
        self.stem = nn.Conv2d(3, CHANNELS, 4, 2, 1)
        self.near = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1)
        self.far = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1) for _ in range(2))
        self.last = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1)
        self.maps = nn.Conv2d(CHANNELS, maps, 1)
        self.rows = nn.Parameter(torch.randn(PROFILES, 3, SIZE) / SIZE**0.5) if ground else None
        self.profile = nn.Linear(PROFILES * SIZE, PROFILE_FEATURES) if ground else None
        width = 3 * maps + (PROFILE_FEATURES if ground else 0)
        self.head = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, code)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and marks; the marks in units of half the picture, right and down from its middle."""
        return self.read((frames.float() - self.background).permute(0, 3, 1, 2) / 255)

    def read(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, of pictures (B, 3, 64, 64) without their background, in -1 to 1."""
        x = F.relu(self.stem(picture.contiguous(memory_format=torch.channels_last)))
        x = F.relu(self.near(x))
        far = F.avg_pool2d(x, 4)
        for layer in self.far:
            far = F.relu(layer(far))
        x = x + F.interpolate(far, scale_factor=4, mode="nearest")
        maps = self.maps(F.relu(self.last(x))).float().flatten(2)  # (B, M, 32 * 32)
        places = maps.softmax(-1) @ self.grid
        amount = maps.logsumexp(-1) - maps.mean(-1)
        features = [places.flatten(1), amount / 10]
        if self.rows is not None and self.profile is not None:
            lines = torch.einsum("bchw,fch->bfw", picture.float(), self.rows)
            features.append(F.relu(self.profile(lines.flatten(1))))
        return self.head(torch.cat(features, -1)), places[:, : self.marks]
