"""A `FrameMemory` without any cleverness, an oracle: lists of each row's frames, and attention written out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor

from kernels import Codec, frame_attention_reference
from wmenv.cache import Role
from wmenv.dynamics import Dynamics
from wmenv.dynamics.next_frame import side_by_side


class ListView(NamedTuple):
    """The frames that each of a pass's frames sees, with those that are kept first, if any are."""

    seen: list[list[dict[int, tuple[Tensor, Tensor]]]]
    kept: list[dict[int, tuple[Tensor, Tensor]]]


@dataclass(frozen=True)
class ListMemory:
    """`frames[b]` are the keys and values (H, N, d) by layer of row b's frames, oldest first; None where none was."""

    dynamics: Dynamics
    codec: Codec
    frames: list[list[dict[int, tuple[Tensor, Tensor]] | None]]
    position: Tensor
    dues: list[dict[int, tuple[Tensor, Tensor]]] | None = field(default=None)

    @classmethod
    def empty(cls, dynamics: Dynamics, rows: int, codec: Codec) -> ListMemory:
        return cls(dynamics, codec, [[] for _ in range(rows)], torch.zeros(rows, dtype=torch.long))

    @property
    def dtype(self) -> torch.dtype:
        return self.dynamics.head.weight.dtype

    def opened(self, *, due: bool) -> ListMemory:
        return replace(self, dues=[{} for _ in self.frames]) if due and self.dues is None else self

    def view(self, role: Role) -> ListView:
        window = self.dynamics.config.window
        if role is Role.CONTEXT:
            seen = [[f for f in row[-(window - 1) :] if f is not None] if window > 1 else [] for row in self.frames]
            return ListView(seen, self.dues or [])
        rows = self.settled().frames
        return ListView([[f for f in row[-window:] if f is not None] for row in rows], [])

    def join(self, context: ListView, target: ListView) -> ListView:
        return ListView(context.seen + target.seen, context.kept)

    def put(self, view: ListView, layer: int, keys: Tensor, values: Tensor) -> None:
        for row, frame in enumerate(view.kept):
            frame[layer] = tuple(
                codec.decode(codec.encode(x[row]), x.dtype)
                for codec, x in ((self.codec.of(layer, 0), keys), (self.codec.of(layer, 1), values))
            )

    def attend(self, view: ListView, layer: int, q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        block, out = self.dynamics.blocks[layer], []
        sinks = side_by_side(block.sink_key * block.timeless), block.sink_value
        for row, seen in enumerate(view.seen):
            k, v = (
                torch.cat([frame[layer][side] for frame in seen] + [own[row], sinks[side].unsqueeze(1)], dim=1)
                for side, own in enumerate((keys, values))
            )
            see = torch.ones(1, 1, k.shape[1], dtype=torch.bool)
            out.append(frame_attention_reference(*(x.transpose(0, 1)[None] for x in (q[row], k, v)), see)[0])
        return torch.stack(out).transpose(1, 2)

    def settled(self, write: Tensor | None = None) -> ListMemory:
        if self.dues is None:
            return self
        kept = [due if write is None or write[row] else None for row, due in enumerate(self.dues)]
        return replace(self, frames=[row + [due] for row, due in zip(self.frames, kept, strict=True)], dues=None)

    def counted(self, write: Tensor | None = None) -> ListMemory:
        return replace(self, position=self.position + 1)

    # rows

    def gather(self, rows: list[int]) -> ListMemory:
        return replace(self, frames=[list(self.frames[row]) for row in rows], position=self.position[rows])
