"""What a device is quick at, for processors that this machine is not."""

from __future__ import annotations

import pytest
import torch

from wmenv.device import multiplies_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "quick"),
    [
        ({"avx2": True, "avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": True}, True),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"neon": True, "bf16": True}, False),
    ],
)
def test_only_units_of_their_own_count(monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], quick: bool):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert multiplies_bfloat16(CPU) is quick


def test_a_torch_that_does_not_tell_has_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert multiplies_bfloat16(CPU) is False
