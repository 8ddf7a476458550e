"""The table of the project's own tasks: source, state and camera of each."""

from __future__ import annotations

from .spec import TaskSpec
from .table_dmc import DMC_SPECS
from .table_gym import GYM_SPECS
from .table_own import OWN_SPECS

SPECS: tuple[TaskSpec, ...] = GYM_SPECS + OWN_SPECS + DMC_SPECS
