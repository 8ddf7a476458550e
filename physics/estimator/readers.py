"""An ensemble of small networks, from features to codes, in plain numpy: reading needs no torch.

# N frames, F features, H width, P numbers of a code, K members
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .errors import EstimatorError

Floats = NDArray[np.float32]
LAYERS = 3
NAMES = ("middle", "scale", *(f"{kind}{layer}" for layer in range(LAYERS) for kind in ("weight", "bias")))


class Reader:
    """One network: standardised features, two hidden layers of SiLU, one linear layer.

    Args:
        arrays: "middle" and "scale" (F,), "weight0" (H, F), "bias0" (H,), "weight1" (H, H), ..., "weight2" (P, H).

    Raises:
        EstimatorError: An array is missing, has another shape than the others ask for, or is not finite.
    """

    def __init__(self, arrays: Mapping[str, Floats]) -> None:
        if set(arrays) != set(NAMES):
            raise EstimatorError(f"network: expected arrays {sorted(NAMES)}, got {sorted(arrays)}")
        self.arrays = {name: np.array(arrays[name], np.float32) for name in NAMES}
        a, width = self.arrays, self.arrays["middle"].shape
        for layer in range(LAYERS):
            weight, bias = a[f"weight{layer}"], a[f"bias{layer}"]
            if weight.ndim != 2 or weight.shape[1:] != width or bias.shape != weight.shape[:1]:
                raise EstimatorError(f"network: expected weight{layer} for {width} inputs, got {weight.shape}")
            width = bias.shape
        if a["scale"].shape != a["middle"].shape or not all(np.isfinite(v).all() for v in a.values()):
            raise EstimatorError("network: expected finite numbers and a scale for each feature; restore the file")

    @property
    def sizes(self) -> tuple[int, int]:
        """F and P."""
        return len(self.arrays["middle"]), len(self.arrays[f"bias{LAYERS - 1}"])

    def read(self, features: Floats) -> Floats:
        """Codes (N, P) of features (N, F)."""
        a = self.arrays
        x = (features - a["middle"]) / a["scale"]
        for layer in range(LAYERS):
            x = x @ a[f"weight{layer}"].T + a[f"bias{layer}"]
            if layer < LAYERS - 1:
                x = x / (1 + np.exp(-np.clip(x, -30.0, None)))
        return x


def read_all(readers: tuple[Reader, ...], features: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean code (N, P) and the root mean square spread of the members about it (N,)."""
    codes = np.stack([reader.read(features) for reader in readers]).astype(np.float64)
    return codes.mean(0), np.sqrt(codes.var(0).mean(-1))
