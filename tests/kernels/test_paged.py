"""paged_attention against its float64 oracle: codecs, ragged rows, shared pages, and what must not be seen."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import kernels.paged as paged
from kernels import Int2, KernelError, PagedFrame, codec_named, paged_attention, paged_attention_reference

TOLERANCE = {"fp64": 1e-5, "fp32": 1e-5, "bf16": 1e-5, "fp16": 1e-5, "int8": 1e-5, "int4": 1e-5, "int2": 1e-5}
"""Both sides decode the same codes in float32 or wider, so that no codec's own error enters."""


def draw(
    codec: str = "fp32",
    *,
    rows: int = 3,
    columns: int = 4,
    heads: int = 2,
    tokens: int = 4,
    width: int = 16,
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
) -> dict[str, Any]:
    """Fields of a `PagedFrame`; pages are shared between rows, and some rows see none."""
    generator = torch.Generator().manual_seed(seed)
    pages = max(2, rows * columns // 2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    codecs = [codec_named(codec)] * 2 if codec != "int2" else [_fitted(heads, width, generator) for _ in range(2)]
    parts = [c.encode(normal(pages, heads, tokens, width)) for c in codecs]
    return {
        "q": normal(rows, heads, tokens, width),
        "own_keys": normal(rows, heads, tokens, width),
        "own_values": normal(rows, heads, tokens, width),
        "key_parts": parts[0],
        "value_parts": parts[1],
        "table": torch.randint(pages, (rows, columns), generator=generator),
        "visible": torch.rand(rows, columns, generator=generator) < 0.6,
        "sink_key": normal(heads, width),
        "sink_value": normal(heads, width),
        "codec": codecs[0],
        "value_codec": codecs[1],
    }


def _fitted(heads: int, width: int, generator: torch.Generator) -> Int2:
    return Int2.fit(torch.randn(heads, 256, width, generator=generator), generator=generator, iterations=1)


@pytest.mark.parametrize("codec", TOLERANCE)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_equals_the_oracle(codec: str, data: st.DataObject):
    sizes = {
        "rows": st.integers(1, 6),
        "columns": st.integers(1, 6),
        "heads": st.integers(1, 3),
        "tokens": st.sampled_from([1, 4, 5, 16]),
        "width": st.sampled_from([8, 16, 24, 64]),
        "seed": st.integers(0, 2**31),
    }
    args = draw(codec, **{name: data.draw(size, label=name) for name, size in sizes.items()})
    torch.testing.assert_close(
        paged_attention(PagedFrame(**args)),
        paged_attention_reference(PagedFrame(**args)),
        rtol=0,
        atol=TOLERANCE[codec],
    )


def test_in_float64_it_equals_the_oracle_to_the_last_digits():
    args = draw("fp64", dtype=torch.float64)
    torch.testing.assert_close(
        paged_attention(PagedFrame(**args)), paged_attention_reference(PagedFrame(**args)), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("chunk", [1, 2000, 2**18])
@pytest.mark.parametrize("codec", ["fp32", "int4"])
def test_rows_do_not_depend_on_how_many_are_gathered_at_once(codec: str, chunk: int, monkeypatch):
    args = draw(codec, rows=7)
    whole = paged_attention(PagedFrame(**args))
    monkeypatch.setattr(paged, "CHUNK", chunk)
    torch.testing.assert_close(paged_attention(PagedFrame(**args)), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("codec", ["fp32", "bf16", "int8", "int4"])
def test_pages_that_are_not_visible_have_no_influence_though_they_be_nan(codec: str):
    args = draw(codec, rows=5)
    args["visible"][0] = False
    used = torch.zeros(args["key_parts"][0].shape[0], dtype=torch.bool)
    used[args["table"][args["visible"]]] = True
    assert not used.all() and used.any()
    before = paged_attention(PagedFrame(**args))
    for part in (*args["key_parts"], *args["value_parts"]):
        if part.is_floating_point():
            part[~used] = torch.nan
    assert torch.equal(paged_attention(PagedFrame(**args)), before)


def test_a_row_that_sees_one_page_and_itself_is_the_dense_attention_over_both():
    args = draw("fp32", rows=1, columns=3)
    args["visible"][:] = torch.tensor([False, True, False])
    page = args["table"][0, 1]
    keys, values = (
        torch.cat((parts[0][page], own[0], sink[:, None]), dim=1)
        for parts, own, sink in (
            (args["key_parts"], args["own_keys"], args["sink_key"]),
            (args["value_parts"], args["own_values"], args["sink_value"]),
        )
    )
    wanted = torch.nn.functional.scaled_dot_product_attention(args["q"][0], keys, values)
    torch.testing.assert_close(paged_attention(PagedFrame(**args))[0], wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("codec", ["fp32", "int2"])
def test_the_op_keeps_its_contract(codec: str):
    args = draw(codec)
    books = [args[side].codebook if codec == "int2" else None for side in ("codec", "value_codec")]
    inputs = [list(a) if isinstance(a, tuple) else a for a in [*args.values()][:9]]
    torch.library.opcheck(paged._op, (*inputs, codec, *books))


def test_the_variable_chooses_the_form(monkeypatch):
    args = draw()
    monkeypatch.setenv("WMENV_KERNELS", "reference")
    assert torch.equal(paged_attention(PagedFrame(**args)), paged_attention_reference(PagedFrame(**args)))
    monkeypatch.setenv("WMENV_KERNELS", "fast")
    with pytest.raises(KernelError, match="expected one of reference, sdpa, triton, got 'fast'"):
        paged_attention(PagedFrame(**args))
    monkeypatch.setenv("WMENV_KERNELS", "triton")
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(KernelError, match="triton"):  # missing, or present but without a GPU
        paged_attention(PagedFrame(**args))
