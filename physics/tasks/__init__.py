"""The real tasks: MuJoCo simulations with a camera, a documented state and an adjustable world."""

from .env import TaskEnv
from .register import register_task
from .registry import make_task, task_ids
from .spec import TaskSpec

__all__ = ["TaskEnv", "TaskSpec", "make_task", "register_task", "task_ids"]
