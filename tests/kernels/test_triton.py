"""The Triton kernels without a GPU: right by the interpreter, lean by what the compiler says; on a GPU, right and fast.

To try several Tritons: `WMENV_TRITONS=/path/to/one:/path/to/another pytest tests/kernels/test_triton.py`, each a folder
made by `pip install --no-deps --target`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch

from kernels import PagedFrame, cache_write, codec_named, paged_attention, paged_attention_reference

SHARED = 48 * 1024
"""Bytes: four programs fit a processor of an H100 or H200, which has 228 kB."""

REGISTERS = {"attention fp32": 255, "attention": 168, "write int4": 255, "write": 128}
"""A thread's: three programs of four warps fit a processor at 168, two at 255. The first name that fits counts."""

pytestmark = pytest.mark.filterwarnings(
    "ignore:TRITON_DEFAULT_FP_FUSION:UserWarning"
)  # Triton 3.9; it changes nothing here


@pytest.mark.timeout(900)
def test_the_interpreter_agrees_with_the_oracles(check: Callable[..., Any]):
    cases = check("interpret", TRITON_INTERPRET="1")["cases"]
    assert len(cases) == 25
    wrong = {name: error for name, error in cases.items() if not error <= (4e-3 if "fp16" in name else 1e-5)}
    assert not wrong


@pytest.mark.timeout(900)
def test_the_kernels_fit_the_processor(check: Callable[..., Any]):
    cases = check("resources")["cases"]
    assert len(cases) == 20
    assert not {name: used for name, used in cases.items() if used["spilled"]}
    for name, used in cases.items():
        most = next(limit for start, limit in REGISTERS.items() if name.startswith(start))
        assert used["registers"] <= most and used["shared"] <= SHARED, (name, used)


def _on_gpu(codec: str, dtype: torch.dtype, rows: int) -> dict[str, Any]:
    """The reference shape: 8 heads of 64, frames of 16 tokens, a window of 16, a page in ten not visible."""
    generator = torch.Generator("cuda").manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device="cuda").to(dtype)

    coder, pages = codec_named(codec, "cuda"), rows * 16
    return {
        **{name: normal(rows, 8, 16, 64) for name in ("q", "own_keys", "own_values")},
        **{name: coder.encode(normal(pages, 8, 16, 64)) for name in ("key_parts", "value_parts")},
        "table": torch.randperm(pages, generator=generator, device="cuda").view(rows, 16),
        "visible": torch.rand(rows, 16, generator=generator, device="cuda") < 0.9,
        **{name: normal(8, 64) for name in ("sink_key", "sink_value")},
        "codec": coder,
    }


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("codec", ["fp32", "bf16", "fp16", "int8", "int4"])
def test_attention_equals_the_oracle_on_a_gpu(codec: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WMENV_KERNELS", "triton")
    args = _on_gpu(codec, dtype, rows=9)
    tolerance = {torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 4e-3}[dtype]
    torch.testing.assert_close(
        paged_attention(PagedFrame(**args)), paged_attention_reference(PagedFrame(**args)), rtol=0, atol=tolerance
    )


@pytest.mark.gpu
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("codec", ["fp32", "bf16", "fp16", "int8", "int4"])
def test_writes_equal_the_oracle_on_a_gpu(codec: str, turned: bool, monkeypatch: pytest.MonkeyPatch):
    x, coder = torch.randn(5, 8, 16, 64, device="cuda"), codec_named(codec, "cuda")
    angle = 6 * torch.rand(5, 16, 32, device="cuda")
    stored = []
    for form in ("reference", "triton"):
        monkeypatch.setenv("WMENV_KERNELS", form)
        parts = coder.empty(9, 8, tokens=16, head_dim=64, device=x.device)
        turn = torch.polar(torch.ones_like(angle), angle) if turned else None
        cache_write(x, parts, torch.tensor([8, 0, 3, 1, 7], device="cuda"), coder, turn)
        stored.append(coder.decode(parts, torch.float32))
    # A number between two codes may become either: then they are one scale apart.
    step = {"fp32": 1e-5, "bf16": 4e-2, "fp16": 4e-3, "int8": 5e-2, "int4": 1.5}[codec]
    difference = (stored[0] - stored[1]).abs()
    assert float(difference.max()) <= step and float(difference.mean()) <= 1e-3


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["bf16", "int8", "int4"])
def test_one_kernel_beats_gather_and_fused_attention_on_a_gpu(codec: str, monkeypatch: pytest.MonkeyPatch):
    args, times = _on_gpu(codec, torch.bfloat16, rows=1024), {}
    for form in ("sdpa", "triton"):
        monkeypatch.setenv("WMENV_KERNELS", form)
        for _ in range(3):
            paged_attention(PagedFrame(**args))
        taken = []
        for _ in range(20):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            paged_attention(PagedFrame(**args))
            end.record()
            end.synchronize()
            taken.append(begin.elapsed_time(end))
        times[form] = statistics.median(taken)
    assert times["sdpa"] >= 1.5 * times["triton"], times
