"""What the Triton tests run in a process of its own; the last line it prints is JSON.

interpret   the kernels in Triton's interpreter against their oracles: largest difference by case
resources   the kernels compiled for sm_90, without a GPU: registers, shared memory and spills by case
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
STORED = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16", "int8": "i8", "int4": "u8"}


def interpret() -> dict[str, float]:
    """Never bfloat16, in which the interpreter is wrong and does not say so."""
    from test_paged import draw

    from kernels import PagedFrame, paged_attention, paged_attention_reference

    os.environ["WMENV_KERNELS"] = "triton"
    found = {}
    for codec, dtype in (("fp32", "fp32"), ("fp16", "fp16"), ("int8", "fp32"), ("int8", "fp16"), ("int4", "fp32")):
        for tokens, width, columns in ((4, 16, 5), (20, 24, 5)):  # P = 20 ends amid a step of keys
            args = draw(codec, rows=3, columns=columns, heads=2, tokens=tokens, width=width, dtype=DTYPES[dtype])
            args["visible"][0] = False
            error = paged_attention(PagedFrame(**args)) - paged_attention_reference(PagedFrame(**args))
            found[f"attention {codec} {dtype} P{tokens} D{width}"] = float(error.abs().max())
    poisoned = draw("fp32", rows=4, columns=3)
    used = torch.zeros(poisoned["key_parts"][0].shape[0], dtype=torch.bool)
    used[poisoned["table"][poisoned["visible"]]] = True
    before = paged_attention(PagedFrame(**poisoned))
    for part in (*poisoned["key_parts"], *poisoned["value_parts"]):
        part[~used] = torch.nan
    found["attention unseen NaN"] = float(not torch.equal(paged_attention(PagedFrame(**poisoned)), before))
    return found | _interpret_writes() | _interpret_launches()


def _interpret_writes() -> dict[str, float]:
    from kernels import cache_write, codec_named

    found = {}
    for codec in ("fp32", "fp16", "int8", "int4"):
        for width in (16, 24):
            for turns in (0, 3) if width == 24 else (1,):  # none, one for each row, one for all
                generator = torch.Generator().manual_seed(width + turns)
                x = torch.randn(3, 2, 5, width, generator=generator)
                angle = 6 * torch.rand(turns, 5, width // 2, generator=generator)
                coder, stored = codec_named(codec), []
                for form in ("reference", "triton"):
                    os.environ["WMENV_KERNELS"] = form
                    parts = coder.empty(6, 2, tokens=5, head_dim=width, device=torch.device("cpu"))
                    turn = torch.polar(torch.ones_like(angle), angle) if turns else None
                    cache_write(x, parts, torch.tensor([4, 0, 2]), coder, turn)
                    stored.append(coder.decode(parts, torch.float64))
                found[f"write {codec} D{width} turns{turns}"] = float((stored[0] - stored[1]).abs().max())
    return found


def _interpret_launches() -> dict[str, float]:
    """Whether a kernel is launched while the device of its tensors is the current one: 0.0 if so."""
    from contextlib import contextmanager
    from unittest.mock import patch

    from test_paged import draw

    import kernels.paged_triton as paged
    import kernels.writes_triton as writes
    from kernels import PagedFrame, cache_write, paged_attention

    current, seen = [], {}

    @contextmanager
    def device_of(x: torch.Tensor) -> Any:
        current.append(x)
        yield
        current.pop()

    class Launcher:
        def __init__(self, name: str) -> None:
            self.name = name

        def __getitem__(self, grid: Any) -> Any:
            return lambda *given, **options: seen.update({self.name: float(not current)})

    args = draw("int8", rows=3, columns=5)
    parts, q = args["key_parts"], args["q"]
    with (
        patch.object(torch.cuda, "device_of", device_of),
        patch.object(paged, "frame_kernel", Launcher("attention's device")),
        patch.object(writes, "write_kernel", Launcher("write's device")),
    ):
        paged_attention(PagedFrame(**args))
        cache_write(q, parts, torch.arange(len(q)), args["codec"], None)
    return seen


def resources() -> dict[str, dict[str, int]]:
    """The reference shape and the largest frame; pointers are said to be aligned, as torch's are."""
    import kernels.paged_triton as paged
    import kernels.writes_triton as writes
    from kernels import codec_named

    found = {}
    pairs = (("bf16", "bf16"), ("fp16", "fp16"), ("int8", "bf16"), ("int4", "bf16"), ("fp32", "fp32"))
    for codec, dtype in pairs:
        for tokens, width in ((16, 64), (64, 64)):
            frame = torch.empty(2, 8, tokens, width, dtype=DTYPES[dtype])
            parts = codec_named(codec).empty(1, 8, tokens=tokens, head_dim=width, device=torch.device("cpu"))
            code, scale = STORED[codec], "fp32" if len(parts) > 1 else STORED[codec]
            kinds = [dtype] * 3 + [code, scale] * 2 + ["i64", "u8"] + [dtype] * 3
            used = _compiled(paged.frame_kernel, kinds, paged.constants(frame, parts, 16))
            found[f"attention {codec} {dtype} P{tokens} D{width}"] = used
            turn = torch.empty(2, tokens, width // 2, 2)
            used = _compiled(
                writes.write_kernel, [dtype, "fp32", code, scale, "i64"], writes.constants(frame, parts, turn)
            )
            found[f"write {codec} {dtype} P{tokens} D{width}"] = used
    return found


def _compiled(kernel: Any, kinds: list[str], constants: dict[str, Any]) -> dict[str, int]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    options = {name: constants.pop(name) for name in ("num_warps", "num_stages") if name in constants}
    signature = {name: f"*{kind}" for name, kind in zip(kernel.arg_names, kinds, strict=False)}
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(len(kinds))}
    source = ASTSource(kernel, signature | dict.fromkeys(constants, "constexpr"), constants, aligned)
    binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary.asm["cubin"])
        file.flush()
        report = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    used = {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", report)}
    return {"registers": used["REG"], "spilled": used["STACK"] + used["LOCAL"], "shared": binary.metadata.shared}


if __name__ == "__main__":
    import triton

    result = {"interpret": interpret, "resources": resources}[sys.argv[1]]()
    print(json.dumps({"triton": triton.__version__, "cases": result}))
