"""The smallest plan that measures something."""

from __future__ import annotations

import pytest
import torch

from agents.bench.plan import Plan


@pytest.fixture
def plan() -> Plan:
    return Plan(
        device="cpu", batches={"tiny": (1, 12)}, windows=(3,), frames=12, shared_rows=(3,), kernel_rows=(), seconds=0.01
    )


@pytest.fixture(autouse=True)
def no_gradients():
    """As every measurement runs."""
    with torch.no_grad():
        yield
