"""R6 is measured on a GPU alone; here, that its sides attend to the same and that its bound counts what must move."""

from __future__ import annotations

import os

import pytest
import torch

from agents.bench import kernel
from agents.bench.plan import Plan
from kernels import paged_attention_reference
from wmenv import InputError


@pytest.mark.parametrize("codec", kernel.CODECS)
def test_torchs_ways_agree_with_the_oracle(codec: str):
    args = kernel.drawn(codec, 3, torch.float32, "cpu")
    true = paged_attention_reference(args)
    torch.testing.assert_close(kernel.formed("sdpa", args)(), true, rtol=0, atol=1e-5)
    torch.testing.assert_close(paged_attention_reference(kernel._first_rows(args, 2)), true[:2], rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_flex_attention_over_a_ring_sees_the_same():
    args = kernel.drawn("bf16", 3, torch.float32, "cpu")
    args.visible[0, 5:] = False
    flex = kernel.flexible(args, compiled=False)
    torch.testing.assert_close(flex(), paged_attention_reference(args), rtol=0, atol=1e-5)


def test_the_bound_counts_pages_once_and_the_frame_in_and_out():
    args = kernel.drawn("int8", 2, torch.bfloat16, "cpu")
    tokens = 2 * kernel.PAGES * kernel.HEADS * kernel.TOKENS
    pages = 2 * tokens * (kernel.WIDTH + 4)  # keys and values: a byte a number, and a float32 for each token
    frames = 4 * 2 * kernel.HEADS * kernel.TOKENS * kernel.WIDTH * 2
    assert kernel.moved_bytes(args) == pages + frames + 2 * kernel.PAGES * (8 + 1)


@pytest.mark.parametrize("before", [None, "reference"])
def test_the_form_is_asked_for_during_the_call_alone(before: str | None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(kernel.SWITCH, raising=False)
    if before is not None:
        monkeypatch.setenv(kernel.SWITCH, before)
    kernel.formed("sdpa", kernel.drawn("bf16", 1, torch.float32, "cpu"))()
    assert os.environ.get(kernel.SWITCH) == before


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_what_a_gpu_is_asked_is_whole(plan: Plan, monkeypatch: pytest.MonkeyPatch):
    """With torch's form in the place of the kernel, which does not run here."""
    formed, flexible = kernel.formed, kernel.flexible
    monkeypatch.setattr(kernel, "formed", lambda form, frame: formed("sdpa", frame))
    monkeypatch.setattr(kernel, "flexible", lambda frame: flexible(frame, compiled=False))
    monkeypatch.setattr(kernel, "FROM", 2)
    args, speed = kernel.drawn("bf16", 2, torch.float32, "cpu"), kernel.copy_speed("cpu", 2**20)
    rows = [*kernel._against_torch(plan, args, "bf16", 2, speed), *kernel._against_flex(plan, args, 2)]
    assert [row["target"] for row in rows] == [">= 1.5", ">= 0.7", ">= 1.5"]
    assert rows[0]["error"] < 1e-5 and rows[2]["error"] < 1e-5 and 0 < rows[1]["value"] < 10


def test_without_a_gpu_nothing_is_measured(plan: Plan):
    with pytest.raises(InputError, match="R6; it needs --device cuda"):
        next(iter(kernel.own_kernel(plan)))


@pytest.mark.gpu
def test_the_kernel_is_measured_on_a_gpu():
    on_gpu = Plan(
        device="cuda", batches={"tiny": (1,)}, windows=(), frames=10, shared_rows=(2,), kernel_rows=(8,), seconds=0.05
    )
    rows = list(kernel.own_kernel(on_gpu))
    assert len(rows) == 1 + 2 * len(kernel.CODECS) + 1 and all(row["value"] > 0 for row in rows)
