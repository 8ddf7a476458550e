"""wmenv: Gymnasium environments whose steps are dreamed by a world model and checked by physics."""

from .envs.registration import register_all

register_all()
