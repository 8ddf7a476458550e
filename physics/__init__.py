"""physics: real tasks in MuJoCo with fast cameras, and what is measured on them."""

from .graphics import choose_backend

choose_backend()  # MuJoCo reads MUJOCO_GL once, when it is first imported

from .camera import Camera, Ground  # noqa: E402
from .errors import TaskError  # noqa: E402
from .tasks import TaskEnv, TaskSpec, make_task, register_task, task_ids  # noqa: E402
from .world import World  # noqa: E402

__all__ = ["Camera", "Ground", "TaskEnv", "TaskError", "TaskSpec", "World", "make_task", "register_task", "task_ids"]
