"""Time of attention over a shared prefix against attention over copies of it; run as a script.

Both sides in turns, the best of each; the copies are made beforehand and cost nothing here.
"""

from __future__ import annotations

import time

import torch
from torch.nn.functional import scaled_dot_product_attention

from kernels import shared_prefix_attention


def main(seconds: float = 12.0) -> None:
    """Print one line for each number of rows."""
    torch.set_num_threads(1)
    heads, tokens, shared, own, width = 8, 16, 256, 32, 64
    for rows in (64, 128, 256):
        q, k, v = (torch.randn(rows, heads, n, width) for n in (tokens, own, own))
        prefix = [torch.randn(1, heads, shared, width) for _ in range(2)]
        visible = torch.ones(rows, own, dtype=torch.bool)
        copies = [torch.cat((p.repeat(rows, 1, 1, 1), x), dim=2) for p, x in zip(prefix, (k, v), strict=True)]
        sides = (
            lambda q=q, copies=copies: scaled_dot_product_attention(q, *copies),
            lambda q=q, prefix=prefix, k=k, v=v, seen=visible: shared_prefix_attention(q, *prefix, k, v, seen),
        )
        error = float((sides[0]() - sides[1]()).abs().max())
        best, end = [float("inf")] * 2, time.perf_counter() + seconds
        while time.perf_counter() < end:
            for i, side in enumerate(sides):
                begin = time.perf_counter()
                side()
                best[i] = min(best[i], time.perf_counter() - begin)
        size = sum(c.nbytes for c in copies) / sum(x.nbytes for x in (*prefix, k, v))
        line = f"R {rows}: copies {best[0] * 1e3:.1f} ms, shared {best[1] * 1e3:.1f} ms, ratio {best[0] / best[1]:.2f}"
        print(f"{line}, keys and values {size:.1f} times smaller, error {error:.1e}")


if __name__ == "__main__":
    main()
