"""One frame at a time over the ring gives the parallel form's numbers, whatever was padded and whoever stands where."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.wmenv.tiny import next_frame, random_dynamics
from wmenv.cache import FrameCache
from wmenv.dynamics import Dynamics, new_cache

B, F, N, C, A, W = 4, 14, 3, 2, 2, 4


def clip(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=torch.float64)

    valid = torch.ones(B, F, dtype=torch.bool)
    valid[1, :2], valid[2, :7], valid[3] = False, False, torch.rand(F, generator=generator) < 0.6
    return {
        "context": torch.randn(B, F, N, C, generator=generator, dtype=torch.float64),
        "context_level": uniform(B, F),
        "noised": torch.randn(B, F, N, C, generator=generator, dtype=torch.float64),
        "level": uniform(B, F),
        "action": uniform(B, F, A) * 2 - 1,
        "valid": valid,
        "first": torch.randn(B, N, C, generator=generator, dtype=torch.float64),
    }


def stream(
    dynamics: Dynamics, x: dict[str, Tensor], cache: FrameCache | None = None
) -> tuple[Tensor, list[FrameCache]]:
    """Estimates of all frames, and the cache before each of them and after the last."""
    caches = [new_cache(dynamics, len(x["first"])) if cache is None else cache]
    base, answers = x["first"], []
    for t in range(x["context"].shape[1]):
        frame = next_frame(dynamics, caches[-1], x["action"][:, t])
        answers.append(frame.estimate(base, x["noised"][:, t], x["level"][:, t]))
        caches.append(frame.commit(base, x["context"][:, t], x["context_level"][:, t], x["valid"][:, t]))
        base = x["context"][:, t]
    return torch.stack(answers, 1), caches


@pytest.mark.parametrize("window", [1, 2, 4, 20])
@pytest.mark.parametrize("depth", [1, 3])
def test_streaming_equals_parallel(window: int, depth: int):
    """Also after the ring has wrapped around thrice, and with frames that are not there at the start or between."""
    dynamics, x = random_dynamics(window=window, depth=depth), clip()
    torch.testing.assert_close(stream(dynamics, x)[0], dynamics(**x), rtol=0, atol=1e-10)


def test_streaming_equals_parallel_in_float32():
    dynamics = random_dynamics().float()
    x = {name: value.float() if value.is_floating_point() else value for name, value in clip().items()}
    torch.testing.assert_close(stream(dynamics, x)[0], dynamics(**x), rtol=0, atol=1e-4)


def test_rows_may_stand_at_different_times():
    dynamics, x = random_dynamics(), clip()
    _, caches = stream(dynamics, x)
    times = (0, 3, 6, 13)
    chosen = [[field[row] for field in caches[t]] for row, t in enumerate(times)]
    mixed = FrameCache(*map(torch.stack, zip(*chosen, strict=True)))
    at = {name: torch.stack([x[name][row, t] for row, t in enumerate(times)]) for name in x if name != "first"}
    before = torch.cat((x["first"].unsqueeze(1), x["context"]), 1)
    base = torch.stack([before[row, t] for row, t in enumerate(times)])
    frame = next_frame(dynamics, mixed, at["action"])
    said = frame.estimate(base, at["noised"], at["level"])
    wanted = stream(dynamics, x)[0]
    torch.testing.assert_close(said, torch.stack([wanted[row, t] for row, t in enumerate(times)]), rtol=0, atol=1e-10)
    after = frame.commit(base, at["context"], at["context_level"], at["valid"])
    for row, t in enumerate(times):
        for got, want in zip(after, caches[t + 1], strict=True):
            torch.testing.assert_close(got[row], want[row], rtol=0, atol=1e-10)


@pytest.mark.parametrize(("shift", "tolerance"), [(1, 1e-5), (7, 1e-5), (1000, 1e-3)])
def test_only_time_differences_matter(shift: int, tolerance: float):
    """Rotary angles are float32: a thousand steps cost three digits, no more."""
    dynamics, x = random_dynamics(), clip()
    later = new_cache(dynamics, B)._replace(position=torch.full((B,), shift))
    torch.testing.assert_close(stream(dynamics, x, later)[0], stream(dynamics, x)[0], rtol=0, atol=tolerance)


def test_frames_on_copies_leave_the_caches_before_them_alone():
    dynamics, x = random_dynamics(), clip()
    _, caches = stream(dynamics, x)
    kept = [[field.clone() for field in cache] for cache in caches[:8]]
    stream(dynamics, clip(1), caches[7])
    for cache, copies in zip(caches[:8], kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(cache, copies, strict=True))


def test_an_estimate_without_a_past_looks_at_the_sink():
    dynamics, x = random_dynamics(), clip()
    cache = new_cache(dynamics, B)
    action, now = x["action"][:, 0], (x["first"], x["noised"][:, 0], x["level"][:, 0])
    said = next_frame(dynamics, cache, action).estimate(*now)
    assert said.isfinite().all()
    dynamics.blocks[0].sink_value.add_(1)
    assert torch.equal(next_frame(dynamics, cache, action).estimate(*now), said), (
        "a cache holds the sinks that it was made with"
    )
    said_now = next_frame(dynamics, new_cache(dynamics, B), action).estimate(*now)
    assert (said_now - said).abs().amax() > 1e-6
