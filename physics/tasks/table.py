"""The table of the project's own tasks: source, state and camera of each."""

from __future__ import annotations

from .spec import TaskSpec
from .table_dmc import DMC_SPECS
from .table_gym import GYM_SPECS

SPECS: tuple[TaskSpec, ...] = GYM_SPECS + DMC_SPECS
