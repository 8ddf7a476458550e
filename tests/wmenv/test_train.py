"""From a data set to a model: what is recorded in it, what is refused, and what an interrupted training leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.wmenv.tiny import make_episode, make_info, make_model, make_store, preset, same_tensors
from wmenv.data import EpisodeStore
from wmenv.errors import CheckpointError, DataError, InputError, TrainingError
from wmenv.train import held_out, parted, train
from wmenv.training import dynamics_stage, run
from wmenv.training.dynamics_stage import choose_starts, encode_episodes
from wmenv.training.frames_stage import FrameClips
from wmenv.world_model import WorldModel

OPTIONS: dict[str, Any] = {"preset": preset(steps=6, vae_steps=4), "device": "cpu"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data sets of states and of frames, and a model of each."""
    folder = tmp_path_factory.mktemp("made")
    for modality in ("state", "frames"):
        make_store(folder / f"{modality}-data", frames=modality == "frames")
        train(folder / f"{modality}-data", folder / modality, **OPTIONS)
    return folder


def stop_at(monkeypatch: pytest.MonkeyPatch, update: int, what: BaseException) -> None:
    """`what` is raised in place of this update."""
    real, updates = torch.optim.AdamW.step, 0

    def counted(self, closure=None):
        nonlocal updates
        updates += 1
        if updates == update:
            raise what
        return real(self, closure)

    monkeypatch.setattr(torch.optim.AdamW, "step", counted)


@pytest.mark.parametrize("modality", ["state", "frames"])
def test_a_model_knows_its_task(made: Path, modality: str):
    model = WorldModel.from_pretrained(made / modality)
    config, info = model.config, make_info()
    assert (config.task, config.modality, config.fps) == (info.task, modality, info.fps)
    assert (config.action_low, config.action_high) == (info.action_low, info.action_high)
    assert (config.state_names, config.max_episode_steps) == (info.state_names, info.max_episode_steps)
    assert config.image_size == (32 if modality == "frames" else None)
    episodes = EpisodeStore.open(made / f"{modality}-data").load()
    states = np.concatenate([e.state for e in episodes[:-1]])  # the last of six is held out
    assert config.state_low == tuple(states.min(0)) and config.state_high == tuple(states.max(0))
    assert not (made / modality / "training").exists()
    assert not model.training and not any(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("modality", ["state", "frames"])
def test_its_starts_are_recorded_contexts(made: Path, modality: str):
    model = WorldModel.from_pretrained(made / modality)
    model.tokenizer.to(memory_format=torch.channels_last)  # as in training: another layout rounds otherwise
    episodes = EpisodeStore.open(made / f"{modality}-data").load()[:-1]
    window, contexts = model.context, []
    for episode in episodes:
        latent, action = encode_episodes(model, [episode]).latent, torch.from_numpy(episode.action)
        for t in range(episode.num_steps):
            frame = torch.arange(t - window + 1, t + 1)
            led = model.unit_action(action[(frame - 1).clamp(min=0)]) * (frame > 0).unsqueeze(-1)
            contexts.append((latent[frame.clamp(min=0)], led, frame >= 0))
    for k in range(model.num_starts):
        seen = model.start_valid[k]
        assert seen[-1] and bool(model.start_is_initial[k]) == (int(seen.sum()) == 1)
        start = (model.start_latents[k], model.start_actions[k], seen)
        assert any(all(torch.allclose(a, b, atol=1e-5) for a, b in zip(start, c, strict=True)) for c in contexts)
    assert int(model.start_is_initial.sum()) >= min(len(episodes), model.num_starts // 4)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 40, 100])
def test_starts_are_all_different(count: int):
    model = make_model(action_high=(2.0,))
    data = encode_episodes(model, [make_episode(seed, 20, frames=False) for seed in range(6)])
    latents, actions, valid, initial = choose_starts(data, count, 3, seed=0)
    assert len(latents) == len(actions) == len(valid) == len(initial) == count
    assert initial.sum() >= min(6, max(1, count // 4))
    later = latents[~initial]
    assert len(later.flatten(1).unique(dim=0)) == len(later)


def test_states_are_scaled_by_their_spread(made: Path):
    model = WorldModel.from_pretrained(made / "state")
    states = np.concatenate([e.state for e in EpisodeStore.open(made / "state-data").load()[:-1]])
    latent = model.tokenizer.encode(torch.from_numpy(states)).flatten(1)
    assert torch.allclose(latent.mean(0), torch.zeros(2), atol=1e-4) and torch.allclose(latent.std(0), torch.ones(2))


def test_the_background_of_frames_is_their_median(made: Path):
    """Everything but the square stands still."""
    model = WorldModel.from_pretrained(made / "frames")
    shown = (model.tokenizer.background * 255).round()
    assert (shown[:, :12] == 40).all() and (shown[:, 18:] == 40).all()


def test_dreamed_latents_stay_among_those_of_the_recorded_frames(made: Path):
    model = WorldModel.from_pretrained(made / "frames")
    recorded = encode_episodes(model, parted(EpisodeStore.open(made / "frames-data").load())[0]).latent
    at = (recorded / model.dynamics.delta_scale).flatten(1)
    way = at - at.mean(0)
    for times in (1, 1000):
        latent = ((at.mean(0) + times * way) * model.dynamics.delta_scale.flatten()).view_as(recorded)
        after = model.arrive(recorded.unsqueeze(1), torch.zeros(len(at), 1), latent)[0][:, -1]
        gone = ((after / model.dynamics.delta_scale).flatten(1) - at.mean(0)).abs().max()
        assert gone < 2 * way.norm(dim=1).max(), "further than any recorded latent"
        assert times > 1 or torch.allclose(after, recorded, atol=0.05 * float(recorded.std()) + 1e-4)


def test_frame_clips_repeat_the_first_frame_and_stay_in_their_episode():
    model = make_model("frames", action_high=(2.0,))
    episodes = [make_episode(seed, steps) for seed, steps in ((0, 2), (1, 9))]
    clips = FrameClips(model, episodes)
    frames, action = clips.sample(400, 4, torch.Generator().manual_seed(0))
    assert frames.shape == (400, 4, 3, 32, 32) and action.shape == (400, 4, 1)
    possible = set()
    for episode in episodes:
        for last in range(episode.num_steps + 1):
            at = np.arange(last - 3, last + 1)
            acts = episode.action[np.clip(at - 1, 0, None)] / 2 * (at > 0)[:, None] + 0.0
            possible.add((episode.frames[np.clip(at, 0, None)].tobytes(), acts.astype(np.float32).tobytes()))
    shown = (frames * 255).round().to(torch.uint8).movedim(2, -1).contiguous()
    drawn = {(f.numpy().tobytes(), (a + 0.0).numpy().tobytes()) for f, a in zip(shown, action, strict=True)}
    assert drawn == possible


def test_some_episodes_are_held_out():
    assert [i for i in range(30) if held_out(i, 30)] == [9, 19, 29]
    assert [i for i in range(4) if held_out(i, 4)] == [3] and not held_out(0, 1)


def test_the_seed_decides(made: Path, tmp_path: Path):
    again = train(made / "state-data", tmp_path / "again", **OPTIONS)
    other = train(made / "state-data", tmp_path / "other", seed=1, **OPTIONS)
    first = WorldModel.from_pretrained(made / "state").state_dict()
    assert same_tensors(again.state_dict(), first)
    assert not torch.equal(other.dynamics.embed.weight, first["dynamics.embed.weight"])


def test_the_callers_random_stream_is_left_alone(made: Path, tmp_path: Path):
    torch.manual_seed(5)
    train(made / "state-data", tmp_path / "m", init=made / "state", **OPTIONS)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


@pytest.mark.parametrize("modality", ["state", "frames"])
def test_models_of_frames_alone_learn_from_their_own_dreams(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, modality: str
):
    real, asked = dynamics_stage.own_past, []

    def watched(*args: Any) -> torch.Tensor:
        asked.append(args[3])
        return real(*args)

    monkeypatch.setattr(dynamics_stage, "own_past", watched)
    train(made / f"{modality}-data", tmp_path, **OPTIONS | {"preset": preset(steps=2, vae_steps=2, own_frames=2)})
    assert asked == ([2, 2] if modality == "frames" else [])


def test_frames_can_be_ignored(made: Path, tmp_path: Path):
    model = train(made / "frames-data", tmp_path / "m", modality="state", **OPTIONS)
    assert model.config.modality == "state"


def test_a_recording_of_one_step(tmp_path: Path):
    EpisodeStore.create(tmp_path / "data", make_info(size=None)).append([make_episode(0, 1, frames=False)])
    model = train(tmp_path / "data", tmp_path / "m", **OPTIONS)
    assert model.num_starts == 1 and model.start_is_initial.all()
    assert all(t.isfinite().all() for t in model.state_dict().values())


# ---- misuse


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vae_frames": 2}, "vae_frames: expected an integer >= 3, got 2"),
        ({"history_state": 4}, "history_state: expected an integer from 1 to 3, got 4"),
        ({"history_frames": 4}, "history_frames: expected an integer from 1 to 3, got 4"),
        ({"width": 40}, "width: expected a multiple of 8 \\* heads = 16, got 40"),
        ({"heads": 0}, "heads: expected an integer from 1"),
        ({"starts": 0}, "starts: expected an integer from 1"),
        ({"rows": 0}, "rows: expected an integer >= 1, got 0"),
        ({"steps": -1}, "steps: expected an integer >= 0, got -1"),
        ({"vae_steps": 1.5}, "vae_steps: expected an integer >= 0, got 1.5"),
        ({"own_frames": -1}, "own_frames: expected an integer >= 0, got -1"),
        ({"rate": 0.0}, "rate: expected a number above 0"),
        ({"vae_rate": float("nan")}, "vae_rate: expected a number from 0 to 1, got nan"),
        ({"full_noise": 1.5}, "full_noise: expected a number from 0 to 1, got 1.5"),
        ({"context_noise": -0.1}, "context_noise: expected a number from 0 to 1"),
        ({"free_context": True}, "free_context: expected a number from 0 to 1, got True"),
    ],
)
def test_a_preset_out_of_range_is_named_as_it_is_made(changes: dict, says: str):
    with pytest.raises(InputError, match=f"^{says}"):
        preset(**changes)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"preset": "huge"}, "preset: expected one of tiny, small, base, nano, tiny-flow, got 'huge'"),
        ({"modality": "sound"}, "modality: expected 'frames' or 'state', got 'sound'"),
        ({"modality": "frames"}, "modality: expected 'state' for a data set without frames"),
        ({"device": "tpu"}, "device: expected 'cpu', 'cuda' or 'auto', got 'tpu'"),
        ({"seed": -1}, "seed: expected an integer from 0"),
        ({"seed": "x"}, "seed: expected an integer from 0"),
    ],
)
def test_bad_arguments_are_input_errors(made: Path, tmp_path: Path, options: dict, says: str):
    with pytest.raises(InputError, match=says):
        train(made / "state-data", tmp_path / "m", **(OPTIONS | options))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
@pytest.mark.parametrize("modality", ["state", "frames"])
def test_a_device_goes_on_where_it_was_stopped(made: Path, tmp_path: Path, monkeypatch, device: str, modality: str):
    """On a GPU the sums of convolutions may be added up in another order from run to run."""
    data, options = made / f"{modality}-data", OPTIONS | {"device": device}
    whole = train(data, tmp_path / "whole", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(data, tmp_path / "broken", **options)
    again = train(data, tmp_path / "broken", **options)
    assert whole.device.type == again.device.type == device
    close = {"rtol": 0, "atol": 0 if device == "cpu" else 1e-3}
    for (name, one), other in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}", **close)


def test_cuda_without_a_gpu(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="device: expected a CUDA GPU for 'cuda'"):
        train(made / "state-data", tmp_path / "m", **(OPTIONS | {"device": "cuda"}))


def test_bad_data_is_a_data_error(made: Path, tmp_path: Path):
    with pytest.raises(DataError, match="task: expected wmenv/Hopper-v0, got wmenv/Mass-v0"):
        train(made / "state-data", tmp_path / "m", task="wmenv/Hopper-v0", **OPTIONS)
    with pytest.raises(DataError, match="nothing"):
        train(tmp_path / "nothing", tmp_path / "m", **OPTIONS)
    EpisodeStore.create(tmp_path / "empty", make_info(size=None))
    with pytest.raises(DataError, match="empty: expected recorded episodes, got none"):
        train(tmp_path / "empty", tmp_path / "m", **OPTIONS)
    assert not (tmp_path / "m").exists()


def test_init_of_another_kind_is_an_input_error(made: Path, tmp_path: Path):
    make_store(tmp_path / "hopper", frames=False, task="wmenv/Hopper-v0")
    wrong = [
        (tmp_path / "hopper", OPTIONS["preset"], "task"),
        (made / "state-data", preset(width=64), "width"),
        (made / "frames-data", OPTIONS["preset"], "modality"),
    ]
    for data, sizes, field in wrong:
        with pytest.raises(InputError, match=f"init: expected a model with {field} = "):
            train(data, tmp_path / "m", init=made / "state", preset=sizes, device="cpu")
    with pytest.raises(CheckpointError, match="config.json"):
        train(made / "state-data", tmp_path / "m", init=tmp_path, **OPTIONS)


def test_init_is_where_training_begins(made: Path, tmp_path: Path):
    """With no steps left to make, the weights are those of init; the scales and the starts are the new data's."""
    make_store(tmp_path / "data", 9, frames=False)
    old = WorldModel.from_pretrained(made / "state")
    kept = {name: tensor.clone() for name, tensor in old.state_dict().items()}
    new = train(tmp_path / "data", tmp_path / "m", init=old, preset=preset(steps=0), device="cpu")
    trained = {n for n, t in new.state_dict().items() if not torch.equal(t, kept[n])}
    starts = {"start_latents", "start_actions", "start_valid", "start_is_initial"}
    scales = {"tokenizer.mean", "tokenizer.scale", "dynamics.delta_scale", "heads.change_scale"}
    reward = {f"heads.reward{name}" for name in ("_mean", "_scale", ".4.weight", ".4.bias")}  # a new unit, same answer
    assert trained <= starts | scales | reward and trained >= {"tokenizer.mean", "start_latents"}
    assert same_tensors(old.state_dict(), kept)


# ---- a folder that holds something


def test_a_finished_model_is_kept_unless_told(made: Path, tmp_path: Path):
    shutil.copytree(made / "state", tmp_path / "m")
    before = (tmp_path / "m" / "config.json").read_bytes()
    with pytest.raises(
        InputError, match="out: expected a new folder, got .*m with a finished model; choose another or pass"
    ):
        train(made / "state-data", tmp_path / "m", seed=1, **OPTIONS)
    assert (tmp_path / "m" / "config.json").read_bytes() == before
    model = train(made / "state-data", tmp_path / "m", seed=1, overwrite=True, **OPTIONS)
    assert (tmp_path / "m" / "config.json").read_bytes() != before
    assert same_tensors(WorldModel.from_pretrained(tmp_path / "m").state_dict(), model.state_dict())


def test_a_model_is_trained_on_in_its_own_folder(made: Path, tmp_path: Path):
    """As the rounds of a demo do."""
    shutil.copytree(made / "state", tmp_path / "m")
    train(made / "state-data", tmp_path / "m", init=tmp_path / "m", overwrite=True, **OPTIONS)
    assert not (tmp_path / "m" / "training").exists()


@pytest.mark.parametrize("over", [False, True])
def test_an_interrupted_training_goes_on(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, over: bool):
    """In the second stage, in a new folder or over a finished model; no one has to say overwrite again."""
    if over:
        shutil.copytree(made / "state", tmp_path / "m")
    with monkeypatch.context() as patch:
        stop_at(patch, 4 + 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(made / "frames-data", tmp_path / "m", overwrite=over, **OPTIONS)
    left = sorted((tmp_path / "m" / "training").glob("*.json"))
    assert [(p.name, json.loads(p.read_text())["step"]) for p in left] == [
        ("training-dynamics.json", 2),
        ("training-tokenizer.json", 4),
    ]
    with pytest.raises(CheckpointError, match="expected a checkpoint of this run"):
        train(made / "frames-data", tmp_path / "m", seed=5, **OPTIONS)
    model = train(made / "frames-data", tmp_path / "m", **OPTIONS)
    assert same_tensors(model.state_dict(), WorldModel.from_pretrained(made / "frames").state_dict())


def killed_while_it_tidies(patch: pytest.MonkeyPatch) -> None:
    """Half of a training's checkpoints are removed when the process dies."""
    real = shutil.rmtree

    def killed(path: Path, *args: Any, **options: Any) -> None:
        if "training" in Path(path).name and Path(path).exists():
            for weights in Path(path).glob("*.safetensors"):
                weights.unlink()
            raise KeyboardInterrupt
        real(path, *args, **options)

    patch.setattr(shutil, "rmtree", killed)


def test_a_kill_while_it_tidies_leaves_a_finished_model(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    data, out = made / "state-data", tmp_path / "m"
    with monkeypatch.context() as patch:
        killed_while_it_tidies(patch)
        with pytest.raises(KeyboardInterrupt):
            train(data, out, **OPTIONS)
    with pytest.raises(InputError, match="out: expected a new folder, got .*m with a finished model"):
        train(data, out, **OPTIONS)
    assert {path.name for path in out.iterdir()} == {"config.json", "model.safetensors", "README.md"}
    model = WorldModel.from_pretrained(out)
    assert same_tensors(model.state_dict(), WorldModel.from_pretrained(made / "state").state_dict())


def test_another_recording_of_the_same_size_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name, shift in (("one", 0), ("two", 1)):
        store = EpisodeStore.create(tmp_path / name, make_info(size=None))
        store.append([make_episode(seed + shift, 5, frames=False) for seed in range(3)])
        assert store.num_steps == 15
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "one", tmp_path / "m", **OPTIONS)
    with pytest.raises(CheckpointError, match="expected a checkpoint of this run"):
        train(tmp_path / "two", tmp_path / "m", **OPTIONS)


def test_a_warm_start_goes_on_from_its_own_init_only(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    options = OPTIONS | {"preset": preset(steps=10)}
    make_model(action_high=(2.0,), state_slots=(0, 1), token_dim=1).save_pretrained(tmp_path / "other")
    whole = train(made / "state-data", tmp_path / "whole", init=made / "state", **options)
    with monkeypatch.context() as patch:
        stop_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            train(made / "state-data", tmp_path / "m", init=made / "state", **options)
    for init in (tmp_path / "other", None):
        with pytest.raises(CheckpointError, match="expected a checkpoint of this run"):
            train(made / "state-data", tmp_path / "m", init=init, **options)
    model = train(made / "state-data", tmp_path / "m", init=made / "state", **options)
    assert same_tensors(model.state_dict(), whole.state_dict())


def test_rewards_beyond_float32_stop_the_training(tmp_path: Path):
    """Finite in the data set, infinite in the network."""
    store = EpisodeStore.create(tmp_path / "data", make_info(size=None))
    store.append([make_episode(seed, frames=False, reward=np.full(20, 1e50)) for seed in (1, 2)])
    with pytest.raises(TrainingError, match="dynamics: step 0: expected a finite loss .*reward"):
        train(tmp_path / "data", tmp_path / "m", **OPTIONS)
    assert not (tmp_path / "m" / "config.json").exists()


def test_a_loss_that_breaks_leaves_a_checkpoint_to_go_on_from(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from wmenv.training import dynamics_stage

    real, calls = dynamics_stage.forcing_loss, 0

    def broken(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        loss, parts = real(*args)
        return (loss * float("nan") if calls == 5 else loss), parts

    with monkeypatch.context() as patch:
        patch.setattr(dynamics_stage, "forcing_loss", broken)
        patch.setattr(run, "SAVE_SECONDS", -1.0)
        with pytest.raises(TrainingError, match=f"dynamics: step 4: .*checkpoint is in {tmp_path / 'm' / 'training'}"):
            train(made / "state-data", tmp_path / "m", **OPTIONS)
    model = train(made / "state-data", tmp_path / "m", **OPTIONS)
    assert same_tensors(model.state_dict(), WorldModel.from_pretrained(made / "state").state_dict())
