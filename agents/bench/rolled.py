"""A window of frames as others keep it: the newest comes last, and for each frame a clone of all others moves up.

Everything else, the layout and the attention too, is that of our ring (`wmenv.cache.FrameCache`), so that a comparison
shows what moving costs and nothing besides.

# B rows, W window, N tokens
"""

from __future__ import annotations

import torch
from torch import Tensor

from wmenv import cache


class RolledCache(cache.FrameCache):
    """The frame to come lies in slot W, the newest that is counted in slot W - 1, the oldest in the lowest."""

    __slots__ = ()

    def view(self, role: cache.Role) -> object:
        """The slot of a frame in a role, and what it sees."""
        rows, slots = self.cached.shape
        slot = slots - 1 if role is cache.Role.TARGET else slots - 2
        index = torch.arange(rows, device=self.position.device)
        at = cache.FrameSlot(index, torch.full_like(index, slot), torch.zeros_like(index))
        return cache.ring.RingView((at,), self._bias(at))

    def counted(self, write: Tensor | None = None) -> RolledCache:
        """The frame to come is counted; all move up by one, in place, and the oldest is gone."""
        assert write is None, "rows without a frame are not compared"
        tokens = (self.keys.shape[3] - 1) // self.cached.shape[1]
        for held in (self.keys, self.values):
            held[:, :, :, : -tokens - 1] = held[:, :, :, tokens:-1].clone()
        cached = torch.zeros_like(self.cached)
        cached[:, :-1] = self.cached[:, 1:]
        cached[:, -2] = True
        return self._replace(cached=cached, position=self.position + 1)


def rolled(ring: cache.FrameCache) -> RolledCache:
    """An empty ring as such a cache."""
    return RolledCache(*ring)
