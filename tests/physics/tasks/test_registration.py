"""Shows that `import wmenv` registers exactly the tasks that physics has, without importing MuJoCo."""

from __future__ import annotations

import subprocess
import sys

import gymnasium

from physics.tasks.table import SPECS
from wmenv.envs.registration import DREAM, TASKS

BARE = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("mujoco", "physics", "agents", "stable_baselines3", "dm_control", "pyarrow", "av"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import wmenv, gymnasium
print(sum(name.startswith("wmenv/") for name in gymnasium.registry))
"""


def test_ids_and_limits_agree() -> None:
    assert {spec.id: spec.max_episode_steps for spec in SPECS} == TASKS
    for task, steps in TASKS.items():
        assert gymnasium.spec(task).max_episode_steps == steps
    dream = gymnasium.spec(DREAM)
    assert dream.vector_entry_point is not None


def test_importing_wmenv_needs_gymnasium_alone() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", BARE], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == str(len(TASKS) + 1), done.stderr
