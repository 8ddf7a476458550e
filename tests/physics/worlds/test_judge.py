"""The judge is another simulator of the same task, and nothing that makes a reward can see it or the data world."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest

import physics.worlds as verifier_worlds
from physics import World, record_clips
from physics.mechanics.control_model import control_model
from physics.mechanics.simulator import Simulator
from physics.worlds.data import DATA_WORLD
from physics.worlds.judge import JUDGE_WORLD, judge
from tests.physics.worlds.import_walk import reachable

ROOT = Path(__file__).resolve().parents[3]
HIDDEN = {"physics.worlds.judge", "physics.worlds.data"}
TASKS = tuple(f"wmenv/{name}-v0" for name in ("InvertedPendulum", "Pusher", "Hopper", "HalfCheetah", "Humanoid"))


def reward_path(root: Path) -> list[Path]:
    """The files of a tree that make a reward: what they import, they can optimise against."""
    patterns = ("physics/reward*", "physics/*verifier.py", "physics/verifier/", "physics/signals*", "agents/align*")
    found = [path for pattern in patterns for path in root.glob(pattern.rstrip("/"))]
    return sorted({file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])})


def leaks(root: Path) -> dict[str, list[str]]:
    """For every file of the reward path, the way by which it reaches the judge or the data world."""
    found = {}
    for path in reward_path(root):
        seen = reachable(root, path)
        found |= {f"{path.relative_to(root)} sees {name}": seen[name] for name in HIDDEN & set(seen)}
    return found


def test_no_reward_path_imports_the_judge() -> None:
    seen = {str(path.relative_to(ROOT)) for path in reward_path(ROOT)}
    kinds = {f"physics/verifier/{name}.py" for name in ("verifier", "dreams", "frames", "measure")}
    assert kinds | {"physics/signals/replay.py", "agents/align/grading.py"} <= seen, "there is a verifier to look at"
    assert leaks(ROOT) == {}


def test_the_verifiers_worlds_do_not_carry_the_hidden_ones() -> None:
    names = {name.lower() for name in verifier_worlds.__all__}
    assert not any("judge" in name or "data" in name for name in names)
    init = ROOT / "physics" / "worlds" / "__init__.py"
    assert not HIDDEN & set(reachable(ROOT, init))


PLANTS = {
    "directly": {"physics/reward.py": "from .worlds.judge import judge\n"},
    "as a module": {"physics/reward.py": "from .worlds import judge\n"},
    "inside a function": {"physics/reward.py": "def f():\n    from .worlds import judge\n"},
    "by way of another": {
        "physics/reward/a.py": "from ..help import f\n",
        "physics/help.py": "from .worlds.data import x\n",
    },
    "by its name in a string": {
        "physics/verifier.py": "from importlib import import_module\nm = import_module('.worlds.judge', 'physics')\n"
    },
    "through the face": {
        "agents/align.py": "from physics import judge\n",
        "physics/__init__.py": "from .worlds.judge import judge\n",
    },
    "through the face's attribute": {
        "agents/align/step.py": "import physics\nx = physics.judge('a')\n",
        "physics/__init__.py": "from .worlds.judge import judge\n",
    },
    "through a lazy face": {
        "agents/align.py": "from physics import judge\n",
        "physics/__init__.py": "_PLACES = {'judge': 'worlds.judge'}\n",
    },
}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in (
        {"physics/worlds/judge.py": "", "physics/worlds/data.py": "", "physics/worlds/__init__.py": ""} | files
    ).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("way", PLANTS)
def test_a_planted_import_is_found(way: str, tmp_path: Path) -> None:
    plant(tmp_path, PLANTS[way])
    assert len(leaks(tmp_path)) == 1


def test_a_face_that_others_ask_for_the_judge_does_not_taint_the_reward(tmp_path: Path) -> None:
    files = {
        "physics/__init__.py": "from .worlds.judge import judge\nfrom .verifier import V\n",
        "physics/verifier.py": "from .worlds import ensemble\nfrom . import signals\nV = 1\n",
        "physics/signals.py": "",
        "physics/worlds/ensemble.py": "",
        "agents/align.py": "from physics import V\n",
    }
    plant(tmp_path, files)
    assert leaks(tmp_path) == {}


@pytest.mark.parametrize("task", TASKS)
def test_the_judge_has_other_constants_another_integrator_and_the_same_control_steps(task: str) -> None:
    nominal, other = control_model(task), judge(task)
    assert other.model.opt.integrator != nominal.model.opt.integrator
    assert mujoco.mjtIntegrator(other.model.opt.integrator) == mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    assert other.model.opt.timestep == nominal.model.opt.timestep / 2 and other.dt == pytest.approx(nominal.dt)
    assert np.allclose(other.model.body_mass, JUDGE_WORLD.mass * nominal.model.body_mass)
    assert np.allclose(other.model.actuator_gear, JUDGE_WORLD.gear * nominal.model.actuator_gear)
    assert judge(task) is other


def test_the_judge_is_neither_nominal_nor_the_data_world() -> None:
    assert len({JUDGE_WORLD, DATA_WORLD, World()}) == 3
    for name in ("mass", "friction", "damping", "gear"):
        toward = np.log(getattr(JUDGE_WORLD, name)) * np.log(getattr(DATA_WORLD, name))
        assert toward < 0, f"{name}: fitting V to D would fit J"


def test_the_judge_replays_what_it_recorded_better_than_the_nominal_model() -> None:
    """An integrator of its own changes little, its constants much; both stay near the same motion."""
    task = "wmenv/Hopper-v0"
    clips = record_clips(task, 4, 9, world=JUDGE_WORLD)
    start = [np.stack([getattr(c, n)[0] for c in clips]) for n in ("qpos", "qvel")]
    action, after = np.stack([np.asarray(c.action) for c in clips]), np.stack([c.qpos[1:] for c in clips])

    def error(m) -> float:
        return float(np.abs(Simulator(m, 4, 1).rollout(*start, action).qpos - after).mean())

    assert error(judge(task)) < 0.5 * error(control_model(task))
