"""The loop by itself: what it keeps when the loss breaks, the disk is full or someone presses Ctrl-C."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.wmenv.tiny import same_tensors
from wmenv.errors import CheckpointError, TrainingError
from wmenv.training import Stage, run, run_stage
from wmenv.training.run import learning_rate
from wmenv.training.signals import hold_signals

STEPS = 20
IDENTITY: dict[str, Any] = {"data": 1}


class Line(nn.Module):
    """Fits y = 2 x - 1 from noisy points, with a buffer that no checkpoint may lose."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        nn.init.zeros_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        self.register_buffer("steps_seen", torch.zeros(()))

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Counts its calls in the buffer."""
        self.steps_seen += 1
        x = torch.randn(16, 1, generator=generator)
        error = (self.layer(x) - (2 * x - 1)).square().mean()
        return error, {"line": error}


def go(folder: Path, before_step: Callable[[int], Any] = lambda step: None, **options: Any) -> Line:
    """Runs the stage; `before_step` is called with the step, and what it returns is added to the loss."""
    line = Line()

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        value, parts = line.loss(generator)
        extra = before_step(int(line.steps_seen) - 1)
        return (value if extra is None else value + extra), parts

    stage = Stage(name="line", module=line, loss=loss, steps=options.pop("steps", STEPS), rate=0.1, autocast=False)
    run_stage(stage, folder, seed=options.pop("seed", 0), identity=options.pop("identity", IDENTITY), **options)
    return line


def stored_step(folder: Path) -> int:
    return json.loads((folder / "training-line.json").read_text())["step"]


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every step."""
    monkeypatch.setattr(run, "SAVE_SECONDS", -1.0)


def test_it_learns_and_tells(tmp_path: Path):
    told: list[tuple] = []
    line = go(tmp_path, steps=300, progress=lambda *args: told.append(args))
    assert line.layer.weight.item() == pytest.approx(2, abs=0.05)
    assert line.layer.bias.item() == pytest.approx(-1, abs=0.05)
    stage, step, steps, losses = told[-1]
    assert (stage, step, steps) == ("line", 300, 300) and 0 < losses["line"] < 0.5


@pytest.mark.parametrize("quick", [True, False])
def test_bfloat16_only_where_it_is_quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool):
    monkeypatch.setattr(run, "multiplies_bfloat16", lambda device: quick)
    line, kinds = Line(), set()

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        kinds.add(line.layer(torch.randn(2, 1)).dtype)
        return line.loss(generator)

    run_stage(Stage(name="line", module=line, loss=loss, steps=2, rate=0.1), tmp_path, seed=0, identity=IDENTITY)
    assert kinds == {torch.bfloat16 if quick else torch.float32}


def test_the_rate_warms_up_and_falls_to_nothing():
    rates = [learning_rate(step, 1000, 0.1) for step in range(1000)]
    assert rates[0] == pytest.approx(0.1 / 50) and rates[49:400] == pytest.approx([0.1] * 351)
    assert rates[700] == pytest.approx(0.05) and 0 < rates[-1] < 0.001


def test_seeds_differ_and_repeat(tmp_path: Path):
    first, again, other = (go(tmp_path / name, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4)))
    assert same_tensors(first.state_dict(), again.state_dict())
    assert not torch.equal(first.layer.weight, other.layer.weight)


def test_no_two_steps_of_any_stage_or_seed_draw_the_same(tmp_path: Path):
    """Torch's CPU generator keeps 32 bits of a seed: what is told apart above them is not told apart at all."""
    drawn: set[tuple[float, ...]] = set()

    def loss(generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        numbers = torch.rand(3, generator=generator)
        drawn.add(tuple(numbers.tolist()))
        return line.layer(numbers[:1]).square().sum(), {}

    for seed in (0, 1, 2**30, 2**62):
        for name in ("line", "enil", "other"):
            line = Line()
            stage = Stage(name=name, module=line, loss=loss, steps=10, rate=0.1)
            run_stage(stage, tmp_path / f"{seed}", seed=seed, identity={})
    assert len(drawn) == 4 * 3 * 10


def test_a_finished_stage_is_not_run_again(tmp_path: Path):
    first = go(tmp_path)
    assert same_tensors(first.state_dict(), go(tmp_path).state_dict())
    assert int(first.steps_seen) == STEPS == stored_step(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_stage_and_step_and_leaves_the_last_good_checkpoint(
    tmp_path: Path, always: None, value: float
):
    with pytest.raises(TrainingError, match=rf"line: step 13: .*loss {value}.*checkpoint is in {tmp_path}"):
        go(tmp_path, lambda step: value if step == 13 else None)
    assert stored_step(tmp_path) == 13
    assert same_tensors(go(tmp_path).state_dict(), go(tmp_path / "whole").state_dict())


def test_a_gradient_that_is_not_finite_stops_too(tmp_path: Path):
    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * float("nan")

    line = Line()
    loss = lambda generator: (Poison.apply(line.loss(generator)[0]), {})  # noqa: E731
    with pytest.raises(TrainingError, match="step 0: .*gradient nan; no checkpoint was written yet"):
        run_stage(Stage(name="line", module=line, loss=loss, steps=5, rate=0.1), tmp_path / "none", seed=0, identity={})
    assert line.layer.weight.item() == 0.0, "the update was made all the same"


def test_ctrl_c_saves_and_the_run_goes_on_bit_for_bit(tmp_path: Path):
    def stop(step: int) -> None:
        if step == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, stop)
    assert stored_step(tmp_path) == 7
    assert json.loads((tmp_path / "training-line.json").read_text())["steps"] == STEPS
    resumed, whole = go(tmp_path), go(tmp_path / "whole")
    assert torch.equal(resumed.layer.weight, whole.layer.weight) and torch.equal(resumed.layer.bias, whole.layer.bias)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_an_update_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    def stop(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, stop)
    update, updates = torch.optim.AdamW.step, 0

    def interrupted(self, closure=None):
        nonlocal updates
        updates += 1
        if updates == 9:
            os.kill(os.getpid(), number)
        return update(self, closure)

    try:
        with monkeypatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                go(tmp_path)
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)
    assert updates == stored_step(tmp_path) == 9
    assert same_tensors(go(tmp_path).state_dict(), go(tmp_path / "whole").state_dict())


def test_held_signals_keep_their_order_of_things():
    heard: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append("signal"))
    try:
        with hold_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            heard.append("block")
        with pytest.raises(ZeroDivisionError), hold_signals():
            os.kill(os.getpid(), signal.SIGTERM)
            heard.append("block")
            raise ZeroDivisionError
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == ["block", "signal"] * 2


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_is_said_and_leaves_the_old_checkpoint(
    tmp_path: Path, always: None, monkeypatch: pytest.MonkeyPatch, call: str, after: int
):
    """From step 10 on, the disk takes `after` more calls."""
    real, left = getattr(os, call), [10**9]

    def full(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, full)
    with pytest.raises(CheckpointError, match=rf"{tmp_path}: cannot write \(No space left on device\); free some"):
        go(tmp_path, lambda step: left.__setitem__(0, after) if step == 10 else None)
    monkeypatch.undo()
    whole_saves = after // 4 if call == "fsync" else after // 2
    sealed = after == 3 and call == "fsync"  # the description was renamed, only its folder was not flushed
    assert stored_step(tmp_path) == 10 + whole_saves + sealed
    assert not list(tmp_path.glob(".tmp-*"))
    assert same_tensors(go(tmp_path).state_dict(), go(tmp_path / "whole").state_dict())


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path):
    go(tmp_path)
    for options in ({"identity": {"data": 2}}, {"steps": STEPS + 1}):
        with pytest.raises(CheckpointError, match="training-line.json: expected a checkpoint of this run"):
            go(tmp_path, **options)


@pytest.mark.parametrize("step", [None, -1, STEPS + 1, "3", 2.0, True])
def test_a_damaged_step_is_refused(tmp_path: Path, step: Any):
    go(tmp_path)
    path = tmp_path / "training-line.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step": step}))
    with pytest.raises(CheckpointError, match=f"training-line.json: step: expected 0 to {STEPS}, got {step!r}"):
        go(tmp_path)


def test_damaged_weights_of_a_checkpoint_are_refused(tmp_path: Path):
    go(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match=f"{path.name}: the digest does not match"):
        go(tmp_path)
