"""What a frame asks of a cache while it is made, so that one forward pass serves dense rings and shared pages.

A frame stands before its cache in one of two roles. As TARGET it is noise becoming a frame: it sees the last W frames
and itself, and is not remembered. As CONTEXT it is the newest frame that the cache counts, whose keys and values are
due: it sees the W - 1 frames before it and itself, and they are kept. One pass may hold both, context first.

# B envs, R = B or 2 B frames of a pass, H heads, N tokens, d head width, W window
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Protocol, Self

import torch
from torch import Tensor


class Role(Enum):
    """As what a frame stands before its cache; see the module's docstring."""

    TARGET = "target"
    CONTEXT = "context"


class FrameMemory(Protocol):
    """A cache of B rows. Views are made once a pass, and hold what its layers share."""

    @property
    def position(self) -> Tensor:
        """(B,) long, how many frames have been counted; the frame to come is that one."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """What queries, keys and values of the frame in progress are computed in."""
        ...

    def opened(self, *, due: bool) -> Self:
        """This cache, ready for the next frame; with `due`, for the newest frame's keys and values before it."""
        ...

    def view(self, role: Role) -> Any:
        """What B frames in a role see; a target sees the newest frame even while that is due, since it is put first."""
        ...

    def join(self, context: Any, target: Any) -> Any:
        """The view of a pass over 2 B frames: contexts, then targets."""
        ...

    def put(self, view: Any, layer: int, keys: Tensor, values: Tensor) -> None:
        """Take the frames' own keys and values (R, H, N, d) of a layer, in place; contexts' are kept."""
        ...

    def attend(self, view: Any, layer: int, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention (R, H, N, d) of the frames' queries, after `put` of their own keys and values."""
        ...

    def settled(self, write: Tensor | None = None) -> Self:
        """This cache once the newest frame's keys and values are put; not seen in rows where `write` (B,) is False."""
        ...

    def counted(self, write: Tensor | None = None) -> Self:
        """This cache after the frame to come, which it counts; its keys and values are due."""
        ...
