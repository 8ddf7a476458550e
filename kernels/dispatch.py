"""Which of an op's forms runs: chosen at each call by device, codec and `WMENV_KERNELS`; nothing happens at import.

reference   float64, written out: what the others are measured against
sdpa        torch: gather, decode, fused attention
triton      one kernel that reads codes and writes outcomes
"""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

from torch import Tensor

VARIABLE = "WMENV_KERNELS"
FORMS = ("reference", "sdpa", "triton")


class KernelError(ValueError):
    """A form of an op that does not exist here, or does not take what it was given."""


def form(x: Tensor, unsupported: str | None = None) -> str:
    """The form to run for tensors that lie where `x` does: Triton on a GPU that has it, else torch.

    Args:
        x: any of the tensors.
        unsupported: what the Triton kernel does not take of this call, if anything; then torch runs.

    Raises:
        KernelError: `WMENV_KERNELS` has an unknown value, or asks for a Triton kernel that cannot run.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted is None:
        return "triton" if x.is_cuda and unsupported is None and has_triton() else "sdpa"
    if wanted not in FORMS:
        raise KernelError(f"{VARIABLE}: expected one of {', '.join(FORMS)}, got {wanted!r}; correct or unset it")
    if wanted == "triton":
        if not has_triton():
            raise KernelError(f"{VARIABLE}: triton is not installed; pip install 'wmenv[gpu]', or unset {VARIABLE}")
        if not x.is_cuda and os.environ.get("TRITON_INTERPRET") != "1":
            raise KernelError(f"{VARIABLE}: triton needs tensors on a GPU, got {x.device.type}; unset {VARIABLE}")
        if unsupported is not None:
            raise KernelError(f"{VARIABLE}: the Triton kernel does not take {unsupported}; unset {VARIABLE}")
    return wanted


@cache
def has_triton() -> bool:
    """Whether triton could be imported. It is not: see the GPU extra on the order of imports."""
    return find_spec("triton") is not None
