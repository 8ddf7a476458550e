"""A damaged or foreign model is a CheckpointError that names the file or field; reading one runs none of its code."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from tests.wmenv.tiny import make_model, same_tensors
from wmenv.atomic import digest
from wmenv.checkpoint import read_checkpoint, write_checkpoint
from wmenv.errors import CheckpointError
from wmenv.world_model import WorldModel


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models, by modality."""
    folder = tmp_path_factory.mktemp("stored")
    for modality in ("state", "frames"):
        make_model(modality).save_pretrained(folder / modality)
    return folder


@pytest.fixture
def folder(stored: Path, tmp_path: Path) -> Path:
    """A state model to be damaged."""
    return Path(shutil.copytree(stored / "state", tmp_path / "model"))


def refused(folder: Path, says: str) -> None:
    with pytest.raises(CheckpointError, match=says) as caught:
        WorldModel.from_pretrained(folder)
    assert len(str(caught.value)) < 1000


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) // 2]


def flip(raw: bytes) -> bytes:
    return raw[:-9] + bytes([raw[-9] ^ 1]) + raw[-8:]


FILES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": cut,
    "empty": lambda raw: b"",
    "zeros": lambda raw: bytes(len(raw)),
    "random": lambda raw: bytes((i * 7919 + i // 3) % 256 for i in range(len(raw))),
    "no text": lambda raw: b"\xff\xfe" + raw,
    "another format": lambda raw: b"PK\x03\x04" + raw,
}


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", FILES)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: str):
    path = folder / name
    path.write_bytes(FILES[damage](path.read_bytes()))
    refused(folder, f"{name}: ")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_a_folder_and_a_broken_link_are_named(folder: Path, name: str):
    path = folder / name
    path.unlink()
    refused(folder, f"{name}: expected a file, found none")
    path.symlink_to("nowhere")
    refused(folder, f"{name}: expected a file, found none")
    path.unlink()
    path.mkdir()
    refused(folder, f"{name}: cannot be read")
    refused(folder / "nothing", "config.json: expected a file")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("protocol", [0, 5])
def test_a_pickle_in_its_place_is_never_run(folder: Path, tmp_path: Path, name: str, protocol: int):
    (folder / name).write_bytes(pickle.dumps(Bomb(tmp_path / "exploded"), protocol))
    refused(folder, f"{name}: ")
    if name == "model.safetensors":
        seal(folder)
        refused(folder, "model.safetensors: not a safetensors file")
        torch.save({"x": Bomb(tmp_path / "exploded")}, folder / name)
        seal(folder)
        refused(folder, "model.safetensors: not a safetensors file")
    assert not (tmp_path / "exploded").exists()


def test_reading_a_model_imports_no_pickle_of_its_own(stored: Path):
    """With every way to unpickle shut, a model still reads."""
    code = (
        "import pickle, sys, torch\nfrom wmenv.world_model import WorldModel\n"
        "def shut(*a, **k): raise SystemExit('unpickled')\n"
        "pickle.load = pickle.loads = pickle.Unpickler = torch.load = shut\n"
        "for path in sys.argv[1:]: WorldModel.from_pretrained(path)"
    )
    paths = [str(stored / "state"), str(stored / "frames")]
    subprocess.run([sys.executable, "-c", code, *paths], check=True, timeout=250)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"model"', "{", "{} {}", "[" * 100_000, "9" * 5_000, "NaN"])
def test_other_json_is_refused(folder: Path, text: str):
    (folder / "config.json").write_text(text)
    refused(folder, "config.json: expected")


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def repr_short(value: Any) -> str:
    return repr(value)[:10]


def fields(modality: str) -> list[str]:
    return sorted(set(make_model(modality).config.to_dict()) - {"format"})


@pytest.mark.parametrize("name", [*fields("state"), "format"])
def test_a_missing_field_is_named(folder: Path, name: str):
    path = folder / "config.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    refused(folder, name)


def test_an_unknown_field_and_another_format_are_named(folder: Path):
    rewrite(folder, colour="red")
    refused(folder, r"unknown \['colour'\]")
    rewrite(folder, format="wmenv-world-model/99")
    refused(folder, "format: expected 'wmenv-world-model/3', got 'wmenv-world-model/99'")


@pytest.mark.parametrize("modality", ["state", "frames"])
@pytest.mark.parametrize(
    "value", ["many", {}, [[]], -1, 2.5, True, float("nan"), 1e999, 10**400, 10**12], ids=repr_short
)
def test_every_field_refuses_nonsense_by_name(stored: Path, modality: str, value: Any):
    """No value of these is right anywhere, but for a name, a task and a number of steps a second."""
    values = json.loads((stored / modality / "config.json").read_text())
    tensors = (stored / modality / "model.safetensors").read_bytes()
    folder = stored / f"nonsense-{modality}"
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(tensors)
    for name in fields(modality):
        if (name, value) in (("task", "many"), ("fps", 2.5), ("max_episode_steps", 10**12)):
            continue
        (folder / "config.json").write_text(json.dumps(values | {name: value}))
        with pytest.raises(CheckpointError, match=rf"\b{name}: expected"):
            WorldModel.from_pretrained(folder)


WRONG: dict[str, dict[str, Any]] = {
    "modality": {"modality": "sound"},
    "task": {"task": ""},
    "fps": {"fps": 0},
    "history": {"history": 4},
    "state_names": {"state_names": ["x", 3]},
    "state_low": {"state_low": [-1.5, None]},
    "state_high": {"state_high": [-9.0, 3.0]},
    "action_low": {"action_low": [], "action_high": []},
    "action_high": {"action_high": [-2.0]},
    "action_high ": {"action_high": [1.0, 1.0]},
    "state_slots": {"state_slots": [0, 4]},
    "state_slots ": {"state_slots": [0, 0]},
    "state_slots  ": {"state_slots": [0]},
    "image_size": {"image_size": 32},
    "vae_width": {"vae_width": 4},
    "denoise_steps": {"denoise_steps": 0},
    "max_episode_steps": {"max_episode_steps": 0},
}


@pytest.mark.parametrize("case", WRONG)
def test_fields_that_contradict_are_named(folder: Path, case: str):
    rewrite(folder, **WRONG[case])
    refused(folder, f"{case.strip()}: expected")


def test_a_frame_model_checks_its_grid(stored: Path, tmp_path: Path):
    folder = Path(shutil.copytree(stored / "frames", tmp_path / "model"))
    for changes, says in (
        ({"grid": 3}, "num_tokens: expected grid"),
        ({"image_size": 48}, "config.json: sizes that make no model"),
        ({"image_size": None}, "image_size: expected"),
        ({"vae_width": 0}, "vae_width: expected"),
    ):
        rewrite(folder, **(json.loads((stored / "frames" / "config.json").read_text()) | changes))
        refused(folder, says)


@pytest.mark.parametrize(
    "changes", [{"width": 65_536}, {"num_starts": 1_000_000}, {"head_width": 65_536}, {"depth": 1024}, {"heads": 3}]
)
def test_sizes_that_the_weights_do_not_have(folder: Path, changes: dict[str, int]):
    """The largest would take 50 GiB if it were made."""
    rewrite(folder, **changes)
    refused(folder, "config.json: (its sizes need over|sizes that make no model)")


def seal(folder: Path) -> None:
    """Make the config vouch for whatever the weights are now."""
    rewrite(folder, weights_sha256=digest((folder / "model.safetensors").read_bytes()))


def swap(tensors: dict[str, Tensor]) -> None:
    a, b = "dynamics.embed.weight", "dynamics.head.weight"
    tensors[a], tensors[b] = tensors[b], tensors[a]


TENSORS: dict[str, tuple[Callable[[dict[str, Tensor]], Any], str]] = {
    "missing": (lambda t: t.pop("dynamics.head.bias"), "dynamics.head.bias"),
    "extra": (lambda t: t.update(virus=torch.zeros(1)), "virus"),
    "renamed": (lambda t: t.update({"heads.odd": t.pop("heads.reward_mean")}), "heads.odd"),
    "swapped": (swap, r"dynamics\.(embed|head)\.weight: expected"),
    "transposed": (lambda t: t.update({"dynamics.embed.weight": t["dynamics.embed.weight"].T.contiguous()}), "embed"),
    "half": (lambda t: t.update({"dynamics.head.weight": t["dynamics.head.weight"].half()}), "torch.float16"),
    "not a number": (lambda t: t["dynamics.head.weight"].fill_(float("nan")), "head.weight holds NaN or infinity"),
    "infinite": (lambda t: t["start_latents"].fill_(float("inf")), "start_latents holds NaN or infinity"),
    "slots": (lambda t: t["tokenizer.slots"].fill_(10**6), "tokenizer.slots: expected the state_slots"),
    "none": (lambda t: t.clear(), "config.json: its sizes need over"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_sealed_weights_that_do_not_fit_are_named(folder: Path, case: str):
    change, says = TENSORS[case]
    path = folder / "model.safetensors"
    tensors = load(path.read_bytes())
    change(tensors)
    path.write_bytes(save(tensors))
    refused(folder, "model.safetensors: the digest does not match")
    seal(folder)
    refused(folder, says)


@pytest.mark.parametrize("at", [0, 7, 8, 40, 2_000, -1])
def test_one_flipped_bit_anywhere_is_found(folder: Path, at: int):
    path = folder / "model.safetensors"
    raw = bytearray(path.read_bytes())
    raw[at] ^= 4
    path.write_bytes(raw)
    refused(folder, "model.safetensors: the digest does not match")


@pytest.mark.parametrize(
    "header", [b"", b"\x05\0\0", b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0{}", b"\x08\0\0\0\0\0\0\0[1,2,3] "]
)
def test_sealed_weights_with_a_wrong_header_are_refused(folder: Path, header: bytes):
    (folder / "model.safetensors").write_bytes(header)
    seal(folder)
    refused(folder, "model.safetensors: not a safetensors file|its sizes need over")


@pytest.mark.parametrize("sha", [None, 3, "", "0" * 64])
def test_a_seal_that_is_none(folder: Path, sha: Any):
    rewrite(folder, weights_sha256=sha)
    refused(folder, "model.safetensors: the digest does not match")


def full_disk(monkeypatch: pytest.MonkeyPatch, call: str, after: int) -> None:
    real, left = getattr(os, call), after

    def full(*args, **kwargs):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, full)


@pytest.mark.parametrize(("call", "after"), [*(("fsync", n) for n in range(7)), *(("replace", n) for n in range(5))])
def test_a_full_disk_leaves_the_earlier_model(folder: Path, monkeypatch: pytest.MonkeyPatch, call: str, after: int):
    with monkeypatch.context() as patch:
        full_disk(patch, call, after)
        with pytest.raises(CheckpointError, match=rf"{folder}: cannot write \(No space left on device\); free some"):
            make_model(seed=1).save_pretrained(folder)
    assert same_tensors(WorldModel.from_pretrained(folder).state_dict(), make_model().state_dict())
    assert not list(folder.rglob(".tmp-*"))
    make_model(seed=1).save_pretrained(folder)
    assert same_tensors(WorldModel.from_pretrained(folder).state_dict(), make_model(seed=1).state_dict())


KILLS = """
import os, shutil, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from tests.wmenv.forked import status_of
from tests.wmenv.tiny import make_model, same_tensors
from wmenv.world_model import WorldModel

folder, real, models = Path(sys.argv[1]), os.replace, [make_model(seed=seed) for seed in range(3)]

def killed_save(seed, renames):
    left = renames
    def replace(*args):
        nonlocal left
        left -= 1
        real(*args) if left >= 0 else os._exit(9)
    os.replace = replace
    models[seed].save_pretrained(folder)

def held():
    state = WorldModel.from_pretrained(folder).state_dict()
    return [seed for seed, model in enumerate(models) if same_tensors(state, model.state_dict())]

pairs = [(first, second) for first in range(8) for second in (1, 5)]
for first, second in (*pairs, *((5, second) for second in range(9))):
    models[0].save_pretrained(folder)
    said = []
    for seed, renames in ((1, first), (2, second)):
        ended = os.waitstatus_to_exitcode(status_of(lambda: killed_save(seed, renames))) == 0
        said.append(f"{'whole' if ended else 'killed'} {held()}")
    print(first, second, *said)
models[1].save_pretrained(folder)
print(held(), sorted(path.name for path in folder.iterdir()))
"""


def test_a_kill_at_any_rename_leaves_the_earlier_model_or_the_new_one(folder: Path):
    """Twice in a row: the second save begins with what the first one left, and is killed too."""
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(folder)], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *kills, end = done.stdout.splitlines()
    assert end == "[1] ['README.md', 'config.json', 'model.safetensors']"
    for line in kills:
        first, second, rest = line.split(" ", 2)
        kept = 1 if int(first) > 4 else 0  # the fifth rename is that of the config
        renames = int(second) - (first in "56")  # the first of the second save ends the first one
        one, two = "whole" if int(first) > 6 else "killed", "whole" if renames > 6 else "killed"
        assert rest == f"{one} [{kept}] {two} [{2 if renames > 4 else kept}]", line


def test_a_folder_that_cannot_be_made(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CheckpointError, match="file/model: cannot write"):
        make_model().save_pretrained(tmp_path / "file" / "model")


def test_a_training_checkpoint_round_trips_and_keeps_one_weights_file(tmp_path: Path):
    for step in (1, 2):
        write_checkpoint(tmp_path, {"step": step}, {"w": torch.full((2,), float(step))}, stem="training-x")
    description, tensors = read_checkpoint(tmp_path, stem="training-x")
    assert description["step"] == 2 and tensors["w"].tolist() == [2.0, 2.0]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "", None, 3, ".."])
def test_a_checkpoint_points_to_no_other_folder(tmp_path: Path, name: Any):
    write_checkpoint(tmp_path / "c", {}, {"w": torch.zeros(1)}, stem="s")
    (tmp_path / "secret.safetensors").write_bytes(save({"w": torch.ones(1)}))
    path = tmp_path / "c" / "s.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"file": name}))
    with pytest.raises(CheckpointError, match=r"s.json: expected the name of a file beside it|cannot be read"):
        read_checkpoint(tmp_path / "c", stem="s")
